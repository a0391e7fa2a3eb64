/**
 * Answers 429 to a key, or to a public key's client address, that sends more than it may. Each function returns a promise only if Redis
 * has to be asked first.
 */
import type { AddressRates } from "../lib/access/address-rates.ts";
import type { RateShares } from "../lib/access/rate-shares.ts";
import type { ApiKey } from "../lib/config.ts";
import { headerNames } from "../lib/contract/header-names.ts";
import type { AnswerCounts } from "../lib/ingest/answer-counts.ts";
import type { Post } from "./admit-body.ts";
import { Problem, tryAgain } from "./answer.ts";

/** What is asked of the rates of keys. */
export type Rates = Pick<RateShares, "headersOf" | "largestRequest" | "take" | "waitSeconds">;

export interface RateDeps {
  rates: Rates;
  /** The rates of the client addresses of public keys. */
  addresses: Pick<AddressRates, "take" | "waitSeconds">;
  counts: Pick<AnswerCounts, "add">;
}

/** Makes the 429 of a key. */
export const tooFast = (rates: Rates, key: ApiKey, waitSeconds: number, detail: string): Problem =>
  new Problem(
    "rate-limited",
    detail,
    {},
    { [headerNames.retryAfter]: String(waitSeconds), ...rates.headersOf(key, waitSeconds) },
  );

const keyTooFast = (rates: Rates, key: ApiKey, waitSeconds: number) =>
  tooFast(rates, key, waitSeconds, "this key sends more than it may; nothing was kept");

const addressTooFast = (waitSeconds: number) =>
  tryAgain(
    "rate-limited",
    "this client's address sends more than it may with a public key; nothing was kept",
    {},
    waitSeconds,
  );

/** Throws a 429 if the key, or a public key's client address, has sent more than it may. */
export function refuseInDebt(
  { rates, addresses }: RateDeps,
  { key, address }: Post,
): Promise<void> | undefined {
  const addressWaits = address === undefined ? 0 : addresses.waitSeconds(key, address);
  if (addressWaits > 0) throw addressTooFast(addressWaits);
  return throwIfWaiting(rates.waitSeconds(key), (waitSeconds) => keyTooFast(rates, key, waitSeconds));
}

/** Takes the tokens of so many events. Throws a 413 or 429 if the key, or its client's address, may not send them. */
export function takeTokens(deps: RateDeps, post: Post, count: number): Promise<void> | undefined {
  const { rates, addresses, counts } = deps;
  const { stream, key, address } = post;
  refuseForever(rates, key, count);
  const addressWaits = address === undefined ? 0 : addresses.take(key, address, count);
  return throwIfWaiting(addressWaits > 0 ? addressWaits : rates.take(key, count), (waitSeconds) => {
    counts.add(stream.name, { shed: count });
    return addressWaits > 0 ? addressTooFast(waitSeconds) : keyTooFast(rates, key, waitSeconds);
  });
}

/** Throws a 413 for a request that the key's rate never lets through, so that nobody sends it again and again. */
function refuseForever(rates: Rates, key: ApiKey, count: number): void {
  const most = rates.largestRequest(key);
  if (count <= most) return;
  throw new Problem(
    "too-many-events",
    `this key may send ${key.eventsPerSecond} events a second, and at most ${most} in one request; got ${count}`,
  );
}

/** Throws the problem if there are seconds to wait. */
function throwIfWaiting(
  waiting: number | Promise<number>,
  problem: (waitSeconds: number) => Problem,
): Promise<void> | undefined {
  if (typeof waiting !== "number")
    return waiting.then((waitSeconds) => void throwIfWaiting(waitSeconds, problem));
  if (waiting > 0) throw problem(waiting);
  return undefined;
}
