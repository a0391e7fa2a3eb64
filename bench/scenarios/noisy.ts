/**
 * One key beside another that sends bodies of 8 MB at ten times its rate: what a request of the first waits for, alone and beside it,
 * by turns, in one ingest of 512 MB.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { type Load, runLoad } from "../../dev/load/load.ts";
import { type Bench, report } from "../bench-context.ts";
import { checkConservation, reset } from "../conservation.ts";
import { limitMemory } from "../memory-limit.ts";
import type { Stack } from "../stack.ts";

const MEMORY_BYTES = 536_870_912;
const TURNS = 7;
/** Requests a second of the key that is measured, one event each. */
const QUIET_PER_SECOND = 150;
/** The rate of the noisy key, in events a second; a post of it is 1,000 events and 8 MB. */
const NOISY_RATE = 200;
const NOISY_TIMES = 10;
const EVENTS_PER_POST = 1000;
/** The noisy sender begins so much earlier: its process starts, and sends what its key has saved up. */
const LOUD_FIRST_SECONDS = 3;

export async function noisy(bench: Bench): Promise<void> {
  const { stack, settings } = bench;
  await reset(stack);
  const noisyKey = await createKey(stack, `noisy-${bench.round}`);
  const ingest = await stack.startIngest({ PARTITIONS: "16", BUFFER_MAX_BYTES: "90000000" });
  const removeLimit = limitMemory(ingest.pid, MEMORY_BYTES);
  const { port } = ingest;
  const quiet = (seconds: number) =>
    runLoad({
      port,
      apiKey: stack.apiKey,
      kind: "gps",
      connections: 16,
      warmupSeconds: 0,
      phases: [{ seconds, perSecond: QUIET_PER_SECOND }],
    });
  const loud = (seconds: number) =>
    runLoad({
      ...{
        port,
        apiKey: noisyKey,
        kind: "large",
        perPost: EVENTS_PER_POST,
        connections: 8,
        warmupSeconds: 0,
      },
      phases: [{ seconds, perSecond: (NOISY_RATE * NOISY_TIMES) / EVENTS_PER_POST }],
    });
  try {
    const all: Load[] = [await quiet(2)]; // warm
    const alone: Load[] = [];
    const beside: Load[] = [];
    const louds: Load[] = [];
    for (let turn = 0; turn < TURNS; turn++) {
      alone.push(await quiet(settings.seconds));
      const sending = loud(settings.seconds + LOUD_FIRST_SECONDS);
      await sleep(LOUD_FIRST_SECONDS * 1000);
      beside.push(await quiet(settings.seconds));
      louds.push(await sending);
    }
    all.push(...alone, ...beside, ...louds);
    const conservation = await checkConservation(
      stack,
      all.flatMap(({ ids }) => ids),
    );
    report(bench, "noisy", "a key alone", figuresOf(alone), conservation);
    report(bench, "noisy", "beside one with 8 MB bodies at ten times its rate", {
      ...figuresOf(beside),
      noisyAccepted: louds.reduce((sum, { requests }) => sum + requests, 0),
      noisyRefused: louds.reduce((sum, { statuses }) => sum + (statuses["429"] ?? 0), 0),
    });
  } finally {
    await ingest.stop();
    removeLimit?.();
  }
}

/** The medians of the turns, because something else on the machine may fall into one of them. */
function figuresOf(loads: readonly Load[]) {
  const errors = loads.reduce((sum, load) => sum + load.errors + load.unanswered, 0);
  const median = (fraction: number) => {
    const sorted = loads.map(({ latencies }) => latencies.percentileMs(fraction)).sort((x, y) => x - y);
    return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
  };
  return { p50Ms: median(0.5), p99Ms: median(0.99), errors };
}

/** Makes a key with the noisy rate. */
async function createKey(stack: Stack, name: string): Promise<string> {
  const supervisor = await stack.startSupervisor();
  try {
    const response = await fetch(`http://127.0.0.1:${supervisor.port}/keys`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ action: "create", name, eventsPerSecond: NOISY_RATE }),
    });
    return ((await response.json()) as { key: string }).key;
  } finally {
    await supervisor.stop();
  }
}
