/**
 * What the newest event of a key costs beside the first: batches of 100 of the same fixes, inserted by the store into `locations` (DO
 * NOTHING) and into `positions` (the newest wins), by turns, one at a time.
 */
import { randomUUID } from "node:crypto";
import { rowOf } from "../../lib/schema/json-row.ts";
import type { Stream } from "../../lib/schema/stream.ts";
import { connect } from "../../lib/store/database.ts";
import { createStore, type Store } from "../../lib/store/store.ts";
import locations from "../../test/streams/locations.ts";
import positions from "../../test/streams/positions.ts";
import { type Bench, report } from "../bench-context.ts";
import { reset } from "../conservation.ts";
import type { Results } from "../results.ts";
import type { Stack } from "../stack.ts";

const BATCH = 100;
const BATCHES = 300;
const TIMEOUT_MS = 10_000;

/** Whose fixes a batch holds: the number of the user of the i-th fix. */
const LOADS: [name: string, userOf: (i: number) => number][] = [
  ["new users", (i) => i],
  ["500 users, each fix newer", (i) => i % 500],
  ["10 users, ten fixes of each in a batch", (i) => i % 10],
];

export async function upsert({ stack, ...bench }: Bench): Promise<void> {
  const store = createStore(connect(stack.databaseUrl, TIMEOUT_MS, stack.neonHttpUrl), TIMEOUT_MS);
  for (const [name, userOf] of LOADS) {
    await reset(stack);
    await stack.sql.query("truncate positions");
    const spentMs = { locations: 0, positions: 0 };
    for (let batch = 0; batch < BATCHES; batch++)
      for (const stream of [locations, positions])
        spentMs[stream.name as keyof typeof spentMs] += await timeOf(store, stream, batch, userOf);
    await checkRows(stack, bench.results, userOf);
    for (const [stream, ms] of Object.entries(spentMs))
      report({ stack, ...bench }, "upsert", `${stream}: ${name}`, {
        batchMs: ms / BATCHES,
        storedPerSecond: (BATCH * BATCHES) / (ms / 1000),
      });
  }
  await stack.sql.query("truncate positions");
}

/** Each fix is a row of `locations`, and the last fix of each user the one of `positions`. */
async function checkRows({ sql }: Stack, results: Results, userOf: (i: number) => number): Promise<void> {
  const { rows } = await sql.query(
    `select (select count(*)::int from locations) as fixes, (select count(*)::int from positions) as users,
      (select count(*)::int from positions p where recorded_at =
        (select max(recorded_at) from locations l where l.user_id = p.user_id)) as newest`,
  );
  const users = new Set(Array.from({ length: BATCH * BATCHES }, (_, i) => userOf(i))).size;
  const [{ fixes, users: found, newest }] = rows;
  results.checksOfConservation += 1;
  if (fixes !== BATCH * BATCHES || found !== users || newest !== users)
    results.losses.push(`upsert: ${fixes} fixes, ${newest} of ${found} users at their newest`);
}

/** Inserts one batch. Returns how long it took, in milliseconds. */
async function timeOf(
  store: Store,
  stream: Stream,
  batch: number,
  userOf: (i: number) => number,
): Promise<number> {
  const rows = Array.from({ length: BATCH }, (_, k) => rowFor(stream, batch * BATCH + k, userOf));
  const startedAtMs = performance.now();
  await store.insert(stream, rows);
  return performance.now() - startedAtMs;
}

function rowFor(stream: Stream, i: number, userOf: (i: number) => number) {
  const at = new Date(Date.UTC(2026, 0, 1) + i * 1000).toISOString();
  const data = { userId: `user-${userOf(i)}`, lat: i % 90, lng: i % 180, accuracy: 5, recordedAt: at };
  const row = rowOf(stream, { v: 1, id: randomUUID(), receivedAt: at, dataJson: JSON.stringify(data) });
  if ("reason" in row) throw new Error(`expected a row, got: ${row.reason}`);
  return row;
}
