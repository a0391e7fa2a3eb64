/**
 * The log can't be written: its reader is gone, or reads nothing any more, or the disk is full. Each request is answered all the
 * same, and each function ends at SIGTERM within the ten seconds that Cloud Run gives it.
 */
import { type ChildProcess, execFileSync, type StdioOptions, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { closeSync, constants, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { findFreePorts } from "../../dev/stack/ports.ts";
import { testStreams } from "../streams/run/test-streams.ts";
import { expectConserved, openWorld, type World } from "./test-stack.ts";

const project = fileURLToPath(new URL("../../", import.meta.url));
const framework = join(project, "node_modules/@google-cloud/functions-framework/build/src/main.js");
const folder = mkdtempSync(join(tmpdir(), "spillway-log-"));
const KEY = "log-key";
/** After SIGTERM, Cloud Run waits so long before it kills. */
const KILLED_AFTER_MS = 10_000;

let world: World;
const children: ChildProcess[] = [];
const open: number[] = [];
beforeAll(async () => {
  world = await openWorld();
});
beforeEach(() => world.reset());
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
  for (const fd of open.splice(0)) closeSync(fd);
});
afterAll(async () => {
  await world.close();
  rmSync(folder, { recursive: true, force: true });
});

type Target = "ingest" | "supervisor";

/** Starts a function with these files as its output, and waits until it answers. */
async function start(target: Target, stdio: StdioOptions, shell = "exec") {
  const [port = 0] = await findFreePorts(1);
  const command = `${shell} "${process.execPath}" "${framework}" --target ${target} --port ${port} --source "${testStreams.source}"`;
  const child = spawn("bash", ["-c", command], {
    cwd: project,
    stdio,
    env: {
      PATH: process.env.PATH,
      NODE_ENV: "production",
      ...world.ways,
      INGEST_API_KEYS: `log:${createHash("sha256").update(KEY).digest("hex")}`,
    },
  });
  children.push(child);
  const url = `http://127.0.0.1:${port}`;
  while (child.exitCode === null && child.signalCode === null) {
    const isUp = await fetch(`${url}/health`).then(
      ({ ok }) => ok,
      () => false,
    );
    if (isUp) return { child, url };
    await sleep(20);
  }
  throw new Error(`expected ${target} to start, it ended with ${child.exitCode ?? child.signalCode}`);
}

/** Tells a process to end. Returns its exit status; null: it had to be killed. */
async function stop(child: ChildProcess, signal: NodeJS.Signals = "SIGTERM"): Promise<number | null> {
  const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
  child.kill(signal);
  return endOf(child, ended);
}

async function endOf(child: ChildProcess, ended: Promise<number | null>): Promise<number | null> {
  const timer = setTimeout(() => child.kill("SIGKILL"), KILLED_AFTER_MS);
  const status = await ended;
  clearTimeout(timer);
  return status;
}

const EVENT = JSON.stringify({ type: "test", payload: { a: 1 } });
const headers = { authorization: `Bearer ${KEY}`, "content-type": "application/json" };

/** Makes the function log: ingest that it can't reach Redis, the supervisor that it drained. Returns the answers' statuses. */
async function makeItLog(target: Target, url: string, times: number): Promise<Set<number>> {
  const statuses = new Set<number>();
  for (let i = 0; i < times; i++) {
    const path = target === "ingest" ? "/v1/events" : "/drain";
    const body = target === "ingest" ? EVENT : "";
    statuses.add((await fetch(`${url}${path}`, { method: "POST", headers, body })).status);
  }
  return statuses;
}

/** A pipe that is full, and that nobody reads. */
function openFullPipe(): number {
  const path = join(folder, `fifo-${open.length}-${Date.now()}`);
  execFileSync("mkfifo", [path]);
  const keeper = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  open.push(keeper);
  for (const size of [4096, 1]) {
    try {
      for (;;) writeSync(keeper, Buffer.alloc(size, "x"));
    } catch {
      // full
    }
  }
  const fd = openSync(path, constants.O_WRONLY);
  open.push(fd);
  return fd;
}

describe.each(["ingest", "supervisor"] as const)("%s", (target) => {
  /** Before each request's log entry is written, Redis must be away from ingest. */
  const isAway = () => {
    if (target === "ingest") world.upstash.setFault(() => ({ kind: "refuse" }));
  };
  const expected = new Set([target === "ingest" ? 201 : 200]);

  test.each([
    ["standard output", ["stdout"]],
    ["standard error", ["stderr"]],
    ["both", ["stdout", "stderr"]],
  ] as const)("answers and ends when nobody reads its %s any more", async (_which, gone) => {
    const { child, url } = await start(target, ["ignore", "pipe", "pipe"]);
    for (const name of gone) child[name]?.destroy();
    isAway();
    expect(await makeItLog(target, url, 5)).toEqual(expected);
    expect(await stop(child)).toBe(0);
  });

  test("ends at SIGINT, too", async () => {
    const { child } = await start(target, ["ignore", "pipe", "pipe"]);
    child.stdout?.destroy();
    child.stderr?.destroy();
    expect(await stop(child, "SIGINT")).toBe(0);
  });

  test("starts, answers and ends when its output is a full pipe", async () => {
    const fd = openFullPipe();
    const { child, url } = await start(target, ["ignore", fd, fd]);
    isAway();
    expect(await makeItLog(target, url, 5)).toEqual(expected);
    expect(await stop(child)).toBe(0);
  });

  test("answers and ends when its output is a file that can't grow", async () => {
    const path = join(folder, `${target}.log`);
    const fd = openSync(path, "w");
    open.push(fd);
    const { child, url } = await start(target, ["ignore", fd, fd], "ulimit -f 0; exec");
    isAway();
    expect(await makeItLog(target, url, 5)).toEqual(expected);
    expect(await stop(child)).toBe(0);
    expect(readFileSync(path, "utf8")).toBe("");
  });
});

test("a request in flight at SIGTERM is answered and kept, though the log's reader is gone since", async () => {
  const { child, url } = await start("ingest", ["ignore", "pipe", "pipe"]);
  const stopping = new Promise<void>((resolve) => {
    child.stdout?.on("data", (text: Buffer) => {
      if (text.includes("function.stopping")) resolve();
    });
  });
  const outgoing = request(`${url}/v1/events`, {
    method: "POST",
    headers: { ...headers, expect: "100-continue" },
  });
  const answered = new Promise<{ status: number | undefined; body: string }>((resolve, reject) => {
    outgoing.once("error", reject).once("response", (response) => {
      let body = "";
      response.on("data", (chunk) => {
        body += chunk;
      });
      response.once("end", () => resolve({ status: response.statusCode, body }));
    });
  });
  void stopping.then(() => {
    child.stdout?.destroy();
    child.stderr?.destroy();
    outgoing.end(EVENT.slice(5));
  });
  await new Promise((resolve) => outgoing.once("continue", resolve)); // its head has come
  outgoing.write(EVENT.slice(0, 5));
  const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  const { status, body } = await answered;
  expect(status).toBe(202);
  expect(await endOf(child, ended)).toBe(0);
  await expectConserved(world, "events", (JSON.parse(body) as { ids: string[] }).ids);
});
