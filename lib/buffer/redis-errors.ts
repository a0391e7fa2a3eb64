/**
 * The meaning of a failed Redis command, over REST and over TCP. Redis and Upstash have no codes: refusals are told apart by the words with
 * which their messages begin (upstash.com/docs/redis/troubleshooting), everything else counts as no answer.
 */
import { ConnectionFailed, TimedOut } from "../http-post.ts";

export type RedisFailure =
  /** The connection broke or could not be made: nothing is known; once more at once is worth it. */
  | "connection"
  /** No answer in time, or one that cannot be read. */
  | "silent"
  /** `max requests limit exceeded`: the month's or the day's quota is used up. */
  | "quota"
  /** `max single record size exceeded`: this list is full. */
  | "list-full"
  /** OOM, or the database's size limit: everything is full. */
  | "full"
  /**
   * The login or a right is refused, a key of ours holds another type, TLS fails, or another node of a Redis Cluster has our keys: somebody
   * has to mend it.
   */
  | "misconfigured"
  /** Redis answered with another error; it is there. */
  | "answered";

/** The names of the client's own errors: a refusal, an unreadable answer, an LPUSH without a number. */
const OF_THE_CLIENT = ["UpstashError", "UpstashJSONParseError", "PushUnconfirmed", "RedisMisconfigured"];

/** Redis lets nobody in with this login, this database or this certificate. */
export class RedisMisconfigured extends Error {
  override name = "RedisMisconfigured";
}

/** Whether Redis, its client or the network threw it; any other error is a fault of ours. */
export const isOfRedis = (error: unknown): boolean =>
  error instanceof ConnectionFailed ||
  error instanceof TimedOut ||
  (error instanceof Error && OF_THE_CLIENT.includes(error.name));

/** Reads the failure from an error of the client in redis-client.ts. */
export function redisFailureOf(error: unknown): RedisFailure {
  if (!(error instanceof Error)) return "silent";
  if (error instanceof ConnectionFailed) return "connection";
  if (error instanceof RedisMisconfigured) return "misconfigured";
  if (error.name !== "UpstashError") return "silent"; // time-out, unreadable body
  const said = error.message;
  if (/max (daily |monthly )?requests? limit exceeded/i.test(said)) return "quota";
  if (/max single record size exceeded/i.test(said)) return "list-full";
  if (/^(ERR )?(OOM|max (database|data|total data) size|DB capacity)/i.test(said)) return "full";
  if (/^(ERR )?(WRONGPASS|NOAUTH|NOPERM|DENIED|WRONGTYPE|Unauthorized|MOVED|ASK |CROSSSLOT)/i.test(said))
    return "misconfigured";
  if (/^ERR max number of clients/i.test(said)) return "silent";
  return /^[A-Z]{2,}\b/.test(said) ? "answered" : "silent";
}
