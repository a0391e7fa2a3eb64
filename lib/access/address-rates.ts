/**
 * The rate of each client address that sends with a public key: a token bucket that gains `perAddressPerSecond` tokens a second, and holds
 * those of two seconds. One event costs one token. A request larger than the bucket passes if the bucket is full, and later ones
 * wait until it has filled again.
 *
 * It bounds one client and not the sum of all: that is the key's own rate. At most 10,000 addresses are remembered, and
 * the least recently used is forgotten. Each instance counts by itself.
 */
import type { ApiKey } from "../config.ts";
import { type Bucket, type BucketSize, fill, secondsUntil, takeFrom } from "./bucket.ts";

/** Events a second of one address, if its key says nothing else. */
const DEFAULT_PER_SECOND = 10;
const BURST_SECONDS = 2;
const ADDRESSES_MAX = 10_000;

type LimitedKey = Pick<ApiKey, "name" | "perAddressPerSecond">;

export class AddressRates {
  readonly #monotonicMs: () => number;
  readonly #addressesMax: number;
  /** By key and address; what was used last stands last. */
  readonly #buckets = new Map<string, Bucket>();

  constructor(monotonicMs: () => number, addressesMax = ADDRESSES_MAX) {
    this.#monotonicMs = monotonicMs;
    this.#addressesMax = addressesMax;
  }

  /** Returns the seconds until this address may send another event with this key; 0: it may. Takes nothing. */
  waitSeconds(key: LimitedKey, address: string): number {
    const size = sizeOf(key);
    return secondsUntil(1, this.#filled(key, address, size), size.perSecond);
  }

  /** Takes a token for each of `count` events. Returns 0, or, if there are too few, the seconds to wait. */
  take(key: LimitedKey, address: string, count: number): number {
    const size = sizeOf(key);
    return takeFrom(this.#filled(key, address, size), size, count);
  }

  /** The bucket of an address, with what it has gained until now. */
  #filled(key: LimitedKey, address: string, size: BucketSize): Bucket {
    const id = `${key.name} ${address}`;
    const nowMs = this.#monotonicMs();
    const bucket = this.#buckets.get(id) ?? { tokens: size.burst, atMs: nowMs };
    fill(bucket, size, nowMs);
    this.#buckets.delete(id);
    this.#buckets.set(id, bucket);
    if (this.#buckets.size > this.#addressesMax) this.#forgetOldest();
    return bucket;
  }

  #forgetOldest(): void {
    const [oldest] = this.#buckets.keys();
    if (oldest !== undefined) this.#buckets.delete(oldest);
  }
}

/** The burst is at least one, so that a rate of less than one event in two seconds lets events pass. */
const sizeOf = ({ perAddressPerSecond: perSecond = DEFAULT_PER_SECOND }: LimitedKey): BucketSize => ({
  perSecond,
  burst: Math.max(1, perSecond * BURST_SECONDS),
});
