/**
 * `npm run bench`: measures Spillway beside its floor and its alternatives on a real local stack, in interleaved
 * rounds, and reports medians. Writes results.json and a chart for each scenario; the exit status tells only
 * whether it ran.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Bench, Scenario } from "./bench-context.ts";
import { barChart, lineChart } from "./chart.ts";
import { type Check, checkAll, checkLine } from "./checks.ts";
import { describeMachine, type Machine, machineLine } from "./machine.ts";
import { Results } from "./results.ts";
import { alternatives } from "./scenarios/alternatives.ts";
import { costs } from "./scenarios/costs.ts";
import { drain } from "./scenarios/drain.ts";
import { floor } from "./scenarios/floor.ts";
import { hostile } from "./scenarios/hostile.ts";
import { ingest } from "./scenarios/ingest.ts";
import { lookingOn } from "./scenarios/looking-on.ts";
import { noisy } from "./scenarios/noisy.ts";
import { steady } from "./scenarios/steady.ts";
import { surge, surgeSeconds } from "./scenarios/surge.ts";
import { trouble } from "./scenarios/trouble.ts";
import { upsert } from "./scenarios/upsert.ts";
import { readSettings, type ScenarioName, type Settings } from "./settings.ts";
import { startStack } from "./stack.ts";
import { tableOf } from "./table.ts";

const scenarios: Record<ScenarioName, { run: Scenario; title: string; figure: string }> = {
  floor: { run: floor, title: "The floor: rows inserted a second", figure: "storedPerSecond" },
  ingest: { run: ingest, title: "Ingest: events accepted a second", figure: "eventsPerSecond" },
  alternatives: {
    run: alternatives,
    title: "Beside the alternatives: events stored a second",
    figure: "storedPerSecond",
  },
  drain: { run: drain, title: "Draining a backlog: events stored a second", figure: "storedPerSecond" },
  "looking-on": {
    run: lookingOn,
    title: "Draining while ten people look on: events stored a second",
    figure: "storedPerSecond",
  },
  upsert: {
    run: upsert,
    title: "Newest wins, beside DO NOTHING: milliseconds a batch of 100",
    figure: "batchMs",
  },
  trouble: { run: trouble, title: "A table in trouble: events stored a second", figure: "storedPerSecond" },
  hostile: { run: hostile, title: "The worst bodies, in 512 MB: longest stall in ms", figure: "stallMs" },
  noisy: { run: noisy, title: "Beside a key that sends too much: p99 in ms", figure: "p99Ms" },
  steady: {
    run: steady,
    title: "Steady: Redis commands per event, draining",
    figure: "drainCommandsPerEvent",
  },
  costs: { run: costs, title: "A month: dollars", figure: "monthDollars" },
  surge: { run: surge, title: "A surge: p99 by the second in which a request was due", figure: "p99Ms" },
};

const settings = readSettings(process.argv.slice(2));
const results = new Results();
const stack = await startStack();
for (const signal of ["SIGINT", "SIGTERM"] as const)
  process.once(signal, () => void stack.stop().finally(() => process.exit(130)));
try {
  const machine = await describeMachine(stack);
  console.log(machineLine(machine));
  console.log(`${settings.rounds} rounds of ${settings.seconds} s; medians\n`);
  for (let round = 0; round < settings.rounds; round++)
    for (const name of settings.only)
      await scenarios[name].run({ stack, settings, results, round } satisfies Bench);
  const checks = checkAll(results, settings);
  print(checks);
  write(machine, settings, checks);
} finally {
  await stack.stop();
}

function print(checks: Check[]): void {
  for (const name of settings.only)
    console.log(`\n## ${scenarios[name].title} (${name})\n\n${tableOf(results.rows(name))}`);
  console.log("\n## What it has to show\n");
  for (const check of checks) if (check.isMet !== undefined) console.log(checkLine(check));
  const missing = checks.filter(({ isMet }) => isMet === undefined).length;
  if (missing > 0) console.log(`    –  ${missing} more belong to what this run left out`);
  for (const loss of results.losses) console.log(`not conserved: ${loss}`);
}

function write(machine: Machine, { out, ...given }: Settings, checks: Check[]): void {
  mkdirSync(out, { recursive: true });
  const seconds = Object.fromEntries(surgeSeconds);
  const all = { machine, settings: given, results, surgeSeconds: seconds, checks };
  writeFileSync(join(out, "results.json"), `${JSON.stringify(all, null, 2)}\n`);
  for (const name of given.only) {
    const { title, figure } = scenarios[name];
    writeFileSync(
      join(out, `${name}.svg`),
      name === "surge" ? surgeChart(title) : barChart(title, results.rows(name), figure),
    );
  }
  console.log(`\nwritten to ${out}/`);
}

function surgeChart(title: string): string {
  const lines = [...surgeSeconds].map(([name, seconds]) => ({
    name,
    values: seconds.map(({ p99Ms }) => p99Ms),
  }));
  const offered = [...surgeSeconds.values()][0]?.map(({ offered }) => offered) ?? [];
  return lineChart(title, "", [
    ...lines.map(({ name, values }) => ({ name: `${name}, p99 ms`, values })),
    { name: "offered, requests/s", values: offered },
  ]);
}
