/**
 * A token bucket per API key. It gains `perSecond` tokens a second, and holds at most the tokens of two seconds (the burst).
 * One event costs one token. A request larger than the burst passes if the bucket is full. Its bucket is then below zero, and
 * later requests wait until it has filled again.
 */
const BURST_SECONDS = 2;

export class TokenBuckets {
  readonly #perSecond: number;
  readonly #monotonicMs: () => number;
  readonly #buckets = new Map<string, { tokens: number; atMs: number }>();

  constructor(perSecond: number, monotonicMs: () => number) {
    this.#perSecond = perSecond;
    this.#monotonicMs = monotonicMs;
  }

  /** Returns the seconds until the bucket of `name` has a token again; 0: it has one. Takes nothing. */
  waitSeconds(name: string): number {
    const { tokens } = this.#filled(name);
    return tokens >= 1 ? 0 : Math.ceil((1 - tokens) / this.#perSecond);
  }

  /** Takes `cost` tokens from the bucket of `name`. Returns 0, or, if there are too few, the seconds to wait. */
  take(name: string, cost: number): number {
    const bucket = this.#filled(name);
    const needed = Math.min(cost, this.#perSecond * BURST_SECONDS);
    if (bucket.tokens < needed) return Math.ceil((needed - bucket.tokens) / this.#perSecond);
    bucket.tokens -= cost;
    return 0;
  }

  /** The bucket of `name`, with what it has gained until now. */
  #filled(name: string): { tokens: number; atMs: number } {
    const burst = this.#perSecond * BURST_SECONDS;
    const now = this.#monotonicMs();
    const bucket = this.#buckets.get(name) ?? { tokens: burst, atMs: now };
    this.#buckets.set(name, bucket);
    bucket.tokens = Math.min(burst, bucket.tokens + ((now - bucket.atMs) / 1000) * this.#perSecond);
    bucket.atMs = now;
    return bucket;
  }
}
