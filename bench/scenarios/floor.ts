/** The floor under the buffer and the store: redis-benchmark's LPUSH, and bare inserts over HTTP and TCP. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { type Bench, report } from "../bench-context.ts";
import { reset } from "../conservation.ts";
import { insertBare } from "../insert-bare.ts";

const PUSHES = 100_000;
const ROWS = 10_000;

export async function floor(bench: Bench): Promise<void> {
  await reset(bench.stack);
  await pushByRedisBenchmark(bench);
  for (const kind of ["gps", "webhooks"] as const)
    for (const transport of ["HTTP", "TCP"] as const) {
      const figures = await insertBare(bench.stack, { transport, kind, rows: ROWS });
      report(bench, "floor", `jsonb_to_recordset over ${transport}, ${kind}`, figures);
    }
}

/** Where redis-benchmark is not installed, the row is left out. */
async function pushByRedisBenchmark(bench: Bench): Promise<void> {
  const args = [
    "-p",
    String(bench.stack.redisPort),
    "-t",
    "lpush",
    "-n",
    String(PUSHES),
    "-c",
    "64",
    "-d",
    "250",
  ];
  const ran = await promisify(execFile)("redis-benchmark", [...args, "--csv"]).catch(() => undefined);
  const line = ran?.stdout.split("\n").find((one) => one.startsWith('"LPUSH'));
  if (!line) return;
  const [, perSecond, , , p50Ms, , p99Ms] = line.split(",").map((cell) => Number(cell.replaceAll('"', "")));
  report(bench, "floor", "redis-benchmark LPUSH", {
    eventsPerSecond: perSecond ?? 0,
    p50Ms: p50Ms ?? 0,
    p99Ms: p99Ms ?? 0,
  });
}
