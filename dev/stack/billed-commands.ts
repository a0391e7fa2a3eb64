/**
 * How many commands a Redis has run, as Upstash bills them: every command, every command of a pipeline or a
 * transaction, and every redis.call inside a script.
 *
 * Redis counts exactly that in `INFO commandstats`, which includes calls made by scripts. Commands that Upstash
 * does not bill (connection handling, INFO, PING and their like) are left out, so counting does not count itself.
 * The figure is for the whole server, whoever sent the command, and starts again at 0 with the Redis process.
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
