/**
 * The conservation check that every run ends with: accepted = stored + dead + buffered, by count and by distinct
 * id. Something answered with an error, or not at all, may be kept as well; something accepted must be.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Stack } from "./stack.ts";

export interface Conservation {
  accepted: number;
  distinct: number;
  stored: number;
  dead: number;
  buffered: number;
  /** Accepted and nowhere. */
  lost: number;
  /** Somewhere, but never accepted: requests that broke off. */
  extra: number;
  isKept: boolean;
}

const TABLES = ["events", "locations"];

/** Where every accepted id is. `ids` are what clients were told, `inFlight` how many events they never heard of. */
export async function checkConservation(
  stack: Stack,
  ids: readonly string[],
  inFlight = 0,
): Promise<Conservation> {
  const stored = await idsIn(stack, TABLES.map((table) => `select id from ${table}`).join(" union all "));
  const dead = await idsIn(stack, "select id from dead_letters");
  const buffered = await bufferedIds(stack);
  const accepted = new Set(ids);
  const everywhere = new Set([...stored, ...dead, ...buffered]);
  let lost = 0;
  for (const id of accepted) if (!everywhere.has(id)) lost += 1;
  const extra = everywhere.size - (accepted.size - lost);
  return {
    accepted: ids.length,
    distinct: accepted.size,
    stored: stored.length,
    dead: dead.length,
    buffered: buffered.length,
    lost,
    extra,
    isKept:
      lost === 0 &&
      accepted.size === ids.length &&
      everywhere.size === stored.length + dead.length + buffered.length &&
      extra <= inFlight,
  };
}

async function idsIn({ sql }: Stack, query: string): Promise<string[]> {
  const { rows } = await sql.query<{ ids: string | null }>(
    `select string_agg(id::text, ',') as ids from (${query}) q`,
  );
  return rows[0]?.ids?.split(",") ?? [];
}

async function bufferedIds({ redis }: Stack): Promise<string[]> {
  const ids: string[] = [];
  for (const key of await redis.keys("{spillway}:*")) {
    const [, stream = "", list = ""] = key.split(":");
    if (!TABLES.includes(stream) || !["pending", "sealed", "claimed"].includes(list)) continue;
    for (const text of await redis.lrange(key, 0, -1)) ids.push((JSON.parse(text) as { id: string }).id);
  }
  return ids;
}

/**
 * Empties tables and Redis, ends others' sessions, makes a checkpoint and rewrites the AOF, so that every round begins
 * alike. Both are housekeeping of the local servers, which would fall into some measurement.
 */
export async function reset({ sql, redis }: Stack): Promise<void> {
  await sql.query(
    "select pg_terminate_backend(pid) from pg_stat_activity where datname = 'spillway' and application_name <> 'bench'",
  );
  await redis.flushall();
  await rewriteAof(redis);
  await sql.query(`truncate ${[...TABLES, "dead_letters"].join(", ")}`);
  await sql.query("drop schema if exists pgboss cascade");
  await sql.query("checkpoint");
}

async function rewriteAof(redis: Stack["redis"]): Promise<void> {
  await redis.bgrewriteaof();
  while (/aof_rewrite_(in_progress|scheduled):1/.test(await redis.info("persistence"))) await sleep(10);
}
