/**
 * People who look on: draining while ten have the console open, beside nobody; and which commands and queries they cost, while nothing
 * changes and while everything does. One process drains by turns with and without them, so that the two are alike but for that.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { type AskedChild, ask, startReady } from "../../dev/load/children.ts";
import { type Bench, report } from "../bench-context.ts";
import { drainAll } from "../candidates.ts";
import { type Conservation, checkConservation, reset } from "../conservation.ts";
import { pushBacklog } from "../envelopes.ts";
import { costFigures } from "../figures.ts";
import { type Costs, startMeters } from "../meters.ts";
import { cpuSecondsOf } from "../proc.ts";
import type { Figures } from "../results.ts";
import type { Stack } from "../stack.ts";
import type { Heard, Wanted } from "../viewers.ts";

const VIEWERS = 10;
const EVENTS = 100_000;
/**
 * Of a round, and of the next. The machine's pace changes within seconds, and this order gives both sides the same share of a change. Before
 * them each side has a turn that does not count, in which V8 compiles.
 */
const TURNS = [
  [0, VIEWERS, VIEWERS, 0],
  [VIEWERS, 0, 0, VIEWERS],
];
/** Events that wait while nothing changes. */
const RESTING = 1000;
const NAMES: Record<number, string> = { 0: "nobody looks on", [VIEWERS]: "ten look on" };

export async function lookingOn(bench: Bench): Promise<void> {
  await drainByTurns(bench);
  if (bench.round > 0) return; // while nothing changes, each round is like the first
  await rest(bench, "nothing changes, nobody looks on", { viewers: 0 });
  await rest(bench, "nothing changes, ten look on", { viewers: VIEWERS });
  await rest(bench, "nothing changes, ten look at dead letters, too", {
    viewers: VIEWERS,
    panels: "letters",
  });
  await rest(
    bench,
    "nothing changes, ten look on, on Cloud Run",
    { viewers: VIEWERS },
    { K_SERVICE: "bench" },
  );
}

/** A supervisor, and the process of those who look on. */
interface Scene {
  supervisorUrl: string;
  supervisorPid: number;
  audience: AskedChild;
}

async function withScene(stack: Stack, env: Record<string, string>, run: (scene: Scene) => Promise<void>) {
  const supervisor = await stack.startSupervisor(env);
  const supervisorUrl = `http://127.0.0.1:${supervisor.port}`;
  const file = "bench/viewers.ts";
  const starting = startReady({ file, args: [supervisorUrl], logFile: stack.logFile("viewers") });
  try {
    const audience = await starting;
    await run({ supervisorUrl, supervisorPid: supervisor.pid, audience }).finally(audience.stop);
  } finally {
    await supervisor.stop();
  }
}

const seat = ({ audience }: Scene, wanted: Wanted): Promise<Heard> => ask<Heard>(audience, wanted);

function drainByTurns(bench: Bench): Promise<void> {
  const { stack, settings } = bench;
  const count = Math.min(EVENTS, Math.max(...settings.backlogs));
  return withScene(stack, { DRAIN_DEADLINE_MS: "600000" }, async (scene) => {
    for (const viewers of [VIEWERS, 0]) await drainOnce(stack, scene, viewers, count);
    const turns: Turn[] = [];
    for (const viewers of TURNS[bench.round % 2] ?? []) {
      const turn = await drainOnce(stack, scene, viewers, count);
      turns.push(turn);
      report(bench, "looking-on", NAMES[viewers] ?? "", turn.figures, turn.conservation);
    }
    report(bench, "looking-on", "the share of the ten", shareOf(turns));
  });
}

interface Turn {
  viewers: number;
  seconds: number;
  commands: number;
  queries: number;
  figures: Figures;
  conservation: Conservation;
}

async function drainOnce(stack: Stack, scene: Scene, viewers: number, count: number): Promise<Turn> {
  await seat(scene, { viewers: 0 });
  await reset(stack);
  const ids = await pushBacklog(stack, "gps", count);
  await seat(scene, { viewers });
  const { costs, seconds, queries, viewersCpuSeconds } = await measured(stack, scene, () =>
    drainAll(scene.supervisorUrl),
  );
  await untilHeard(scene, count);
  const figures = {
    ...costFigures(costs, count),
    storedPerSecond: count / seconds,
    viewersCpuPerMillion: (viewersCpuSeconds / count) * 1e6,
  };
  const conservation = await checkConservation(stack, ids);
  return { viewers, seconds, commands: costs.redisCommands, queries, figures, conservation };
}

/** Each must be told of every batch: a faster drain whose lines nobody reads would say nothing. */
async function untilHeard(scene: Scene, count: number): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    const heard = await seat(scene, {});
    if (heard.every(({ rows, missed }) => rows === count || missed > 0)) return;
    await sleep(100); // lines are written ten times a second
  }
  throw new Error(`each viewer should be told of ${count} events, but one was not`);
}

/** What the viewers add to a drain, each second of it. */
function shareOf(turns: readonly Turn[]) {
  const sumOf = (viewers: number, of: "seconds" | "commands" | "queries") =>
    turns.filter((turn) => turn.viewers === viewers).reduce((sum, turn) => sum + turn[of], 0);
  const perSecond = (of: "commands" | "queries") =>
    (sumOf(VIEWERS, of) - sumOf(0, of)) / sumOf(VIEWERS, "seconds");
  return { redisCommandsPerSecond: perSecond("commands"), postgresQueriesPerSecond: perSecond("queries") };
}

/** Looks at events that wait and are not drained. */
function rest(bench: Bench, name: string, wanted: Wanted, env: Record<string, string> = {}): Promise<void> {
  const { stack, settings } = bench;
  return withScene(stack, env, async (scene) => {
    await reset(stack);
    const ids = await pushBacklog(stack, "gps", RESTING);
    await seat(scene, wanted);
    await sleep(1000); // the first look is over
    const { costs, seconds, queries } = await measured(stack, scene, () => sleep(settings.seconds * 2000));
    await seat(scene, { viewers: 0 });
    const figures = {
      redisCommandsPerSecond: costs.redisCommands / seconds,
      postgresQueriesPerSecond: queries / seconds,
    };
    report(bench, "looking-on", name, figures, await checkConservation(stack, ids));
  });
}

interface Measured {
  costs: Costs;
  seconds: number;
  queries: number;
  viewersCpuSeconds: number;
}

async function measured(stack: Stack, scene: Scene, run: () => Promise<unknown>): Promise<Measured> {
  const queriesBefore = await stack.countQueries();
  const cpuBefore = cpuSecondsOf(scene.audience.pid);
  const meters = await startMeters(stack, [scene.supervisorPid]);
  const startedAtMs = performance.now();
  await run();
  const seconds = (performance.now() - startedAtMs) / 1000;
  const costs = await meters.read();
  await meters.stop();
  const viewersCpuSeconds = cpuSecondsOf(scene.audience.pid) - cpuBefore;
  return { costs, seconds, queries: (await stack.countQueries()) - queriesBefore, viewersCpuSeconds };
}
