/**
 * Draining while a table is in trouble: another stream's table is locked the whole time; half of the rows are refused, with 20 ms
 * between the supervisor and Postgres.
 */

import { startReady } from "../../dev/load/children.ts";
import { type Bench, report } from "../bench-context.ts";
import { checkConservation, reset } from "../conservation.ts";
import { pushBacklog, WARMUP_ROWS } from "../envelopes.ts";
import type { Stack } from "../stack.ts";

/** GPS points that are drained beside a locked table: some twenty seconds' worth. */
const BESIDE_LOCK = 200_000;
/** Webhooks whose table is locked; they fill several partitions. */
const LOCKED = 2_000;
const ISOLATED = 1_000;
const POSTGRES_AWAY_MS = "20";

export async function trouble(bench: Bench): Promise<void> {
  await drainBeside(bench, "GPS, no other stream", false);
  await drainBeside(bench, "GPS, the other stream's table locked", true);
  await drainRefused(bench, "1,000 rows, 20 ms to Postgres", false);
  await drainRefused(bench, "1,000 rows, half refused, 20 ms to Postgres", true);
}

async function drainBeside(bench: Bench, name: string, isLocked: boolean): Promise<void> {
  const { stack } = bench;
  const supervisor = await stack.startSupervisor({ DRAIN_DEADLINE_MS: "600000" });
  const drainUntil = (count: number) => drainStored(supervisor.port, "locations", count);
  await reset(stack);
  await pushBacklog(stack, "gps", WARMUP_ROWS.gps);
  await drainUntil(WARMUP_ROWS.gps);
  await reset(stack);
  const ids = await pushBacklog(stack, "gps", BESIDE_LOCK);
  if (isLocked) ids.push(...(await pushBacklog(stack, "webhooks", LOCKED)));
  const unlock = isLocked ? await lock(stack, "events") : async () => {};
  try {
    const seconds = await drainUntil(BESIDE_LOCK);
    await unlock();
    const figures = { storedPerSecond: BESIDE_LOCK / seconds };
    report(bench, "trouble", name, figures, await checkConservation(stack, ids));
  } finally {
    await supervisor.stop();
  }
}

/** Locks a table in a session of its own; returns what unlocks it. */
async function lock({ sql }: Stack, table: string): Promise<() => Promise<void>> {
  const client = await sql.connect();
  await client.query(`begin; lock table ${table} in access exclusive mode`);
  return async () => {
    await client.query("rollback");
    client.release();
  };
}

async function drainRefused(bench: Bench, name: string, isHalfBad: boolean): Promise<void> {
  const { stack } = bench;
  const port = await stack.freePort();
  const bridge = await startReady({
    file: "dev/load/bridge.ts",
    args: ["neon", String(port)],
    env: { DELAY_MS: POSTGRES_AWAY_MS },
    logFile: stack.logFile("bridge-neon-slow"),
  });
  const supervisor = await stack.startSupervisor({
    ...{ NEON_HTTP_URL: `http://127.0.0.1:${port}/sql`, BATCH_MAX_ROWS: String(ISOLATED) },
    EVENT_MAX_BYTES: "8192",
  });
  try {
    await reset(stack);
    await pushBacklog(stack, "gps", WARMUP_ROWS.gps);
    await drainStored(supervisor.port, "locations", WARMUP_ROWS.gps);
    await reset(stack);
    // Points differ in nothing else: half of them are too fast for this table.
    if (isHalfBad) await stack.sql.query("alter table locations add constraint slow check (speed < 15)");
    const ids = await pushBacklog(stack, "gps", ISOLATED, 1);
    const startedAtMs = performance.now();
    await fetch(`http://127.0.0.1:${supervisor.port}/drain`, { method: "POST" });
    const drainMs = performance.now() - startedAtMs;
    const conservation = await checkConservation(stack, ids);
    report(bench, "trouble", name, { drainMs, refused: conservation.dead }, conservation);
  } finally {
    await stack.sql.query("alter table locations drop constraint if exists slow");
    await supervisor.stop();
    await bridge.stop();
  }
}

/** Makes ticks until so many events of a stream are stored; returns how long that took, in seconds. */
async function drainStored(port: number, stream: string, count: number): Promise<number> {
  const startedAtMs = performance.now();
  let stored = 0;
  while (stored < count) {
    const response = await fetch(`http://127.0.0.1:${port}/drain`, { method: "POST" });
    const { streams } = (await response.json()) as { streams: { stream: string; stored: number }[] };
    stored += streams.find((one) => one.stream === stream)?.stored ?? 0;
  }
  return (performance.now() - startedAtMs) / 1000;
}
