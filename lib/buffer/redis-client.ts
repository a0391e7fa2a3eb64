/**
 * The client of Redis, on one of two ways to it: Upstash's client, without the features that would repeat, mix or reinterpret commands. It
 * makes the commands; they are sent once, and strings come back unchanged. The rest of the buffer does not know which way it is.
 */
import { Redis, type Requester } from "@upstash/redis";
import { overRest, type RestEndpoint } from "./over-rest.ts";
import { overTcp } from "./over-tcp.ts";
import { RedisLink } from "./redis-link.ts";

/** Where Redis is: `redisUrl` if it is given, else Upstash's REST. */
export type RedisPlace = { [name in keyof RestEndpoint | "redisUrl"]?: string | undefined };

/** One Redis, opened once for a process. */
export interface OpenRedis {
  /** The client, for callers who wait `timeoutMs` at most for each command. redis-errors.ts explains the errors. */
  within(timeoutMs: number): Redis;
  /** Closes its connection. */
  close(): void;
}

/** A client that is made with a requester takes no options, so this class sets the one that is needed. */
class PlainRedis extends Redis {
  protected override opts = { automaticDeserialization: false };
}

const clientOn = (requester: Requester): Redis => new PlainRedis(requester);

/** Opens a Redis; it is not asked before the first command. */
export function openRedis(place: RedisPlace, monotonicMs = () => performance.now()): OpenRedis {
  const { redisUrl, restUrl = "", restToken = "" } = place;
  if (redisUrl === undefined)
    return { within: (timeoutMs) => clientOn(overRest({ restUrl, restToken }, timeoutMs)), close: () => {} };
  const link = new RedisLink(redisUrl, monotonicMs);
  return { within: (timeoutMs) => clientOn(overTcp(link, timeoutMs)), close: () => link.close() };
}

/** Opens a Redis for one caller: for what is no process of Spillway's. Every command gives up after `timeoutMs`. */
export const connectRedis = (place: RedisPlace, timeoutMs: number): Redis =>
  openRedis(place).within(timeoutMs);
