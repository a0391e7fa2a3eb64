/**
 * Meters: what a stretch of work cost in Postgres, in Redis and in processes. Read once before and once after; the
 * difference is the cost. Postgres's transactions are those that wrote (each takes one transaction id, so the count
 * is exact at once), its CPU that of all its processes.
 */
import { countBilledCommands } from "../dev/billed-commands.ts";
import { cpuSecondsOf, cpuSecondsOfTree, peakMemoryOf, resetPeakMemory } from "./proc.ts";
import type { Stack } from "./stack.ts";

export interface Costs {
  seconds: number;
  postgresTransactions: number;
  postgresCpuSeconds: number;
  walBytes: number;
  peakConnections: number;
  /** As Upstash bills them, calls inside scripts counted. */
  redisCommands: number;
  /** The LPUSH among them: what pushing cost. */
  pushCommands: number;
  redisCpuSeconds: number;
  /** CPU seconds and peak memory of the processes that were named. */
  processCpuSeconds: number;
  peakMemoryBytes: number;
}

const SAMPLE_EVERY_MS = 50;

interface Reading {
  atMs: number;
  transactions: number;
  walBytes: number;
  postgresCpu: number;
  commands: number;
  pushes: number;
  redisCpu: number;
  processCpu: number;
}

/** Starts measuring; the function returned stops and says what it cost since. */
export async function startMeters(stack: Stack, pids: readonly number[] = []): Promise<() => Promise<Costs>> {
  for (const pid of pids) resetPeakMemory(pid);
  const connections = watchConnections(stack);
  const before = await read(stack, pids);
  return async () => {
    const peakMemoryBytes = Math.max(0, ...pids.map(peakMemoryOf));
    const after = await read(stack, pids);
    return {
      seconds: (after.atMs - before.atMs) / 1000,
      postgresTransactions: after.transactions - before.transactions,
      postgresCpuSeconds: after.postgresCpu - before.postgresCpu,
      walBytes: after.walBytes - before.walBytes,
      peakConnections: await connections.stop(),
      redisCommands: after.commands - before.commands,
      pushCommands: after.pushes - before.pushes,
      redisCpuSeconds: after.redisCpu - before.redisCpu,
      processCpuSeconds: after.processCpu - before.processCpu,
      peakMemoryBytes,
    };
  };
}

async function read(stack: Stack, pids: readonly number[]): Promise<Reading> {
  const { rows } = await stack.observer.query<{ xid: string; wal: string }>(
    "select pg_snapshot_xmax(pg_current_snapshot())::text as xid, pg_current_wal_insert_lsn() - '0/0' as wal",
  );
  const commandstats = await stack.redis.info("commandstats");
  return {
    atMs: performance.now(),
    transactions: Number(rows[0]?.xid),
    walBytes: Number(rows[0]?.wal),
    postgresCpu: cpuSecondsOfTree(stack.postgresPid),
    commands: await countBilledCommands(stack.redis),
    pushes: Number(/^cmdstat_lpush:calls=(\d+)/m.exec(commandstats)?.[1] ?? 0),
    redisCpu: cpuSecondsOf(stack.redisPid),
    processCpu: pids.reduce((sum, pid) => sum + cpuSecondsOf(pid), 0),
  };
}

/** Counts sessions in the measured database, the benchmark's own left out. */
export async function countConnections({ observer }: Stack): Promise<number> {
  const { rows } = await observer.query<{ n: number }>(
    "select count(*)::int as n from pg_stat_activity where datname = 'spillway' and application_name <> 'bench'",
  );
  return rows[0]?.n ?? 0;
}

function watchConnections(stack: Stack): { stop(): Promise<number> } {
  let peak = 0;
  let isOver = false;
  const watching = (async () => {
    while (!isOver) {
      peak = Math.max(peak, await countConnections(stack));
      await new Promise((resolve) => setTimeout(resolve, SAMPLE_EVERY_MS));
    }
  })().catch(() => {}); // the stack ended first: whoever ended it says why
  return {
    stop: async () => {
      isOver = true;
      await watching;
      return peak;
    },
  };
}
