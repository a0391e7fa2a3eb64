/**
 * The rate of each client address that sends with a public key: a token bucket that gains `perAddressPerSecond` tokens a second, and holds
 * those of two seconds. One event costs one token. A request larger than the bucket passes if the bucket is full, and later ones
 * wait until it has filled again.
 *
 * It bounds one client and not the sum of all: that is the key's own rate. At most 10,000 addresses are remembered, and
 * the least recently used is forgotten. Each instance counts by itself.
 */
import type { ApiKey } from "../config.ts";

/** Events a second of one address, if its key says nothing else. */
const DEFAULT_PER_SECOND = 10;
const BURST_SECONDS = 2;
const ADDRESSES_MAX = 10_000;

type LimitedKey = Pick<ApiKey, "name" | "perAddressPerSecond">;

interface Bucket {
  tokens: number;
  atMs: number;
}

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
    return secondsUntil(1, this.#filled(key, address), rateOf(key));
  }

  /** Takes a token for each of `count` events. Returns 0, or, if there are too few, the seconds to wait. */
  take(key: LimitedKey, address: string, count: number): number {
    const bucket = this.#filled(key, address);
    const seconds = secondsUntil(Math.min(count, burstOf(key)), bucket, rateOf(key));
    if (seconds === 0) bucket.tokens -= count;
    return seconds;
  }

  /** The bucket of an address, with what it has gained until now. */
  #filled(key: LimitedKey, address: string): Bucket {
    const id = `${key.name} ${address}`;
    const atMs = this.#monotonicMs();
    const bucket = this.#buckets.get(id) ?? { tokens: burstOf(key), atMs };
    bucket.tokens = Math.min(burstOf(key), bucket.tokens + ((atMs - bucket.atMs) / 1000) * rateOf(key));
    bucket.atMs = atMs;
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

const rateOf = ({ perAddressPerSecond = DEFAULT_PER_SECOND }: LimitedKey): number => perAddressPerSecond;
/** At least one, so that a rate of less than one event in two seconds lets events pass. */
const burstOf = (key: LimitedKey): number => Math.max(1, rateOf(key) * BURST_SECONDS);

const secondsUntil = (tokens: number, bucket: Bucket, perSecond: number): number =>
  bucket.tokens >= tokens ? 0 : Math.ceil((tokens - bucket.tokens) / perSecond);
