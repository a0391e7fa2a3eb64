/**
 * `spillway start`: runs the whole system on this machine, on real servers, until Ctrl-C.
 *
 * Once everything answers, it writes `.local/stack.json` for scripts, and prints the address of each part. Then it tells what happens
 * (dev/tell/) and takes up streams that change (dev/watch/). It leaves no process behind, even if the signal arrives more than once (npm sends it twice). If it cannot
 * start, it says why in one sentence.
 */
import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { findInstallation } from "../lib/installation.ts";
import { INTERVAL_FORM, intervalMsOf } from "../lib/interval.ts";
import { loadStreams, type Registry } from "../lib/schema/registry.ts";
import { type Console, startConsole } from "./console/console-server.ts";
import { supervisorAt } from "./operate/ask-supervisor.ts";
import { requireFreePort } from "./stack/ports.ts";
import { clearLeftovers, forgetRunning, noteRunning } from "./stack/running-stack.ts";
import { type Stack, type StackPids, startStack } from "./stack/stack.ts";
import { surgeRoutes } from "./surge/answer-surge.ts";
import { createSurge, type Surge } from "./surge/surge.ts";
import { paintFor } from "./tell/describe.ts";
import { describeFirstSteps } from "./tell/first-steps.ts";
import { Teller } from "./tell/teller.ts";
import { type StreamWatch, watchStreams } from "./watch/watch-streams.ts";

const installation = findInstallation();
const dataDir = installation.local;
const stackFile = join(dataDir, "stack.json");
const stopping = new AbortController();
/** The console's port is that much above SPILLWAY_PORT_BASE. */
const CONSOLE_PORT = 6;

process.chdir(installation.root);
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, () => stopping.abort());
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
stopWhenNpmIsGone();

let exitCode = 0;
let stack: Stack | undefined;
let page: Console | undefined;
let surge: Surge | undefined;
let watch: StreamWatch | undefined;
try {
  stack = await start();
  await new Promise<void>((resolve, reject) => {
    process.on("uncaughtException", reject);
    if (stopping.signal.aborted) resolve();
    stopping.signal.addEventListener("abort", () => resolve());
  });
  console.log("\nStopping …");
} catch (error) {
  if (!stopping.signal.aborted) {
    console.error(`\n${(error as Error).message}`);
    exitCode = 1;
  }
}
if (stack) {
  rmSync(stackFile, { force: true });
  const unwatched = watch?.stop();
  await page?.close();
  await surge?.stop();
  await stack.stop();
  await unwatched;
  console.log("Stopped; the data stay in .local/.");
}
forgetRunning(dataDir);
process.exit(exitCode);

async function start(): Promise<Stack> {
  const portBase = parsePortBase(process.env.SPILLWAY_PORT_BASE || "8080");
  const drainEvery = process.env.DRAIN_EVERY || "1s";
  const drainEveryMs = parseInterval(drainEvery);
  const streams = await loadStreams(pathToFileURL(installation.streams));
  mkdirSync(dataDir, { recursive: true });
  const leftovers = await clearLeftovers(dataDir, installation.root);
  if (leftovers > 0) console.log(`Stopped ${leftovers} processes that an earlier run left behind.`);
  rmSync(stackFile, { force: true });
  noteRunning(dataDir, []);
  await requireFreePort(portBase + CONSOLE_PORT, "console");
  console.log("Starting Redis and Postgres …");

  let isReady = false;
  const teller = new Teller((line) => console.log(line), paintFor(process.stdout, process.env));
  const started: Stack = await startStack({
    dataDir,
    portBase,
    drainEveryMs,
    env: process.env,
    signal: stopping.signal,
    tells: true,
    onLine: (source, line, stream) => {
      if (isReady) teller.read(source, line, stream); // Until then the error tells what a function said last.
    },
    onPids: (pids) => {
      noteRunning(dataDir, Object.values(pids));
      if (isReady && !stopping.signal.aborted) writeStackFile(started, pids);
    },
  });
  page = await openConsole(started, portBase).catch(async (error) => {
    await started.stop();
    throw error;
  });
  isReady = true;
  writeStackFile(started, started.pids());
  watchServers(started);
  watch = await watchStreams({
    installation,
    builtAtMs: performance.timeOrigin, // spillway start builds after that
    folder: join(dataDir, "functions"),
    functions: [started.supervisor, started.ingest],
    say: (text) => teller.sayStreams(text),
  });
  printWhatRuns(started, page, streams, drainEvery);
  return started;
}

/** The console of what runs here: it may do everything, and its port is the seventh. */
async function openConsole(running: Stack, portBase: number): Promise<Console> {
  const { supervisorUrl, ingestUrl, apiKey } = running;
  const supervisor = supervisorAt(supervisorUrl, async () => undefined);
  const ingest = { url: ingestUrl, apiKey };
  const target = { supervisor, ingest, isProd: false, canWrite: true };
  surge = createSurge(running);
  await surge.clear();
  return startConsole({ target, port: portBase + CONSOLE_PORT, routes: surgeRoutes(surge) });
}

function parseInterval(text: string): number {
  const ms = intervalMsOf(text);
  if (ms !== undefined) return ms;
  throw new Error(`DRAIN_EVERY: expected ${INTERVAL_FORM}, got "${text}".`);
}

function parsePortBase(text: string): number {
  const base = Number(text);
  if (Number.isInteger(base) && base > 0 && base <= 65_529) return base;
  throw new Error(`SPILLWAY_PORT_BASE: expected a port from 1 to 65529, got "${text}".`);
}

/** By rename, so that a reader never sees half of it. */
function writeStackFile(running: Stack, pids: StackPids): void {
  const { ingestUrl, supervisorUrl, apiKey, databaseUrl, redisUrl, restUrl, restToken, neonHttpUrl } =
    running;
  const content = {
    ...(page && { consoleUrl: page.url }),
    ingestUrl,
    supervisorUrl,
    apiKey,
    databaseUrl,
    redisUrl,
    restUrl,
    restToken,
    neonHttpUrl,
    pids,
  };
  writeFileSync(`${stackFile}.new`, `${JSON.stringify(content, null, 2)}\n`, { mode: 0o600 });
  renameSync(`${stackFile}.new`, stackFile);
}

/** A server that ends by itself is not started again: what then happens is worth seeing. */
function watchServers(running: Stack): void {
  const servers = { Redis: running.redis(), Postgres: running.postgres() };
  for (const [name, server] of Object.entries(servers)) {
    void server.ended.then(() => {
      if (!stopping.signal.aborted)
        console.error(`${name} (process ${server.pid}) has ended; Ctrl-C and npm start to have it again.`);
    });
  }
}

/** When npm dies without passing a signal on, this process would live on unseen. */
function stopWhenNpmIsGone(): void {
  if (!["start", "npx"].includes(process.env.npm_lifecycle_event ?? "")) return;
  const parent = process.ppid;
  setInterval(() => process.ppid !== parent && stopping.abort(), 500).unref();
}

function printWhatRuns(running: Stack, { url }: Console, streams: Registry, drainEvery: string): void {
  console.log(`
Spillway is ready in ${(performance.now() / 1000).toFixed(1)} s

  console      ${url}
  ingest       ${running.ingestUrl}
  supervisor   ${running.supervisorUrl}   (drains every ${drainEvery}, and at once from 100 events on)
  key          ${running.apiKey}
  scripts      .local/stack.json has these, Redis and Postgres

${describeFirstSteps(streams, running, installation.names.streams)}

Streams that you change in ${installation.names.streams} are taken up at once. Ctrl-C stops everything.
`);
}
