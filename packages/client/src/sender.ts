/**
 * Sends what waits. One request a stream is in flight, one back-off holds for all of them, and an answer settles events or lets them wait.
 * `pump` starts each request that is due, and sets the one timer.
 */
import { BackOff } from "./back-off.ts";
import { KeySource } from "./key-source.ts";
import type { BatchLimits, ClientOptions, Pace } from "./options.ts";
import type { End, Held } from "./outcome.ts";
import { type Answer, sendBatch } from "./send-batch.ts";
import { later } from "./timer.ts";
import type { Lane, Waiting, WaitingEvent } from "./waiting.ts";

/** What a browser lets all requests that may outlive their page hold together is 64 KiB, of which others may use some. */
const KEPT_ALIVE_MAX_BYTES = 60_000;

export interface SenderOptions extends Pick<ClientOptions, "url" | "key" | "fetch"> {
  waiting: Waiting;
  batch: BatchLimits;
  pace: Pace;
  now: () => number;
  /** Whether somebody waits for everything to be settled: then no batch waits to be full. */
  isUrgent: () => boolean;
  /** Settles a batch's events, each by its end. */
  onEnds(batch: readonly WaitingEvent[], ends: readonly End[]): void;
  /** Spillway answered at this moment of its own clock, and took nothing. */
  onNothingTaken(dateMs: number): void;
  onHeld(held: Held): void;
  /** A request has ended, and what it brought is told. */
  onRequestEnd(): void;
}

export class Sender {
  readonly #options: SenderOptions;
  readonly #waiting: Waiting;
  readonly #key: KeySource;
  readonly #backOff: BackOff;
  /** Why events wait although Spillway answers; undefined again once it takes some. */
  held: Held | undefined;
  #heldUntilMs = 0;
  #requests = 0;
  #keptAliveBytes = 0;
  #isClosed = false;
  #abort = new AbortController();
  #wakeAtMs = Number.POSITIVE_INFINITY;
  #cancelWake: () => void = () => {};

  constructor(options: SenderOptions) {
    this.#options = options;
    this.#waiting = options.waiting;
    this.#key = new KeySource(options.key);
    this.#backOff = new BackOff({ baseMs: options.pace.backOffBaseMs, maxMs: options.pace.backOffMaxMs });
  }

  /** Starts each request that is due, in this very task if the key is known, and sets the timer for the next. */
  pump(): void {
    if (this.#isClosed) return;
    let nextMs = Number.POSITIVE_INFINITY;
    for (const lane of this.#waiting.lanes.values()) {
      const dueMs = this.#dueMs(lane);
      if (dueMs <= this.#options.now()) this.#start(lane);
      else nextMs = Math.min(nextMs, dueMs);
    }
    if (nextMs < this.#wakeAtMs) this.#wakeAt(nextMs);
  }

  /** The network is back: sends at once, save what Spillway asked to wait for. */
  hurry(): void {
    this.#backOff.cutShort();
    this.pump();
  }

  /** The page may be gone in a moment: everything that is not on its way goes now, save what Spillway asked to wait for. */
  leave(): void {
    const isEarly = (untilMs: number) => this.#options.now() < untilMs;
    if (this.#isClosed || isEarly(this.#backOff.askedUntilMs) || isEarly(this.#heldUntilMs)) return;
    for (const lane of this.#waiting.lanes.values())
      while (lane.idle > 0 && !isEarly(lane.heldUntilMs)) this.#start(lane);
  }

  /** Ends the requests in flight: whether Spillway took their events is not known. */
  abort(): void {
    this.#abort.abort();
    this.#abort = new AbortController();
  }

  close(): void {
    this.#isClosed = true;
    this.#cancelWake();
    this.abort();
  }

  /** When the lane's next request is due; Infinity: something else happens first. */
  #dueMs(lane: Lane): number {
    const { now, batch, isUrgent } = this.#options;
    const isProbed = this.#backOff.isOn && this.#requests > 0;
    if (lane.idle === 0 || lane.requests > 0 || isProbed) return Number.POSITIVE_INFINITY;
    const isFull = lane.idle >= batch.events || lane.idleBytes >= batch.bytes;
    const isReady = isFull || isUrgent();
    const readyMs = isReady ? 0 : (lane.next()?.sinceMs ?? now()) + batch.ms;
    return Math.max(readyMs, this.#backOff.untilMs, this.#heldUntilMs, lane.heldUntilMs);
  }

  #wakeAt(atMs: number): void {
    this.#cancelWake();
    this.#wakeAtMs = atMs;
    this.#cancelWake = later(atMs - this.#options.now(), () => {
      this.#wakeAtMs = Number.POSITIVE_INFINITY;
      this.pump();
    });
  }

  #start(lane: Lane): void {
    const { events, bytes } = this.#options.batch;
    void this.#request(lane, lane.pick(events, bytes));
  }

  async #request(lane: Lane, batch: readonly WaitingEvent[]): Promise<void> {
    const beganAtMs = this.#options.now();
    const bytes = batch.reduce((sum, event) => sum + event.bytes, 1);
    const isKeptAlive = this.#keptAliveBytes + bytes <= KEPT_ALIVE_MAX_BYTES;
    const keptAlive = isKeptAlive ? bytes : 0;
    this.#keptAliveBytes += keptAlive;
    this.#requests++;
    this.#waiting.depart(lane, batch);
    const answer = await this.#ask(lane.stream, batch, isKeptAlive);
    this.#waiting.arrive(lane, batch);
    this.#requests--;
    this.#keptAliveBytes -= keptAlive;
    if (this.#isClosed) return;
    this.#read(lane, batch, answer, beganAtMs);
    this.#options.onRequestEnd();
    this.pump();
  }

  async #ask(stream: string, batch: readonly WaitingEvent[], isKeptAlive: boolean): Promise<Answer> {
    const { pace, url, fetch: own } = this.#options;
    const all = this.#abort.signal;
    const one = new AbortController();
    const giveUp = () => one.abort();
    const cancel = later(pace.requestMs, giveUp);
    all.addEventListener("abort", giveUp);
    try {
      return await sendBatch({
        url: url.replace(/\/+$/, ""),
        key: this.#key.known ?? (await this.#key.ask(one.signal)),
        stream,
        ack: batch[0]?.ack,
        bodies: batch.map(({ body }) => body),
        isKeptAlive,
        signal: one.signal,
        fetch: own ?? globalThis.fetch.bind(globalThis),
      });
    } catch {
      return { kind: "again", retryAfterMs: 0, dateMs: undefined };
    } finally {
      cancel();
      all.removeEventListener("abort", giveUp);
    }
  }

  #read(lane: Lane, batch: readonly WaitingEvent[], answer: Answer, beganAtMs: number): void {
    const { now, onEnds, onNothingTaken } = this.#options;
    if (answer.kind === "again") this.#backOff.fail(beganAtMs, now(), answer.retryAfterMs);
    else if (answer.kind === "held") this.#hold(lane, answer.held, beganAtMs);
    else this.#backOff.succeed();
    if (answer.kind === "singly") for (const event of batch) event.isSingle = true;
    else if (answer.kind !== "settled") answer.dateMs && onNothingTaken(answer.dateMs);
    else {
      this.held = undefined;
      onEnds(batch, answer.ends);
    }
  }

  /** A refused key that a function gave is asked for again, at the pace of the back-off. */
  #hold(lane: Lane, held: Held, beganAtMs: number): void {
    const nowMs = this.#options.now();
    const untilMs = nowMs + this.#options.pace.heldMs;
    if (held.stream !== undefined) lane.heldUntilMs = untilMs;
    else if (this.#key.forget()) this.#backOff.fail(beganAtMs, nowMs, 0);
    else this.#heldUntilMs = untilMs;
    const isNews = held.code !== this.held?.code || held.stream !== this.held.stream;
    this.held = held;
    if (isNews) this.#options.onHeld(held);
  }
}
