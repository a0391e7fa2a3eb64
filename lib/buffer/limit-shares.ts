/**
 * Asks Redis for an instance's shares of the rates of API keys: one script call for any number of keys. The script
 * (lua/share-limits.lua) decides by Redis's clock how much each instance gets.
 */
import type { Redis } from "@upstash/redis";
import { readScript } from "./lua-scripts.ts";
import { keyRateKey } from "./redis-keys.ts";

/** What an instance reports of one key, and asks for. All are numbers of events. */
export interface ShareAsk {
  keyName: string;
  /** The key's rate over all instances, a second. */
  perSecond: number;
  /** Let through since the last time that it asked. */
  used: number;
  /** Wanted of it, a second; undefined: not known yet. */
  demandPerSecond: number | undefined;
  /** May still be let through by the share that it has; below 0: a debt. */
  tokens: number;
  /** In the largest request that waits for the reply; 0: none does. */
  wanted: number;
  /** In all requests that wait for it. */
  waiting: number;
  /** In its usual request. */
  requestSize: number;
}

/** One instance's share of a key's rate. */
export interface GivenShare {
  /** Events a second that it may let through from now on. */
  perSecond: number;
  /** Events that it may let through beside that, in place of those that it reported. */
  tokens: number;
  /** How long the share lasts from when it was asked for, in milliseconds. */
  validMs: number;
  /** How soon it is worth asking again if the share is used up, in milliseconds. */
  askAgainMs: number;
  /** Its part of the rate by demand, a second: its share while Redis is away. */
  fairPerSecond: number;
  /** When the largest request that waited may pass at the earliest, if others take nothing, in milliseconds; 0: it may now. */
  waitMs: number;
}

export type AskForShares = (asks: readonly ShareAsk[]) => Promise<GivenShare[]>;

const NUMBERS_EACH = 6;

/**
 * Makes the function that asks. `instance` names the process; it has no space in it. A call may be repeated: an instance's new share
 * takes the place of its last one. Errors of the client pass through.
 */
export function createLimitShares(redis: Pick<Redis, "createScript">, instance: string): AskForShares {
  const script = redis.createScript<string[]>(readScript("share-limits"));
  return async (asks) => {
    const keys = asks.map(({ keyName }) => keyRateKey(keyName));
    const reply = await script.exec(keys, [instance, ...asks.flatMap(argumentsOf)]);
    if (!Array.isArray(reply) || reply.length !== NUMBERS_EACH * asks.length)
      throw new Error(
        `expected ${NUMBERS_EACH} numbers for each of ${asks.length} keys from share-limits.lua`,
      );
    return asks.map((_, i) => shareOf(reply.slice(i * NUMBERS_EACH, (i + 1) * NUMBERS_EACH).map(Number)));
  };
}

const argumentsOf = (ask: ShareAsk): string[] => [
  ...[ask.perSecond, ask.used].map(String),
  ask.demandPerSecond === undefined ? "" : ask.demandPerSecond.toFixed(3),
  ...[ask.tokens, ask.wanted, ask.waiting, ask.requestSize].map((number) => number.toFixed(3)),
];

function shareOf([
  perSecond = 0,
  tokens = 0,
  validMs = 0,
  askAgainMs = 0,
  fairPerSecond = 0,
  waitMs = 0,
]: number[]): GivenShare {
  return { perSecond, tokens, validMs, askAgainMs, fairPerSecond, waitMs };
}
