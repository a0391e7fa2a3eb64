/**
 * Sends what waits. One request a stream is in flight, one back-off holds for all of them, and an answer settles events or lets them wait.
 * `pump` starts each request that is due, and sets the one timer.
 */
import { createBackOff } from "./back-off.ts";
import type { BatchLimits, ClientOptions, Pace } from "./options.ts";
import type { End, Held } from "./outcome.ts";
import { type Answer, sendBatch } from "./send-batch.ts";
import { later, now } from "./timer.ts";
import { type Lane, pickBatch, type Waiting, type WaitingEvent } from "./waiting.ts";

/** What a browser lets all requests that may outlive their page hold together is 64 KiB, of which others may use some. */
const KEPT_ALIVE_MAX_BYTES = 60_000;

export interface SenderOptions extends Pick<ClientOptions, "url" | "key" | "fetch"> {
  waiting: Waiting;
  batch: BatchLimits;
  pace: Pace;
  /** Whether somebody waits for everything to be settled: then no batch waits to be full. */
  isUrgent: () => boolean;
  /** Settles a batch's events, each by its end. */
  onEnds(batch: readonly WaitingEvent[], endOf: (place: number) => End): void;
  /** Spillway answered at this moment of its own clock, and took nothing. */
  onDate(dateMs: number): void;
  onHeld(held: Held): void;
}

export interface Sender {
  /** Starts each request that is due, in this very task if the key is known, and sets the timer for the next. */
  pump(): void;
  /** The network is back: sends at once, save what Spillway asked to wait for. */
  hurry(): void;
  /** The page may be gone in a moment: everything that is not on its way goes now, save what Spillway asked to wait for. */
  leave(): void;
  /** Ends the requests in flight: whether Spillway took their events is not known. */
  abort(): void;
  close(): void;
  /** Why the last request settled nothing; undefined again once Spillway takes events. */
  held(): Held | undefined;
}

export function createSender(options: SenderOptions): Sender {
  const { waiting, batch: limits, pace, key: givenKey, onEnds } = options;
  const url = options.url.replace(/\/+$/, "");
  const backOff = createBackOff(pace);
  const flights = new Set<AbortController>();
  const findKey = typeof givenKey === "function" && givenKey;
  let key = findKey ? undefined : `${givenKey}`; // a missing one is refused, and that is told
  let held: Held | undefined;
  let heldUntilMs = 0;
  let keptAliveBytes = 0;
  let wakeAtMs = Infinity;
  let cancelWake = () => {};

  function pump(): void {
    let nextMs = Infinity;
    for (const lane of waiting.lanes.values()) {
      const dueMs = dueMsOf(lane);
      if (dueMs <= now()) void send(lane, pickBatch(lane, limits));
      else nextMs = Math.min(nextMs, dueMs);
    }
    if (nextMs < wakeAtMs) wakeAt(nextMs);
  }

  /** When the lane's next request is due; Infinity: something else happens first. */
  function dueMsOf(lane: Lane): number {
    const isProbed = backOff.isOn() && flights.size;
    const { first } = lane;
    if (!first || lane.requests || isProbed) return Infinity;
    const isFull = lane.events >= limits.events || lane.bytes >= limits.bytes;
    const readyMs = isFull || options.isUrgent() ? 0 : first.sinceMs + limits.ms;
    return Math.max(readyMs, backOff.until(), heldUntilMs, lane.heldUntilMs);
  }

  function wakeAt(atMs: number): void {
    cancelWake();
    wakeAtMs = atMs;
    cancelWake = later(atMs - now(), () => {
      wakeAtMs = Infinity;
      pump();
    });
  }

  async function send(lane: Lane, batch: readonly WaitingEvent[]): Promise<void> {
    const beganAtMs = now();
    const bytes = batch.reduce((sum, event) => sum + event.bytes, 1);
    const keptAlive = keptAliveBytes + bytes > KEPT_ALIVE_MAX_BYTES ? 0 : bytes;
    const flight = new AbortController();
    const cancel = later(pace.requestMs, () => flight.abort());
    flights.add(flight);
    keptAliveBytes += keptAlive;
    lane.requests++;
    for (const event of batch) event.isInFlight = true;
    const answer = await ask(batch, !!keptAlive, flight.signal).catch(noAnswer);
    for (const event of batch) event.isInFlight = false;
    lane.requests--;
    keptAliveBytes -= keptAlive;
    flights.delete(flight);
    cancel();
    read(lane, batch, answer, beganAtMs);
    pump();
  }

  async function ask(
    batch: readonly WaitingEvent[],
    keepalive: boolean,
    signal: AbortSignal,
  ): Promise<Answer> {
    key ??= await askForKey(signal);
    const { stream, ack } = (batch[0] as WaitingEvent).stored;
    const bodies = batch.map(({ stored }) => stored.body);
    return sendBatch({ url, key, stream, ack, bodies, keepalive, signal, fetch: options.fetch ?? fetch });
  }

  /** Rejects if the function fails, or has not answered when the signal aborts. */
  function askForKey(signal: AbortSignal): Promise<string> {
    return new Promise((resolve, reject) => {
      signal.onabort = reject;
      Promise.resolve((findKey as () => string | Promise<string>)()).then(resolve, reject);
    });
  }

  function read(lane: Lane, batch: readonly WaitingEvent[], answer: Answer, beganAtMs: number): void {
    const { kind, dateMs } = answer;
    if (kind === "again") {
      held = answer.held;
      backOff.fail(beganAtMs, answer.retryAfterMs);
    } else if (kind === "held") hold(lane, answer.held, beganAtMs);
    else backOff.reset();
    if (kind === "singly") for (const event of batch) event.isSingle = true;
    if (kind === "settled") {
      held = undefined;
      onEnds(batch, answer.endOf);
    } else if (dateMs) options.onDate(dateMs);
  }

  /** A refused key that a function gave is asked for again, at the pace of the back-off. */
  function hold(lane: Lane, why: Held, beganAtMs: number): void {
    const untilMs = now() + pace.heldMs;
    if (why.stream !== undefined) lane.heldUntilMs = untilMs;
    else if (!findKey) heldUntilMs = untilMs;
    else {
      key = undefined;
      backOff.fail(beganAtMs);
    }
    const isNews = why.code !== held?.code || why.stream !== held.stream;
    held = why;
    if (isNews) options.onHeld(why);
  }

  function abort(): void {
    for (const flight of flights) flight.abort();
  }

  return {
    pump,
    abort,
    held: () => held,
    hurry() {
      backOff.reset();
      pump();
    },
    leave() {
      const isEarly = (untilMs: number) => now() < untilMs;
      if (isEarly(backOff.askedUntil()) || isEarly(heldUntilMs)) return;
      for (const lane of waiting.lanes.values())
        while (!isEarly(lane.heldUntilMs)) {
          const batch = pickBatch(lane, limits);
          if (!batch[0]) break;
          void send(lane, batch);
        }
    },
    close() {
      heldUntilMs = Infinity;
      cancelWake();
      abort();
    },
  };
}

/** A failed fetch tells its reason in `cause` (Node), or nowhere (browsers). */
const noAnswer = (error: Error): Answer => ({
  kind: "again",
  held: { status: 0, code: "no-answer", detail: String(error.cause ?? error) },
});
