/** What a month of a default installation costs: idle, and at 100 events a second, by what is measured here and by published prices. */
import { type Bench, report } from "../bench-context.ts";
import { spillway } from "../candidates.ts";
import { figuresOf } from "../figures.ts";
import { measure } from "../measure.ts";
import { monthOf, SECONDS_A_MONTH } from "../prices.ts";
import { measureIdleTicks } from "./steady.ts";

const EVENTS_PER_SECOND = 100;
const TICKS_PER_SECOND = 1 / 60;

export async function costs(bench: Bench): Promise<void> {
  await idle(bench);
  for (const perPost of [1, 10]) await busy(bench, perPost);
}

async function idle(bench: Bench): Promise<void> {
  const { commands, cpuSeconds } = await measureIdleTicks(bench);
  const pace = {
    ...{ ingestRequests: 0, supervisorRequests: TICKS_PER_SECOND, flushes: 0 },
    ...{ commands: commands * TICKS_PER_SECOND, isPostgresAwake: false },
  };
  report(bench, "costs", "idle", {
    commandsPerMonth: pace.commands * SECONDS_A_MONTH,
    cpuSecondsPerMonth: cpuSeconds * TICKS_PER_SECOND * SECONDS_A_MONTH,
    ...monthOf(pace),
  });
}

async function busy(bench: Bench, perPost: number): Promise<void> {
  const posts = EVENTS_PER_SECOND / perPost;
  const measured = await measure(bench.stack, spillway, {
    ...{ kind: "gps", perPost, warmupSeconds: 0 },
    phases: [{ seconds: bench.settings.seconds * 2, perSecond: posts }],
  });
  const figures = figuresOf(measured);
  const perEvent = figures.redisCommandsPerEvent ?? 0;
  const { rowsPerBatch } = measured;
  const flushes = EVENTS_PER_SECOND / rowsPerBatch;
  const pace = {
    ...{ ingestRequests: posts, supervisorRequests: flushes + TICKS_PER_SECOND, flushes },
    ...{ commands: perEvent * EVENTS_PER_SECOND, isPostgresAwake: true },
  };
  const name = `${EVENTS_PER_SECOND} events/s, ${perPost === 1 ? "one a post" : `${perPost} a post`}`;
  const cpuPerEvent = (figures.functionCpuPerMillion ?? 0) / 1e6;
  report(
    bench,
    "costs",
    name,
    {
      redisCommandsPerEvent: perEvent,
      rowsPerBatch,
      commandsPerMonth: pace.commands * SECONDS_A_MONTH,
      cpuSecondsPerMonth: cpuPerEvent * EVENTS_PER_SECOND * SECONDS_A_MONTH,
      ...monthOf(pace),
    },
    measured.conservation,
  );
}
