/**
 * Both functions in one process (`--target=all`): what is private is on a port of its own and wants the operator token; the process makes its
 * own ticks and flushes, and ends in order.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type FunctionProcess, startFunction } from "../../dev/stack/function-process.ts";
import { findFreePorts } from "../../dev/stack/ports.ts";
import { supervisorDocument } from "../../lib/openapi/supervisor-document.ts";
import { testStreams } from "../streams/run/test-streams.ts";
import { expectConserved, KEY, openWorld, type World, whereabouts } from "./test-stack.ts";
import { openWholeStack } from "./whole-stack.ts";

const TOKEN = "self-hosted-0123456789abcdef0123456789abcdef";
const KEY_SHA256 = "62af8704764faf8ea82fc61ce9c4c3908b6cb97d463a634e9e587d7c885db0ef";
const PROJECT = fileURLToPath(new URL("../../", import.meta.url));
const FRAMEWORK = join(PROJECT, "node_modules/@google-cloud/functions-framework/build/src/main.js");
/** An address of this machine that is not 127.0.0.1: what listens on 127.0.0.1 alone is not there. */
const ELSEWHERE = "127.0.0.2";
const bearer = { authorization: `Bearer ${TOKEN}` };

let world: World;
const started: FunctionProcess[] = [];
beforeAll(async () => {
  world = await openWorld();
});
beforeEach(() => world.reset());
afterEach(async () => {
  await Promise.all(started.splice(0).map((one) => one.stop()));
});
afterAll(() => world.close());

const environment = (more: Record<string, string> = {}): NodeJS.ProcessEnv => ({
  ...{ PATH: process.env.PATH, ...world.ways },
  ...{ INGEST_API_KEYS: `tester:${KEY_SHA256}`, OPERATOR_TOKEN: TOKEN, DRAIN_EVERY: "1h" },
  ...more,
});

/** Starts a process that serves both, and waits until it answers. */
async function startBoth(more: Record<string, string> = {}) {
  const [port = 0, supervisorPort = 0] = await findFreePorts(2);
  const said: { event: string; function: string; [field: string]: unknown }[] = [];
  const running = await startFunction({
    ...{ target: "all", port, source: testStreams.source },
    env: environment({ SUPERVISOR_PORT: String(supervisorPort), ...more }),
    onLine: (line) => line.startsWith("{") && said.push(JSON.parse(line)),
  });
  started.push(running);
  const [ingest, supervisor] = [running.url, `http://127.0.0.1:${supervisorPort}`];
  const events = (name: string) => said.filter(({ event }) => event === name);
  return { running, ingest, supervisor, said, events };
}

const post = async (url: string, events: readonly object[], query = "") => {
  const response = await fetch(`${url}/v1/events${query}`, {
    method: "POST",
    headers: { authorization: `Bearer ${KEY}`, "content-type": "application/json" },
    body: JSON.stringify(events),
  });
  return { status: response.status, ids: ((await response.json()) as { ids: string[] }).ids };
};

const batch = (count: number) => Array.from({ length: count }, (_, n) => ({ type: "t", payload: { n } }));
const storedCount = async () => (await whereabouts(world, "events")).stored.length;

/** Each operation of the private document, as a request. */
const privateRequests = (): [method: string, path: string][] =>
  Object.entries(supervisorDocument().paths as Record<string, object>).flatMap(([path, methods]) =>
    Object.keys(methods).map((method): [string, string] => [
      method.toUpperCase(),
      path.replace("{stream}", "events").replace("{id}", "0197b2c0-0000-7000-8000-000000000000"),
    ]),
  );

test("no private path is on the public port, whoever asks; on the private one each wants the token", async () => {
  const { ingest, supervisor } = await startBoth();
  const asked = privateRequests().filter(([, path]) => path !== "/health");
  expect(asked.length).toBeGreaterThan(15);
  for (const [method, path] of asked)
    for (const headers of [{}, bearer, { authorization: `Bearer ${KEY}` }]) {
      const onPublic = await fetch(`${ingest}${path}`, { method, headers });
      expect([method, path, onPublic.status, await codeOf(onPublic)]).toEqual([
        ...[method, path, 404],
        "unknown-path",
      ]);
    }
  for (const [method, path] of [...asked, ["GET", "/no-such-path"], ["DELETE", "/status"]] as const)
    for (const headers of [
      {},
      { authorization: `Bearer ${KEY}` },
      { authorization: `${bearer.authorization}x` },
    ]) {
      const refused = await fetch(`${supervisor}${path}`, { method, headers });
      expect([method, path, refused.status, await codeOf(refused)]).toEqual([
        ...[method, path, 401],
        "unknown-operator",
      ]);
      expect(refused.headers.get("www-authenticate")).toMatch(/^Bearer /);
    }
  const known = await fetch(`${supervisor}/status`, { headers: bearer });
  expect([known.status, Object.keys((await known.json()) as object)]).toEqual([200, ["streams"]]);
  for (const url of [ingest, supervisor]) {
    const health = await fetch(`${url}/health`);
    expect([health.status, await health.text()]).toEqual([200, '{"status":"ok"}\n']);
  }
});

const codeOf = async (response: Response) => ((await response.json()) as { code: string }).code;

describe("without Cloud Scheduler and Cloud Tasks", () => {
  test("a tick stores what waits, and the ticks go on after some that failed", async () => {
    const { ingest, events } = await startBoth({ DRAIN_EVERY: "50ms" });
    const first = await post(ingest, batch(3));
    expect(first.status).toBe(202);
    await expect.poll(storedCount, { timeout: 10_000 }).toBe(3);

    world.upstash.setFault(() => ({ kind: "refuse" }));
    const failed = () => events("buffer.unavailable").length;
    await expect.poll(failed, { timeout: 10_000 }).toBeGreaterThan(2);
    world.upstash.setFault(undefined);
    const second = await post(ingest, batch(2));
    await expect.poll(storedCount, { timeout: 10_000 }).toBe(5);
    expect(events("tick.failed")).toEqual([]); // each was answered
    await expectConserved(world, "events", [...first.ids, ...second.ids]);
  });

  test("the push that fills a batch is drained at once, long before a tick", async () => {
    const { ingest, events } = await startBoth();
    const { status, ids } = await post(ingest, batch(100));
    expect(status).toBe(202);
    await expect.poll(storedCount, { timeout: 10_000 }).toBe(100);
    expect(events("flush.failed")).toEqual([]);
    await expectConserved(world, "events", ids);
  });
});

test("SIGTERM in the middle of a tick: its batch is stored and acknowledged, its lease is given back, and the rest waits", async () => {
  const { running, ingest, events } = await startBoth({
    DRAIN_EVERY: "50ms",
    BATCH_MAX_ROWS: "10",
    PARTITIONS: "1",
  });
  const lock = await world.sql.connect();
  await lock.query("begin");
  await lock.query("lock table events in exclusive mode");
  const { ids } = await post(ingest, batch(30));
  const waitsForLock =
    "select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()";
  await expect.poll(async () => (await world.sql.query(waitsForLock)).rowCount, { timeout: 10_000 }).toBe(1);

  const ended = running.stop();
  await expect
    .poll(() =>
      events("function.stopping")
        .map((one) => one.function)
        .sort(),
    )
    .toEqual(["ingest", "supervisor"]);
  await lock.query("commit");
  lock.release();
  await ended;
  const { stored, buffered } = await whereabouts(world, "events");
  expect([stored.length, buffered.length]).toEqual([10, 20]);
  expect(await world.redis.keys("*:lease:*")).toEqual([]);
  await expectConserved(world, "events", ids);

  await startBoth({ DRAIN_EVERY: "50ms" });
  await expect.poll(storedCount, { timeout: 10_000 }).toBe(30);
  await expectConserved(world, "events", ids);
});

describe("nobody but the token tells who asks outside Cloud Run, so", () => {
  test.each([
    ["all", {}],
    ["all", { SUPERVISOR_HOST: "0.0.0.0" }],
    ["supervisor", { SUPERVISOR_HOST: "0.0.0.0" }],
    ["supervisor", { SUPERVISOR_HOST: "::" }],
  ])("%s without it, at %j, does not start", async (target, more: Record<string, string>) => {
    const { status, said } = await runToEnd(target, { OPERATOR_TOKEN: "", ...more });
    expect(status).toBe(1);
    expect(said).toMatch(/^The environment is not usable:\n {2}OPERATOR_TOKEN: expected a token .*\n$/);
    expect(said).toContain(more.SUPERVISOR_HOST ?? "all addresses");
  });

  test("a token that is too short is refused, in both targets", async () => {
    for (const target of ["all", "supervisor"])
      expect(await runToEnd(target, { OPERATOR_TOKEN: "short" })).toEqual({
        status: 1,
        said: expect.stringMatching(/OPERATOR_TOKEN: expected at least 32 characters/),
      });
  });

  test("all does not start on Cloud Run, where it would make no ticks", async () => {
    const { status, said } = await runToEnd("all", { K_SERVICE: "x" });
    expect([status, said]).toEqual([
      1,
      expect.stringMatching(/^--target=all: expected ingest and supervisor/),
    ]);
  });

  test("all without it serves the supervisor to this machine alone, where that is asked for", async () => {
    const { ingest, supervisor } = await startBoth({ OPERATOR_TOKEN: "", SUPERVISOR_HOST: "127.0.0.1" });
    expect((await fetch(`${supervisor}/status`)).status).toBe(200);
    expect((await fetch(`${ingest.replace("127.0.0.1", ELSEWHERE)}/health`)).status).toBe(200);
    await expect(fetch(`${supervisor.replace("127.0.0.1", ELSEWHERE)}/health`)).rejects.toThrow();
  });

  test("a supervisor alone without it serves this machine alone, and says so; with it, it serves others, too", async () => {
    for (const [token, isServed] of [
      ["", false],
      [TOKEN, true],
    ] as const) {
      const [port = 0] = await findFreePorts(1);
      const lines: string[] = [];
      const one = await startFunction({
        ...{ target: "supervisor", port, source: testStreams.source },
        env: environment({ OPERATOR_TOKEN: token }),
        onLine: (line) => lines.push(line),
      });
      started.push(one);
      const elsewhere = await fetch(`http://${ELSEWHERE}:${port}/health`).catch(() => undefined);
      expect([token, elsewhere?.ok ?? false]).toEqual([token, isServed]);
      expect(lines.some((line) => line.includes('"event":"supervisor.local"'))).toBe(!isServed);
      const asked = await fetch(`http://127.0.0.1:${port}/status`);
      expect([token, asked.status]).toEqual([token, isServed ? 401 : 200]);
    }
  });

  test("on Cloud Run the token is nobody's concern: the platform has checked the caller", async () => {
    const [port = 0] = await findFreePorts(1);
    const one = await startFunction({
      ...{ target: "supervisor", port, source: testStreams.source },
      env: environment({ K_SERVICE: "x", SUPERVISOR_HOST: "127.0.0.1" }),
    });
    started.push(one);
    expect((await fetch(`http://${ELSEWHERE}:${port}/status`)).status).toBe(200);
  });
});

test("the local stack takes neither token nor address from the environment: it serves this machine alone", async () => {
  const env = { OPERATOR_TOKEN: TOKEN, SUPERVISOR_HOST: "0.0.0.0" };
  const { stack, close } = await openWholeStack(60_000, { env });
  try {
    expect((await fetch(`${stack.supervisorUrl}/status`)).status).toBe(200);
    const elsewhere = stack.supervisorUrl.replace("127.0.0.1", ELSEWHERE);
    await expect(fetch(`${elsewhere}/health`)).rejects.toThrow();
  } finally {
    await close();
  }
});

test("a port that is taken is told in a sentence", async () => {
  const other = createServer().listen(0);
  await once(other, "listening");
  const { port } = other.address() as AddressInfo;
  const { status, said } = await runToEnd("all", { SUPERVISOR_PORT: String(port) });
  other.close();
  expect([status, said]).toEqual([
    1,
    `The supervisor can't listen on SUPERVISOR_PORT=${port} (EADDRINUSE).\n`,
  ]);
});

/** Runs a process that does not start, to its end. */
async function runToEnd(target: string, more: Record<string, string>) {
  const [port = 0, supervisorPort = 0] = await findFreePorts(2);
  const args = [FRAMEWORK, "--target", target, "--port", String(port), "--source", testStreams.source];
  const env = environment({ SUPERVISOR_PORT: String(supervisorPort), ...more });
  const child = spawn(process.execPath, args, { cwd: PROJECT, env, stdio: ["ignore", "ignore", "pipe"] });
  const [said, [status]] = await Promise.all([child.stderr.toArray(), once(child, "exit")]);
  return { status, said: Buffer.concat(said).toString() };
}
