/**
 * `npm run simulate`: runs the real system under load and breaks its parts, then lets it rest, and then gives the verdict.
 *
 *   --events N    events to send                       (20000)
 *   --faults N    faults to inflict, one after another (15)
 *   --only WORD   only faults whose name contains it
 *   --seed N      repeats a schedule                   (random, printed)
 *   --minutes N   sends no longer than this            (40)
 *   --log FILE    keeps the lines that the functions write
 *   --redis WAY   http, by a bridge that speaks Upstash's REST, or tcp (http)
 *   --postgres WAY  the same for Neon's HTTP (http)
 *
 * or, for one long outage under a steady load instead:
 *
 *   --outage redis|postgres  --seconds N (60)  --rate N requests a second (200)  --size N events each (1)
 *
 * Exit status 0: every promise held. 1: a promise broke. 2: the arguments make no sense. The same seed gives the same events
 * and faults, but which event meets which fault depends on the machine's speed.
 */
import { createWriteStream } from "node:fs";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { testStreams } from "../../test/streams/run/test-streams.ts";
import { type Stack, startStack, type Way } from "../stack/stack.ts";
import { FAULTS, schedule } from "./faults.ts";
import { settleHeld, WITNESSES_MAX } from "./held.ts";
import { Ledger } from "./ledger.ts";
import { mixedPost, sendAll } from "./load.ts";
import { eventsOf, loadThroughOutage, type OutageOptions } from "./outage.ts";
import { randomOf } from "./random.ts";
import { LOGIN, prepareTables } from "./tables.ts";
import { judge, type Verdict } from "./verdict.ts";

interface Options {
  events: number;
  faults: number;
  seed: number;
  minutes: number;
  only: string;
  log: string | undefined;
  over: { redis: Way; postgres: Way };
  outage: OutageOptions | undefined;
}

function readOptions(): Options {
  const string = { type: "string" } as const;
  const { values } = parseArgs({
    options: {
      ...{ events: string, faults: string, seed: string, minutes: string, only: string, log: string },
      ...{ outage: string, seconds: string, rate: string, size: string, redis: string, postgres: string },
    },
  });
  const whole = (name: keyof typeof values, fallback: number) => {
    const value = Number(values[name] ?? fallback);
    if (!Number.isSafeInteger(value) || value < 0)
      throw new Error(`--${name}: expected a whole number, got "${values[name]}"`);
    return value;
  };
  const way = (name: "redis" | "postgres"): Way => {
    const value = values[name] ?? "http";
    if (value !== "http" && value !== "tcp")
      throw new Error(`--${name}: expected http or tcp, got "${value}"`);
    return value;
  };
  const { outage: server, only = "" } = values;
  if (!Object.keys(FAULTS).some((name) => name.includes(only)))
    throw new Error(`--only: no fault's name contains "${only}"`);
  if (server !== undefined && server !== "redis" && server !== "postgres")
    throw new Error(`--outage: expected redis or postgres, got "${server}"`);
  const outage: OutageOptions | undefined =
    server === undefined
      ? undefined
      : { server, seconds: whole("seconds", 60), rate: whole("rate", 200), size: whole("size", 1) };
  return {
    outage,
    only,
    log: values.log,
    over: { redis: way("redis"), postgres: way("postgres") },
    events: outage ? eventsOf(outage) : whole("events", 20_000),
    faults: whole("faults", 15),
    seed: whole("seed", Math.floor(Math.random() * 2 ** 31)),
    minutes: whole("minutes", 40),
  };
}

/** Short leases and ticks, so that what dies is taken up within seconds. */
const ENVIRONMENT = { LEASE_MS: "3000", DRAIN_DEADLINE_MS: "20000", FLUSH_TRIGGER: "http" };
const DRAIN_EVERY_MS = 2000;
/** An average that leaves room for the faults, in milliseconds each, when the load is paced. */
const FAULT_MS = 2500;
const SENDERS = 16;
/** Outcomes of a stream of which nothing is buffered. */
const SETTLED = ["empty", "misconfigured"];

async function run(options: Options): Promise<Verdict> {
  const dataDir = await mkdtemp(join(tmpdir(), "spillway-simulate-"));
  await chmod(dataDir, 0o755); // Postgres's user has to get through
  const log = options.log === undefined ? undefined : createWriteStream(options.log);
  const stack = await startStack({
    dataDir,
    streams: {
      ...testStreams,
      migrate: async (databaseUrl) => {
        await testStreams.migrate(databaseUrl);
        await prepareTables(databaseUrl);
      },
    },
    login: LOGIN,
    over: options.over,
    env: ENVIRONMENT,
    appendfsync: "always",
    drainEveryMs: DRAIN_EVERY_MS,
    onLine: (source, line, stream) => {
      log?.write(`${source}: ${line}\n`);
      if (stream === "stderr" && source !== "scheduler") console.error(`${source}: ${line}`);
    },
  });
  const endEarly = () => void stack.stop().then(() => process.exit(130));
  process.once("SIGINT", endEarly).once("SIGTERM", endEarly);
  try {
    const ledger = new Ledger(options.events + WITNESSES_MAX);
    if (options.outage) await loadThroughOutage(stack, ledger, options.seed, options.outage);
    else await loadWhileBreaking(stack, dataDir, ledger, options);
    const drain = () => untilDrained(stack);
    await drain();
    const { ingestUrl, apiKey } = stack;
    await settleHeld(stack, { ingestUrl, apiKey, seed: options.seed, ledger }, options.events, drain);
    printAnswers(ledger);
    return await judge(stack, ledger, options.seed, options.events + WITNESSES_MAX);
  } finally {
    await stack.stop();
    log?.end();
    await rm(dataDir, { recursive: true, force: true });
  }
}

async function loadWhileBreaking(
  stack: Stack,
  dataDir: string,
  ledger: Ledger,
  options: Options,
): Promise<void> {
  const startedAtMs = performance.now();
  const faultRandom = randomOf(options.seed + 1);
  const loadRandom = randomOf(options.seed);
  const names = schedule(faultRandom, options.faults, options.only);
  let isSending = true;
  const load = sendAll({
    ingestUrl: stack.ingestUrl,
    apiKey: stack.apiKey,
    events: options.events,
    seed: options.seed,
    choose: (first) => mixedPost(loadRandom, first),
    ledger,
    senders: SENDERS,
    deadlineAtMs: startedAtMs + options.minutes * 60_000,
    perSecond: names.length > 0 ? options.events / ((names.length * FAULT_MS) / 1000) : undefined,
  }).finally(() => {
    isSending = false;
  });
  for (const [i, name] of names.entries()) {
    if (!isSending) break;
    const seconds = ((performance.now() - startedAtMs) / 1000).toFixed(0).padStart(4);
    console.log(
      `${seconds} s  ${ledger.sent} sent, ${ledger.acknowledged} acknowledged; fault ${i + 1}: ${name}`,
    );
    await FAULTS[name]?.({ stack, dataDir, ledger, random: faultRandom });
    await sleep(faultRandom.whole(100, 800));
  }
  await load;
  const seconds = (performance.now() - startedAtMs) / 1000;
  console.log(
    `load ended after ${seconds.toFixed(0)} s: ${ledger.sent} sent, ${ledger.acknowledged} acknowledged`,
  );
}

/** Quiet: drains until the supervisor says that nothing remains. A held letter may make it doubt a table. */
async function untilDrained({ supervisorUrl }: Stack): Promise<void> {
  const deadlineAtMs = performance.now() + 15 * 60_000;
  while (performance.now() < deadlineAtMs) {
    const report = await fetch(`${supervisorUrl}/drain?wait=1`, { method: "POST" })
      .then((response) => response.json() as Promise<{ streams: { outcome: string; remaining: number }[] }>)
      .catch(() => undefined);
    if (report?.streams.every(({ remaining, outcome }) => remaining === 0 && SETTLED.includes(outcome)))
      return;
    await sleep(200);
  }
  throw new Error("expected the buffer to be empty within 15 minutes of quiet");
}

function printAnswers({ answers }: Ledger): void {
  const parts = Object.entries(answers).map(([status, count]) => `${status}: ${count}`);
  console.log(`answers  ${parts.join("  ")}`);
}

function print(verdict: Verdict): boolean {
  const broken = ["lost", "duplicated", "changed", "wronglyDead", "wronglyRefused", "stillHeld"] as const;
  const rows = Object.entries(verdict).map(([name, value]) => [
    name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`),
    String(Array.isArray(value) ? value.length : value),
  ]);
  for (const [name = "", value = ""] of rows) console.log(`${name.padEnd(16)}${value.padStart(10)}`);
  for (const name of broken)
    if (verdict[name].length > 0) console.log(`${name}: events ${verdict[name].slice(0, 50).join(", ")}`);
  return broken.every((name) => verdict[name].length === 0) && verdict.stillBuffered === 0;
}

let options: Options;
try {
  options = readOptions();
} catch (error) {
  console.error(`simulate: ${(error as Error).message}`);
  process.exit(2);
}
const { seed, events, faults, outage } = options;
console.log(`seed ${seed}: ${events} events, ${outage ? `${outage.server} away` : `${faults} faults`}`);
const held = print(await run(options));
console.log(held ? "every promise held" : `a promise broke; --seed ${seed} repeats the schedule`);
process.exit(held ? 0 : 1);
