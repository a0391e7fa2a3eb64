/** Drains a backlog in one call, over the bridges and over TCP, beside the bare client with as many rows over the same bridge. */
import { type Bench, report } from "../bench-context.ts";
import { drainAll, overTcp } from "../candidates.ts";
import { checkConservation, reset } from "../conservation.ts";
import { type OneKind, pushBacklog, WARMUP_ROWS } from "../envelopes.ts";
import { costFigures } from "../figures.ts";
import { insertBare } from "../insert-bare.ts";
import { startMeters } from "../meters.ts";

/** Rows of the bare client, at most: its rate does not depend on how many. */
const BARE_ROWS_MAX = 100_000;
/** A million is drained in every other round: the others tell enough of the spread. */
const MANY = 1_000_000;

export async function drain(bench: Bench): Promise<void> {
  const { backlogs } = bench.settings;
  const bareRows = Math.min(BARE_ROWS_MAX, Math.max(...backlogs));
  report(
    bench,
    "drain",
    "bare client over HTTP, gps",
    await insertBare(bench.stack, { transport: "HTTP", kind: "gps", rows: bareRows }),
  );
  for (const count of backlogs)
    if (count < MANY || bench.round % 2 === 0) {
      await drainOnce(bench, "gps", count);
      if (count < MANY) await drainOnce(bench, "gps", count, " over TCP");
    }
  report(
    bench,
    "drain",
    "bare client over HTTP, webhooks",
    await insertBare(bench.stack, { transport: "HTTP", kind: "webhooks", rows: 10_000 }),
  );
  await drainOnce(bench, "webhooks", 10_000);
  await drainOnce(bench, "webhooks", 10_000, " over TCP");
}

async function drainOnce(
  bench: Bench,
  kind: OneKind,
  count: number,
  way: "" | " over TCP" = "",
): Promise<void> {
  const { stack } = bench;
  const supervisor = await stack.startSupervisor({
    DRAIN_DEADLINE_MS: "600000",
    ...(way === "" ? {} : overTcp(stack)),
  });
  const drainNow = () => drainAll(`http://127.0.0.1:${supervisor.port}`);
  try {
    await reset(stack);
    await pushBacklog(stack, kind, WARMUP_ROWS[kind]);
    await drainNow();
    await reset(stack);
    const ids = await pushBacklog(stack, kind, count);
    const meters = await startMeters(stack, [supervisor.pid]);
    const startedAtMs = performance.now();
    await drainNow();
    const seconds = (performance.now() - startedAtMs) / 1000;
    const costs = await meters.read();
    await meters.stop();
    const figures = { ...costFigures(costs, count), storedPerSecond: count / seconds };
    report(bench, "drain", `Spillway${way}, ${count} ${kind}`, figures, await checkConservation(stack, ids));
  } finally {
    await supervisor.stop();
  }
}
