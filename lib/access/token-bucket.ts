/**
 * A token bucket per API key. It gains `perSecond` tokens a second, and holds at most the tokens of two seconds (the burst).
 * One event costs one token. A request larger than the burst passes if the bucket is full. Its bucket is then below zero, and
 * later requests wait until it has filled again.
 */
import { type Bucket, type BucketSize, fill, secondsUntil, takeFrom } from "./bucket.ts";

const BURST_SECONDS = 2;

export class TokenBuckets {
  readonly #size: BucketSize;
  readonly #monotonicMs: () => number;
  readonly #buckets = new Map<string, Bucket>();

  constructor(perSecond: number, monotonicMs: () => number) {
    this.#size = { perSecond, burst: perSecond * BURST_SECONDS };
    this.#monotonicMs = monotonicMs;
  }

  /** Returns the seconds until the bucket of `name` has a token again; 0: it has one. Takes nothing. */
  waitSeconds(name: string): number {
    return secondsUntil(1, this.#filled(name), this.#size.perSecond);
  }

  /** Takes `cost` tokens from the bucket of `name`. Returns 0, or, if there are too few, the seconds to wait. */
  take(name: string, cost: number): number {
    return takeFrom(this.#filled(name), this.#size, cost);
  }

  /** The bucket of `name`, with what it has gained until now. */
  #filled(name: string): Bucket {
    const nowMs = this.#monotonicMs();
    const bucket = this.#buckets.get(name) ?? { tokens: this.#size.burst, atMs: nowMs };
    this.#buckets.set(name, bucket);
    fill(bucket, this.#size, nowMs);
    return bucket;
  }
}
