/** Where each fix sent to `positions` is, by reading the servers: the table holds one row for each user. */
import { expect } from "vitest";
import type { World } from "./test-stack.ts";

export interface Fix {
  id: string;
  userId: string;
  lat: number;
  lng: number;
  accuracy?: number;
  speed?: number;
  recordedAt: string;
}

type Place = "stored" | "superseded" | "held" | "dead" | "buffered" | "lost";

/** Says of each fix where it is. */
export async function settlePositions(
  { redis, sql }: Pick<World, "redis" | "sql">,
  fixes: readonly Fix[],
): Promise<Place[]> {
  const { rows } = await sql.query("select user_id, id, recorded_at from positions");
  const stored = new Map(rows.map(({ user_id, id, recorded_at }) => [user_id, { id, at: +recorded_at }]));
  const letters = await sql.query(
    "select id, retry_at is null as is_dead from dead_letters where stream = 'positions' and redriven_at is null",
  );
  const aside = new Map(letters.rows.map(({ id, is_dead }) => [id, is_dead ? "dead" : "held"] as const));
  const buffered = new Set<string>();
  for (const key of await redis.keys("{spillway}:positions:*")) {
    if (!/:(pending|sealed|claimed):/.test(key)) continue;
    for (const text of await redis.lrange(key, 0, -1)) buffered.add((JSON.parse(text) as { id: string }).id);
  }
  return fixes.map(({ id, userId, recordedAt }) => {
    const row = stored.get(userId);
    const moment = Date.parse(recordedAt);
    if (row?.id === id && row.at === moment) return "stored";
    if (row && (row.at > moment || (row.at === moment && row.id > id))) return "superseded";
    return aside.get(id) ?? (buffered.has(id) ? "buffered" : "lost");
  });
}

/** Conservation: accepted = stored + superseded + held + dead + still buffered, by id. */
export async function expectConservedByKey(
  world: Pick<World, "redis" | "sql">,
  accepted: readonly Fix[],
): Promise<void> {
  const places = await settlePositions(world, accepted);
  expect(accepted.filter((_, i) => places[i] === "lost")).toEqual([]);
}
