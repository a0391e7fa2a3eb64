/**
 * Adds up the use of one instance by key, stream and hour, and sends what was added to the stream `spillway_usage`, at most once a minute.
 *
 * It is sent in the time of a request whose events are accepted, beside that request's own push, because nothing may be left running after
 * an answer. A failure changes no answer: the same events are sent again under the same ids, so each is counted once. An instance that is
 * ended or killed takes with it what it has not yet sent.
 */
import type { Buffer } from "../buffer/buffer.ts";
import { redisFailureOf } from "../buffer/redis-errors.ts";
import type { Log } from "../log.ts";
import { encodeEnvelope } from "../schema/envelope.ts";
import { newId } from "../schema/event-ids.ts";
import usageStream, { type UsageDelta } from "../store/usage-stream.ts";

/** The least time between two sends, in milliseconds. */
const EVERY_MS = 60_000;
/** The same while much waits in Redis because it is not drained: sums of an hour are as good, and take less room. */
const EVERY_MS_IF_DEEP = 3_600_000;
const DEEP_FROM = 10_000;
/** Events in one LPUSH: some 300 KB. */
const SENT_MAX = 1000;
/** Sums that wait in this instance. Past that, the oldest are forgotten: they are of hours in which nothing could be sent. */
const WAITING_MAX = 10_000;
const HOUR_MS = 3_600_000;

/** One partition, whichever instance sends: so a tick looks into one more, and not into sixteen. */
const PARTITION = { stream: usageStream.name, index: 0 };

type Counts = Pick<UsageDelta, "accepted" | "rejected" | "throttled" | "shed" | "bytes">;
type Name = string | undefined;

interface Deps {
  push: Buffer["push"];
  /** The wall clock: it tells the hour. */
  now: () => number;
  /** A clock that is never set back. */
  monotonicMs: () => number;
  log: Log;
}

export class Usage {
  readonly #deps: Deps;
  /** The sums of one hour, by key and stream: names that this release knows, so there are not many. */
  #sums = new Map<Name, Map<Name, Counts>>();
  #hourAtMs = 0;
  /** Sums that are sent next. */
  #waiting: UsageDelta[] = [];
  /** What is sent until Redis has confirmed it, with its ids. */
  #batch: string[] | undefined;
  #dueAtMs = Number.NEGATIVE_INFINITY;
  #isSending = false;

  constructor(deps: Deps) {
    this.#deps = deps;
  }

  /** Adds to a sum of this hour. `key` undefined: there is no known key; `stream` undefined: no known stream. */
  add(key: Name, stream: Name, what: keyof Counts, count: number): void {
    this.#turnHour();
    this.#sumsOf(key, stream)[what] += count;
  }

  #sumsOf(key: Name, stream: Name): Counts {
    const known = this.#sums.get(key)?.get(stream);
    if (known !== undefined) return known;
    const sums = { accepted: 0, rejected: 0, throttled: 0, shed: 0, bytes: 0 };
    const ofKey = this.#sums.get(key);
    if (ofKey === undefined) this.#sums.set(key, new Map([[stream, sums]]));
    else ofKey.set(stream, sums);
    return sums;
  }

  /** Sends what was added, if that is due; undefined: it is not. The caller waits for it before it answers. Never rejects. */
  sendIfDue(): Promise<void> | undefined {
    if (this.#isSending || this.#deps.monotonicMs() < this.#dueAtMs) return undefined;
    return this.#send();
  }

  async #send(): Promise<void> {
    const { push, monotonicMs, log } = this.#deps;
    this.#isSending = true;
    let everyMs = EVERY_MS;
    try {
      this.#batch ??= this.#nextBatch();
      const depth = this.#batch.length === 0 ? 0 : await push(PARTITION, this.#batch);
      this.#batch = undefined;
      everyMs = depth > DEEP_FROM ? EVERY_MS_IF_DEEP : this.#waiting.length > 0 ? 0 : EVERY_MS;
    } catch (error) {
      log.warn("usage.not-sent", { reason: redisFailureOf(error) });
    } finally {
      this.#dueAtMs = monotonicMs() + everyMs;
      this.#isSending = false;
    }
  }

  #nextBatch(): string[] {
    this.#closeSums();
    const receivedAt = new Date(this.#deps.now()).toISOString();
    return this.#waiting
      .splice(0, SENT_MAX)
      .map((delta) =>
        encodeEnvelope({ v: usageStream.v, id: newId(), receivedAt, dataJson: JSON.stringify(delta) }),
      );
  }

  /** Begins a new hour. Clocks may be set back, so it need not be a later one. */
  #turnHour(): void {
    const nowMs = this.#deps.now();
    if (nowMs >= this.#hourAtMs && nowMs < this.#hourAtMs + HOUR_MS) return;
    this.#closeSums();
    this.#hourAtMs = nowMs - (nowMs % HOUR_MS);
  }

  #closeSums(): void {
    const hour = new Date(this.#hourAtMs).toISOString();
    for (const [key = null, ofKey] of this.#sums)
      for (const [stream = null, sums] of ofKey) this.#waiting.push({ hour, key, stream, ...sums });
    this.#sums = new Map();
    const tooMany = this.#waiting.length - WAITING_MAX;
    if (tooMany <= 0) return;
    this.#waiting.splice(0, tooMany);
    this.#deps.log.warn("usage.forgotten", { sums: tooMany });
  }
}
