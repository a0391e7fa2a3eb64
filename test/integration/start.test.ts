/** `npm start` itself, in a copy of the project: what it writes, what it says, what it leaves behind. */
import { type ChildProcess, spawn } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, expect, onTestFinished, test } from "vitest";
import { findFreePorts } from "../../dev/stack/ports.ts";
import { isAlive } from "./test-stack.ts";

const project = fileURLToPath(new URL("../../", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "spillway-start-"));
for (const name of ["functions", "lib", "drizzle", "dev", "package.json", "tsconfig.json"])
  cpSync(join(project, name), join(folder, name), { recursive: true });
symlinkSync(join(project, "node_modules"), join(folder, "node_modules"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const stackFile = join(folder, ".local/stack.json");

interface StackFile {
  ingestUrl: string;
  supervisorUrl: string;
  apiKey: string;
  pids: Record<"ingest" | "supervisor" | "redis" | "postgres", number>;
}

interface Run {
  child: ChildProcess;
  said: () => string;
  ended: Promise<number | null>;
}

function start(portBase: number): Run {
  const child = spawn("npm", ["start"], {
    cwd: folder,
    env: { ...process.env, SPILLWAY_PORT_BASE: String(portBase) },
    detached: true, // a process group of its own, as a terminal's foreground job has
  });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream?.on("data", (chunk) => (said += String(chunk)));
  onTestFinished(() => {
    // Only a test that failed finds the group still there.
    if (child.exitCode === null && child.signalCode === null) process.kill(-(child.pid ?? 0), "SIGTERM");
  });
  return { child, said: () => said, ended: new Promise((resolve) => child.once("exit", resolve)) };
}

/** Until the stack file is there and what `npm start` says after it has arrived here. */
async function untilReady(run: Run): Promise<StackFile & { curl: string }> {
  for (let tries = 0; tries < 600; tries++) {
    const curl = /curl .*\/v1\/events .*\n/.exec(run.said())?.[0];
    if (curl !== undefined && existsSync(stackFile))
      return { ...(JSON.parse(readFileSync(stackFile, "utf8")) as StackFile), curl };
    if (run.child.exitCode !== null) break;
    await sleep(100);
  }
  throw new Error(`expected npm start to be ready, it said:\n${run.said()}`);
}

async function freeBase(): Promise<number> {
  for (;;) {
    const [base = 0] = await findFreePorts(1);
    if (base < 32_000) return base;
  }
}

test("one command starts everything; Ctrl-C leaves no process behind; a second start finds the same data", async () => {
  const base = await freeBase();
  const first = start(base);
  const stack = await untilReady(first);
  const pasted = spawn("sh", ["-c", stack.curl]);
  let answer = "";
  pasted.stdout.on("data", (chunk) => (answer += String(chunk)));
  await new Promise((resolve) => pasted.once("exit", resolve));
  const [id] = (JSON.parse(answer) as { ids: string[] }).ids;
  await fetch(`${stack.supervisorUrl}/drain`, { method: "POST" });

  process.kill(-(first.child.pid ?? 0), "SIGINT"); // Ctrl-C reaches the whole group
  await first.ended;
  expect(existsSync(stackFile)).toBe(false);
  expect(Object.values(stack.pids).filter(isAlive)).toEqual([]);

  const second = start(base);
  const again = await untilReady(second);
  expect(again.apiKey).toBe(stack.apiKey);
  const found = await fetch(`${again.ingestUrl}/v1/events/${id}`, {
    headers: { authorization: `Bearer ${again.apiKey}` },
  });
  expect([found.status, await found.json()]).toEqual([200, { id, status: "stored" }]);

  process.kill(again.pids.ingest, "SIGKILL"); // is started again, as Cloud Run would
  for (let tries = 0; tries < 200; tries++) {
    await sleep(50);
    const now = existsSync(stackFile) ? (JSON.parse(readFileSync(stackFile, "utf8")) as StackFile) : again;
    if (now.pids.ingest !== again.pids.ingest) break;
  }
  expect((await fetch(`${again.ingestUrl}/health`)).status).toBe(200);

  second.child.kill("SIGTERM"); // to npm alone
  await second.ended;
  for (let tries = 0; tries < 100 && Object.values(again.pids).some(isAlive); tries++) await sleep(100);
  expect(Object.values(again.pids).filter(isAlive)).toEqual([]);
}, 180_000);

test("a port that is taken is one clear sentence and nothing left behind", async () => {
  const base = await freeBase();
  const blocker = createServer();
  await new Promise<void>((resolve) => blocker.listen(base + 1, "127.0.0.1", resolve));
  const run = start(base);
  expect(await run.ended).not.toBe(0);
  expect(run.said()).toContain(`Port ${base + 1}`);
  expect(run.said()).not.toContain("    at "); // no stack trace
  expect(existsSync(stackFile)).toBe(false);
  blocker.close();
}, 60_000);
