/**
 * Measures one candidate under one load: what it answered, what reached Postgres and how late, what that cost, and
 * whether everything accepted is somewhere.
 */

import { type Load, runLoad } from "../dev/load/load.ts";
import type { LoadJob } from "../dev/load/load-job.ts";
import type { Candidate, Running } from "./candidates.ts";
import { type Conservation, checkConservation, reset } from "./conservation.ts";
import { type Costs, startMeters } from "./meters.ts";
import type { Stack } from "./stack.ts";

export interface Measured {
  load: Load;
  /** What the load itself cost, before anything that still waited was stored. */
  costs: Costs;
  /** What everything cost until the last event was stored. */
  total: Costs | undefined;
  storedPerSecond: number;
  lagP50Ms: number;
  lagP99Ms: number;
  /** NaN where nobody counts batches. */
  rowsPerBatch: number;
  conservation: Conservation;
}

/** How long workers may take to store what they accepted. */
const STORE_WITHIN_MS = 180_000;

export async function measure(
  stack: Stack,
  candidate: Candidate,
  job: Partial<LoadJob> & Pick<LoadJob, "phases">,
): Promise<Measured> {
  await reset(stack);
  const running = await candidate.start(stack);
  try {
    const meters = await startMeters(stack, running.pids);
    const load = await runLoad({ ...job, port: running.port, apiKey: stack.apiKey });
    const costs = await meters.read();
    if (candidate.stores) await untilStored(stack, running, load.ids.length);
    const total = candidate.stores ? await meters.read() : undefined;
    await meters.stop();
    const stored = candidate.stores ? await countStored(stack) : 0;
    return {
      load,
      costs,
      total,
      storedPerSecond: total ? stored / total.seconds : 0,
      ...(await readLag(stack)),
      rowsPerBatch: stored / (running.countBatches?.() ?? Number.NaN),
      conservation: await checkConservation(stack, load.ids, load.unanswered * (job.perPost ?? 1)),
    };
  } finally {
    await running.stop();
  }
}

async function untilStored(stack: Stack, { finish }: Running, accepted: number): Promise<void> {
  if (finish) return finish();
  const giveUpAtMs = performance.now() + STORE_WITHIN_MS;
  while (performance.now() < giveUpAtMs) {
    if ((await countStored(stack)) >= accepted) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function countStored({ sql }: Stack): Promise<number> {
  const { rows } = await sql.query<{ n: number }>(
    "select ((select count(*) from events) + (select count(*) from locations))::int as n",
  );
  return rows[0]?.n ?? 0;
}

/** From accepted to stored: `stored_at` is when the inserting transaction began. */
async function readLag({ sql }: Stack): Promise<{ lagP50Ms: number; lagP99Ms: number }> {
  const { rows } = await sql.query<{ p50: number | null; p99: number | null }>(`
    select percentile_cont(0.5) within group (order by ms) as p50, percentile_cont(0.99) within group (order by ms) as p99
    from (select extract(epoch from stored_at - received_at) * 1000 as ms from events
          union all select extract(epoch from stored_at - received_at) * 1000 from locations) q`);
  return { lagP50Ms: Number(rows[0]?.p50 ?? Number.NaN), lagP99Ms: Number(rows[0]?.p99 ?? Number.NaN) };
}
