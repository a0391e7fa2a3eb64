/**
 * Meters: what a stretch of work cost in Postgres, in Redis and in processes. Postgres's transactions are those that
 * wrote (each takes one transaction id, so the count is exact at once; autovacuum's few are among them), its CPU that
 * of all its processes.
 */
import { countBilledCommands } from "../dev/stack/billed-commands.ts";
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
  /** The two bridges', which belongs to the local stack and not to what is measured. */
  bridgeCpuSeconds: number;
  /** CPU seconds and peak memory of the processes that were named. */
  processCpuSeconds: number;
  peakMemoryBytes: number;
}

export interface Meters {
  /** What it has cost so far. */
  read(): Promise<Costs>;
  stop(): Promise<void>;
}

const SAMPLE_EVERY_MS = 50;

type Reading = Omit<Costs, "peakConnections" | "peakMemoryBytes">;

/** Starts measuring the servers and the processes named. */
export async function startMeters(stack: Stack, pids: readonly number[] = []): Promise<Meters> {
  for (const pid of pids) resetPeakMemory(pid);
  const connections = watchConnections(stack);
  const before = await read(stack, pids);
  return {
    read: async () => {
      const after = await read(stack, pids);
      const since = Object.entries(after).map(([name, value]) => [
        name,
        value - before[name as keyof Reading],
      ]);
      return {
        ...(Object.fromEntries(since) as Reading),
        peakConnections: connections.peak(),
        peakMemoryBytes: Math.max(0, ...pids.map(peakMemoryOf)),
      };
    },
    stop: connections.stop,
  };
}

async function read(stack: Stack, pids: readonly number[]): Promise<Reading> {
  const { rows } = await stack.observer.query<{ xid: string; wal: string }>(
    "select pg_snapshot_xmax(pg_current_snapshot())::text as xid, pg_current_wal_insert_lsn() - '0/0' as wal",
  );
  const commandstats = await stack.redis.info("commandstats");
  const cpuOf = (these: readonly number[]) => these.reduce((sum, pid) => sum + cpuSecondsOf(pid), 0);
  return {
    seconds: performance.now() / 1000,
    postgresTransactions: Number(rows[0]?.xid),
    postgresCpuSeconds: cpuSecondsOfTree(stack.postgresPid),
    walBytes: Number(rows[0]?.wal),
    redisCommands: await countBilledCommands(stack.redis),
    pushCommands: Number(/^cmdstat_lpush:calls=(\d+)/m.exec(commandstats)?.[1] ?? 0),
    redisCpuSeconds: cpuOf([stack.redisPid]),
    bridgeCpuSeconds: cpuOf(stack.bridgePids),
    processCpuSeconds: cpuOf(pids),
  };
}

/** Counts sessions in the measured database, the benchmark's own left out. */
async function countConnections({ observer }: Stack): Promise<number> {
  const { rows } = await observer.query<{ n: number }>(
    "select count(*)::int as n from pg_stat_activity where datname = 'spillway' and backend_type = 'client backend' and application_name <> 'bench'",
  );
  return rows[0]?.n ?? 0;
}

function watchConnections(stack: Stack) {
  let peak = 0;
  let isOver = false;
  const watching = (async () => {
    while (!isOver) {
      peak = Math.max(peak, await countConnections(stack));
      await new Promise((resolve) => setTimeout(resolve, SAMPLE_EVERY_MS));
    }
  })().catch(() => {}); // the stack ended first: whoever ended it says why
  return {
    peak: () => peak,
    stop: async () => {
      isOver = true;
      await watching;
    },
  };
}
