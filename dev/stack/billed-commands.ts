/**
 * Counts the commands that a Redis has run, as Upstash bills them: every command, every command of a pipeline or a
 * transaction, and every redis.call inside a script.
 *
 * Redis counts the same commands in `INFO commandstats`, including calls by scripts. Commands that Upstash does not bill
 * (connection handling, INFO, PING and similar ones) are left out, so the counting does not count itself. The figure is for
 * all clients of the server, and starts at 0 with each Redis process.
 */
import type { Redis } from "ioredis";

export type BilledCommandsCounter = () => Promise<number>;

const unbilled = new Set(
  "auth hello select ping quit reset echo info config command client debug slowlog".split(" "),
);

/** The number of billed commands since Redis started or its statistics were reset. Take the difference of two. */
export async function countBilledCommands(redis: Pick<Redis, "info">): Promise<number> {
  let billed = 0;
  for (const [, name, calls] of (await redis.info("commandstats")).matchAll(
    /^cmdstat_([^:|]+)[^:]*:calls=(\d+)/gm,
  )) {
    if (!unbilled.has(name ?? "")) billed += Number(calls);
  }
  return billed;
}
