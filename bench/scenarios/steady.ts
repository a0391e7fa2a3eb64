/** Steady rates, open loop, with eager flushes and a tick at the end; and what a tick costs that finds nothing. */
import { type Bench, report } from "../bench-context.ts";
import { spillway } from "../candidates.ts";
import { reset } from "../conservation.ts";
import { figuresOf } from "../figures.ts";
import { measure } from "../measure.ts";
import { startMeters } from "../meters.ts";

/** Events a second, and how many go in one post: a machine of two cores can't offer 3,000 posts and serve them. */
const rates = [
  { perSecond: 100, perPost: 1 },
  { perSecond: 200, perPost: 1 },
  { perSecond: 1000, perPost: 1 },
  { perSecond: 3000, perPost: 10 },
];
const TICKS = 20;
const TICKS_A_MONTH = 60 * 24 * 30.4;

export async function steady(bench: Bench): Promise<void> {
  for (const { perSecond, perPost } of rates) {
    const measured = await measure(bench.stack, spillway, {
      kind: "gps",
      perPost,
      phases: [{ seconds: bench.settings.seconds * 2, perSecond: perSecond / perPost }],
      warmupSeconds: 0,
    });
    const name = `${perSecond} events/s${perPost > 1 ? `, ${perPost} a post` : ""}`;
    report(bench, "steady", name, figuresOf(measured), measured.conservation);
  }
  await tickIdly(bench);
}

async function tickIdly(bench: Bench): Promise<void> {
  const { commands, peakConnections } = await measureIdleTicks(bench);
  report(bench, "steady", "idle", { idleCommandsPerMonth: commands * TICKS_A_MONTH, peakConnections });
}

/** What one tick costs that finds nothing. */
export async function measureIdleTicks(bench: Bench) {
  await reset(bench.stack);
  const supervisor = await bench.stack.startSupervisor();
  try {
    const meters = await startMeters(bench.stack, [supervisor.pid]);
    for (let i = 0; i < TICKS; i++)
      await (await fetch(`http://127.0.0.1:${supervisor.port}/drain`, { method: "POST" })).arrayBuffer();
    const costs = await meters.read();
    await meters.stop();
    return {
      commands: costs.redisCommands / TICKS,
      cpuSeconds: costs.processCpuSeconds / TICKS,
      peakConnections: costs.peakConnections,
    };
  } finally {
    await supervisor.stop();
  }
}
