/**
 * The client: `send` fixes an event's id and bytes, begins to store it, and lets it wait for the sender. An event ends once: settled,
 * refused or dropped. Until then it waits, and the store has it.
 */
import { isExpired, markSeen } from "./age.ts";
import { encodeEvent, utf8Length } from "./encode-event.ts";
import { Keeper } from "./keeper.ts";
import { BATCH, type ClientOptions, KEEP, type KeepLimits, PACE, type Pace } from "./options.ts";
import type { End, Held, Outcome } from "./outcome.ts";
import { isPageHidden, listenToPage } from "./page.ts";
import { Sender } from "./sender.ts";
import type { Store, StoredEvent } from "./store.ts";
import { type Random, randomOf, uuidV7 } from "./uuid-v7.ts";
import { Waiting, type WaitingEvent } from "./waiting.ts";

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
  /** Why events wait although Spillway answers. */
  held?: Held;
}

/** Somebody waits until this event, and all before it, have ended. */
interface Flush {
  seq: number;
  end(isAll: boolean): void;
}

export class Client {
  readonly #options: ClientOptions;
  readonly #keep: KeepLimits;
  readonly #random: Random;
  readonly #queue: string;
  readonly #keeper: Keeper;
  readonly #sender: Sender;
  readonly #waiting = new Waiting();
  readonly #listeners = new WeakMap<WaitingEvent, (outcome: Outcome) => void>();
  readonly #flushes = new Set<Flush>();
  readonly #stopListening: () => void;
  #seq = 0;
  #isLeaving = false;
  #isClosed = false;

  constructor(options: ClientOptions & { store: Store }, given: Partial<Pace> = {}) {
    const pace = { ...PACE, ...given };
    const now = () => performance.now();
    this.#options = options;
    this.#keep = { ...KEEP, ...options.keep };
    this.#random = randomOf(options.random);
    this.#queue = this.#newId();
    this.#keeper = new Keeper({
      ...{ store: options.store, queue: this.#queue, now, pace },
      isHidden: () => this.#isLeaving || isPageHidden(),
      hasEvents: () => this.#waiting.events > 0,
      onTaken: (events) => this.#takeOver(events),
    });
    this.#sender = new Sender({
      ...options,
      ...{ waiting: this.#waiting, batch: { ...BATCH, ...options.batch }, pace, now },
      isUrgent: () => this.#flushes.size > 0,
      onEnds: (batch, ends) => this.#endAll(batch, (place) => ends[place] as End),
      onNothingTaken: (dateMs) => this.#judgeAges(dateMs),
      onHeld: (held) => this.#call(options.onHeld ?? warn, held),
      onRequestEnd: () => this.#endFlushes(),
    });
    this.#stopListening = this.#listen();
    this.#keeper.start();
  }

  /** Takes an event, and returns at once. Throws nothing: an event that is no JSON object is refused. */
  send(stream: string, event: object, { id, ack }: SendOptions = {}): Sent {
    let stored: StoredEvent;
    try {
      const key = `${this.#queue}.${String(this.#seq + 1).padStart(10, "0")}`;
      stored = { key, stream, seenAt: 0, ...encodeEvent(event, id, () => this.#newId()) };
      if (ack) stored.ack = ack;
    } catch (error) {
      const errors = [{ path: "", message: String(error) }];
      const end: End = { kind: "refused", status: 0, code: "not-json", errors };
      return this.#notTaken({ stream, id: id ?? this.#newId(), ...end });
    }
    const why = this.#isClosed ? "closed" : utf8Length(stored.body) < this.#keep.bytes ? undefined : "full";
    return why ? this.#notTaken({ stream, id: stored.id, kind: "dropped", why }) : this.#take(stored);
  }

  /** Resolves to true once all that waits now has ended, to false after `withinMs`. Meanwhile no batch waits to be full. */
  flush({ withinMs = 10_000 }: { withinMs?: number } = {}): Promise<boolean> {
    if (this.#waiting.events === 0) return Promise.resolve(true);
    return new Promise((resolve) => {
      const end = (isAll: boolean) => {
        clearTimeout(timer);
        this.#flushes.delete(flush);
        resolve(isAll);
      };
      const flush = { seq: this.#seq, end };
      const timer = setTimeout(end, withinMs, false); // keeps a Node process alive: somebody waits for it
      this.#flushes.add(flush);
      this.#sender.pump();
    });
  }

  /** Sends nothing more. What waits stays in the store, for the next client that opens it. May be repeated. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#stopListening();
    this.#sender.close();
    for (const flush of this.#flushes) flush.end(false);
    await this.#keeper.stop();
  }

  /** Forgets everything in the store, also of other tabs and earlier runs: for signing out on a device that others use. */
  async clear(): Promise<void> {
    this.#sender.abort();
    for (const event of this.#waiting.all) this.#end(event, { kind: "dropped", why: "cleared" });
    this.#endFlushes();
    await this.#keeper.clear();
  }

  get waiting(): WaitingNow {
    const { events, bytes, all } = this.#waiting;
    const oldestMs = all.first ? performance.now() - all.first.sinceMs : 0;
    const { held } = this.#sender;
    return { events, bytes, oldestMs, ...(held && events > 0 ? { held } : {}) };
  }

  #newId(): string {
    return uuidV7(this.#random, Date.now());
  }

  #listen(): () => void {
    return listenToPage({
      onHidden: (isLeaving) => {
        this.#isLeaving ||= isLeaving;
        void this.#keeper.beat();
        this.#sender.leave();
      },
      onShown: () => {
        this.#isLeaving = false;
        void this.#keeper.beat();
        this.#sender.pump();
      },
      onOnline: () => this.#sender.hurry(),
    });
  }

  #notTaken(outcome: Outcome): Sent {
    this.#tell(outcome);
    return { id: outcome.id, kept: Promise.resolve(false), outcome: Promise.resolve(outcome) };
  }

  #take(stored: StoredEvent): Sent {
    const event = this.#add(stored);
    const outcome = new Promise<Outcome>((resolve) => this.#listeners.set(event, resolve));
    const kept = this.#keeper.put([stored]);
    this.#dropOldest();
    const { waitUntil } = this.#options;
    if (waitUntil) this.#call(waitUntil, this.#settled());
    if (this.#isLeaving) this.#sender.leave();
    else this.#sender.pump();
    return { id: stored.id, kept, outcome };
  }

  /** Flushes once this task is over, so that events of one task share a request. */
  async #settled(): Promise<unknown> {
    await undefined;
    return this.flush({ withinMs: 25_000 });
  }

  #add(stored: StoredEvent): WaitingEvent {
    const event: WaitingEvent = {
      ...stored,
      bytes: utf8Length(stored.body) + 1,
      seq: ++this.#seq,
      sinceMs: performance.now(),
      isInFlight: false,
      isSingle: false,
      links: undefined,
    };
    this.#waiting.add(event);
    return event;
  }

  /** Lets events of another queue wait here. One that waits here already was taken from this queue before. */
  #takeOver(events: readonly StoredEvent[]): void {
    const known = new Set(Array.from(this.#waiting.all, ({ key }) => key));
    for (const event of events) if (!known.has(event.key)) this.#add(event);
    this.#dropOldest();
    this.#sender.pump();
  }

  #dropOldest(): void {
    const gone: WaitingEvent[] = [];
    while (this.#waiting.bytes > this.#keep.bytes) {
      const oldest = this.#waiting.oldestIdle();
      if (!oldest) break;
      this.#end(oldest, { kind: "dropped", why: "full" });
      gone.push(oldest);
    }
    this.#forget(gone);
  }

  #judgeAges(dateMs: number): void {
    const { all } = this.#waiting;
    const old = [...all].filter((event) => !event.isInFlight && isExpired(event, dateMs, this.#keep.ms));
    this.#endAll(old, () => ({ kind: "dropped", why: "expired" }));
    const marked = markSeen(all, dateMs);
    if (marked.length > 0) void this.#keeper.put(marked.map(storedOf));
  }

  #endAll(events: readonly WaitingEvent[], endOf: (place: number) => End): void {
    for (const [place, event] of events.entries()) this.#end(event, endOf(place));
    this.#forget(events);
  }

  #end(event: WaitingEvent, end: End): void {
    if (!this.#waiting.take(event)) return;
    const outcome = { ...end, id: event.id, stream: event.stream };
    this.#listeners.get(event)?.(outcome);
    this.#tell(outcome);
  }

  #forget(events: readonly WaitingEvent[]): void {
    if (events.length > 0) void this.#keeper.remove(events.map(({ key }) => key));
  }

  #tell(outcome: Outcome): void {
    if (this.#options.onOutcome) this.#call(this.#options.onOutcome, outcome);
  }

  /** An error of a listener is the listener's own. */
  #call<T>(listener: (value: T) => void, value: T): void {
    try {
      listener(value);
    } catch (error) {
      console.error(error);
    }
  }

  #endFlushes(): void {
    const oldest = this.#waiting.all.first;
    for (const flush of this.#flushes) if (!oldest || oldest.seq > flush.seq) flush.end(true);
  }
}

const warn = ({ status, code, detail }: Held) =>
  console.warn(`spillway: events wait because of ${status} ${code}: ${detail}`);

const storedOf = ({ key, stream, id, body, seenAt, ack }: WaitingEvent): StoredEvent =>
  ack ? { key, stream, id, body, seenAt, ack } : { key, stream, id, body, seenAt };
