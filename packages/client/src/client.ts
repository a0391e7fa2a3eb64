/**
 * The client: `send` fixes an event's id and bytes, begins to store it, and lets it wait for the sender. An event ends once: settled,
 * refused or dropped. Until then it waits, and the store has it.
 */
import { isExpired, markSeen } from "./age.ts";
import { encodeEvent, mostBytesOf } from "./encode-event.ts";
import { startKeeper } from "./keeper.ts";
import { BATCH, type ClientOptions, KEEP, PACE, type Pace } from "./options.ts";
import type { End, Held, Outcome } from "./outcome.ts";
import { isPageHidden, listenToPage } from "./page.ts";
import { createSender } from "./sender.ts";
import type { StoredEvent } from "./store.ts";
import { now } from "./timer.ts";
import { randomOf, uuidV7 } from "./uuid-v7.ts";
import { createWaiting, type WaitingEvent } from "./waiting.ts";

export interface SendOptions {
  /** The event's id. With a public key it is a UUID of version 4 or 7. @default the event's own `id`, or a new UUIDv7 */
  id?: string;
  /** "stored": it is settled only once Postgres has it. @default the stream's own level */
  ack?: "stored";
}

export interface Sent {
  /** Fixed now: an event that is sent again with it is stored once. */
  id: string;
  /** Resolves to true once the store has it: it is not lost from now on. To false if only this process's memory has it, or nothing. */
  kept: Promise<boolean>;
  /** Resolves when the event has ended. Never rejects. */
  outcome: Promise<Outcome>;
}

export interface WaitingNow {
  events: number;
  bytes: number;
  /** For how long the oldest has waited in this process. */
  oldestMs: number;
  /** Why the last request settled nothing. */
  held: Held | undefined;
}

/** Somebody waits until this event, and all before it, have ended. */
interface Flush {
  seq: number;
  end(isAll: boolean): void;
}

export interface Client {
  /** Takes an event, and returns at once. Throws nothing: an event that is no JSON object is refused. */
  send(stream: string, event: object, options?: SendOptions): Sent;
  /** Resolves to true once all that waits now has ended, to false after `withinMs`. Meanwhile no batch waits to be full. @default 10,000 ms */
  flush(options?: { withinMs?: number }): Promise<boolean>;
  /** Sends nothing more. What waits stays in the store, for the next client that opens it. May be repeated. */
  close(): Promise<void>;
  /** Forgets everything in the store, also of other tabs and earlier runs: for signing out on a device that others use. */
  clear(): Promise<void>;
  readonly waiting: WaitingNow;
}

/** Makes a client. Throws if there is no source of random bytes; nothing that it does later throws. */
export function makeClient(options: ClientOptions, given: Partial<Pace> = {}): Client {
  const pace = { ...PACE, ...given };
  const keep = { ...KEEP, ...options.keep };
  const random = randomOf(options.random);
  const newId = () => uuidV7(random, Date.now());
  const queue = newId();
  const waiting = createWaiting();
  const flushes = new Set<Flush>();
  const closing = new AbortController();
  let lastSeq = 0;
  let isLeaving = false;

  const keeper = startKeeper({
    ...{ store: options.store, queue, pace },
    isHidden: () => isLeaving || isPageHidden(),
    hasEvents: () => !!waiting.oldest(),
    onTaken: takeOver,
  });
  const sender = createSender({
    ...options,
    ...{ waiting, batch: { ...BATCH, ...options.batch }, pace },
    isUrgent: () => !!flushes.size,
    onEnds: endAll,
    onDate: judgeAges,
    onHeld: (held) => call(options.onHeld ?? warn, held),
  });
  const onHidden = (isGoing: boolean) => {
    isLeaving ||= isGoing;
    void keeper.beat();
    sender.leave();
  };
  const onShown = () => {
    isLeaving = false;
    void keeper.beat();
  };
  listenToPage(closing.signal, onHidden, onShown, sender.hurry);

  function send(stream: string, event: object, { id, ack }: SendOptions = {}): Sent {
    let stored: StoredEvent;
    try {
      const key = `${queue}.${1e12 + lastSeq}`; // sorts as it counts
      stored = { key, stream, ack, seenAt: 0, ...encodeEvent(event, id, newId) };
    } catch (error) {
      return notTaken({
        stream,
        id: id ?? newId(),
        kind: "refused",
        status: 0,
        code: "not-json",
        errors: [{ path: "", message: String(error) }],
      });
    }
    const isClosed = closing.signal.aborted;
    if (!isClosed && mostBytesOf(stored.body) < keep.bytes) return take(stored);
    return notTaken({ stream, id: stored.id, kind: "dropped", why: isClosed ? "closed" : "full" });
  }

  function notTaken(outcome: Outcome): Sent {
    tell(outcome);
    return { id: outcome.id, kept: Promise.resolve(false), outcome: Promise.resolve(outcome) };
  }

  function take(stored: StoredEvent): Sent {
    const event = add(stored);
    const outcome = new Promise<Outcome>((resolve) => {
      event.onEnd = resolve;
    });
    const kept = keeper.put([stored]);
    dropOldest();
    if (options.waitUntil) call(options.waitUntil, flushSoon());
    if (isLeaving) sender.leave();
    else sender.pump();
    return { id: stored.id, kept, outcome };
  }

  /** Flushes once this task is over, so that its events share a request. */
  const flushSoon = async () => {
    await undefined;
    return flush({ withinMs: 25_000 });
  };

  function add(stored: StoredEvent): WaitingEvent {
    const event: WaitingEvent = {
      stored,
      bytes: mostBytesOf(stored.body) + 1,
      seq: ++lastSeq,
      sinceMs: now(),
    };
    waiting.add(event);
    return event;
  }

  /** Lets events of another queue wait here. One that waits here already was taken from this queue before. */
  function takeOver(events: readonly StoredEvent[]): void {
    const known = new Set(waiting.all().map(({ stored }) => stored.key));
    for (const event of events) if (!known.has(event.key)) add(event);
    dropOldest();
    sender.pump();
  }

  function dropOldest(): void {
    while (waiting.sum("bytes") > keep.bytes) {
      const oldest = waiting.oldest(true);
      if (!oldest) break;
      endAll([oldest], () => ({ kind: "dropped", why: "full" }));
    }
  }

  function judgeAges(dateMs: number): void {
    const all = waiting.all();
    const isOld = ({ stored, isInFlight }: WaitingEvent) => !isInFlight && isExpired(stored, dateMs, keep.ms);
    const marked = markSeen(all, dateMs);
    if (marked[0]) void keeper.put(marked);
    endAll(all.filter(isOld), () => ({ kind: "dropped", why: "expired" }));
  }

  function endAll(events: readonly WaitingEvent[], endOf: (place: number) => End): void {
    events.forEach((event, place) => {
      end(event, endOf(place));
    });
    if (events[0]) void keeper.remove(events.map(({ stored }) => stored.key));
    endFlushes();
  }

  function endFlushes(): void {
    const { seq } = waiting.oldest() ?? { seq: Infinity };
    for (const flush of flushes) if (flush.seq < seq) flush.end(true);
  }

  function end(event: WaitingEvent, how: End): void {
    if (!waiting.take(event)) return;
    const { id, stream } = event.stored;
    const outcome = { ...how, id, stream };
    event.onEnd?.(outcome);
    tell(outcome);
  }

  const tell = (outcome: Outcome) => call(options.onOutcome, outcome);

  function flush({ withinMs = 10_000 }: { withinMs?: number } = {}): Promise<boolean> {
    return new Promise((resolve) => {
      const endFlush = (isAll: boolean) => {
        clearTimeout(timer);
        flushes.delete(one);
        resolve(isAll);
      };
      const one = { seq: Infinity, end: endFlush };
      const timer = setTimeout(endFlush, withinMs, false); // keeps a Node process alive: somebody waits for it
      flushes.add(one);
      sender.pump();
      void keeper.looked().then(() => {
        one.seq = lastSeq;
        endFlushes();
      });
    });
  }

  return {
    send,
    flush,
    async close() {
      closing.abort();
      sender.close();
      for (const one of flushes) one.end(false);
      await keeper.stop();
    },
    async clear() {
      sender.abort();
      endAll(waiting.all(), () => ({ kind: "dropped", why: "cleared" }));
      await keeper.clear();
    },
    get waiting() {
      const oldest = waiting.oldest();
      const oldestMs = oldest ? now() - oldest.sinceMs : 0;
      return {
        events: waiting.sum("events"),
        bytes: waiting.sum("bytes"),
        oldestMs,
        held: oldest && sender.held(),
      };
    },
  };
}

/** Calls a listener, if there is one. An error of it is its own. */
function call<T>(listener: ((value: T) => void) | undefined, value: T): void {
  try {
    listener?.(value);
  } catch (error) {
    console.error(error);
  }
}

const warn = (held: Held) => console.warn("spillway: events wait", held);
