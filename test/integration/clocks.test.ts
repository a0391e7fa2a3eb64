/**
 * The wall clock is set back or forward by an hour while the functions run, wired as they are deployed. Only times that are
 * written down follow it: rates, breaker, counts and deadlines go by a clock that is never set.
 */
import { createHash } from "node:crypto";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { openDoor, type Served } from "../../functions/front-door.ts";
import { wireIngest } from "../../functions/wire-ingest.ts";
import { environment } from "../../functions/wire-process.ts";
import { wireSupervisor } from "../../functions/wire-supervisor.ts";
import { drain } from "../../lib/drain/drain.ts";
import { expectConserved, isInsert, openWorld, pushEvents, type World } from "./test-stack.ts";

const KEY = "clock-key";
const HOUR_MS = 3_600_000;

let world: World;
let said: { event: string; [field: string]: unknown }[];
const servers: Server[] = [];
beforeAll(async () => {
  world = await openWorld();
});
beforeEach(async () => {
  await world.reset();
  said = [];
  vi.spyOn(process.stdout, "write").mockImplementation((line) => {
    said.push(JSON.parse(String(line)));
    return true;
  });
  vi.useFakeTimers({ toFake: ["Date", "performance"], now: Date.now() });
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  for (const server of servers.splice(0)) {
    server.close();
    server.closeAllConnections();
  }
});
afterAll(() => world.close());

/** Sets the wall clock, and no other. */
const setWallClock = (byMs: number) => vi.setSystemTime(Date.now() + byMs);
/** Lets time pass, on every clock. */
const letPass = (ms: number) => void vi.advanceTimersByTime(ms);

/** Serves a function as the environment wires it. */
async function serve(wire: typeof wireIngest, more: Record<string, string> = {}): Promise<string> {
  const settings = {
    ...world.ways,
    INGEST_API_KEYS: `clock:${createHash("sha256").update(KEY).digest("hex")}`,
    ...more,
  };
  for (const [name, value] of Object.entries(settings)) vi.stubEnv(name, value);
  expect(environment).toMatchObject(world.ways);
  const served: Served = await wire(world.streams);
  const { server } = openDoor(served);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function post(url: string): Promise<{ status: number; ids: string[] }> {
  const response = await fetch(`${url}/v1/checked`, {
    method: "POST",
    headers: { authorization: `Bearer ${KEY}`, "content-type": "application/json" },
    body: JSON.stringify({ n: 1 }),
  });
  const { ids = [] } = (await response.json()) as { ids?: string[] };
  return { status: response.status, ids };
}

const saidEvents = () => said.map(({ event }) => event);

describe.each([
  ["back", -HOUR_MS],
  ["forward", HOUR_MS],
])("the wall clock is set %s by an hour", (_way, byMs) => {
  test("a key has the rate that it had", async () => {
    const url = await serve(wireIngest, { KEY_EVENTS_PER_SECOND: "1" });
    const answers = [await post(url), await post(url)];
    setWallClock(byMs);
    expect((await post(url)).status).toBe(429);
    letPass(1000);
    answers.push(await post(url));
    expect(answers.map(({ status }) => status)).toEqual([202, 202, 202]);
    await expectConserved(
      world,
      "checked",
      answers.flatMap(({ ids }) => ids),
    );
  });

  test("the breaker closes after thirty seconds, not before", async () => {
    const url = await serve(wireIngest);
    world.upstash.setFault(() => ({ kind: "refuse" }));
    const answers = [await post(url), await post(url), await post(url)];
    expect(saidEvents()).toContain("breaker.opened");
    world.upstash.setFault(undefined);
    setWallClock(byMs);
    letPass(29_000);
    answers.push(await post(url));
    letPass(1000);
    answers.push(await post(url));
    expect(answers.map(({ status }) => status)).toEqual([201, 201, 201, 201, 202]);
    expect(saidEvents()).toContain("breaker.closed");
    await expectConserved(
      world,
      "checked",
      answers.flatMap(({ ids }) => ids),
    );
  });

  test("a buffer that was full is looked at again after a second, not before", async () => {
    const small = { PARTITIONS: "1", EVENT_MAX_BYTES: "256", BUFFER_MAX_BYTES: "1000" };
    const url = await serve(wireIngest, small);
    const answers = [await post(url)];
    while (answers.at(-1)?.status === 202) answers.push(await post(url));
    await drain(world.supervisor(), { stream: "checked" });
    setWallClock(byMs);
    expect((await post(url)).status).toBe(503);
    letPass(1000);
    answers.push(await post(url));
    expect(answers.map(({ status }) => status).slice(-2)).toEqual([503, 202]);
    await expectConserved(
      world,
      "checked",
      answers.filter(({ status }) => status === 202).flatMap(({ ids }) => ids),
    );
  });

  test("counts are logged after ten seconds, not before", async () => {
    const url = await serve(wireIngest);
    setWallClock(byMs);
    const answers = [await post(url)];
    expect(saidEvents()).not.toContain("ingest.counted");
    letPass(10_000);
    answers.push(await post(url));
    expect(said.find(({ event }) => event === "ingest.counted")).toMatchObject({ accepted: 2 });
    await expectConserved(
      world,
      "checked",
      answers.flatMap(({ ids }) => ids),
    );
  });

  test("a drain ends at its deadline, not before, and says how long it took", async () => {
    const url = await serve(wireSupervisor, { DRAIN_DEADLINE_MS: "50000" });
    const events = Array.from({ length: 250 }, (_, n) => ({ n: n + 1 }));
    const ids = await pushEvents(world, { stream: "checked", index: 0 }, events);
    let inserts = 0;
    world.neon.setFault(({ queries }) => {
      if (!queries.some(({ query }) => isInsert(query))) return undefined;
      inserts += 1;
      if (inserts === 1) setWallClock(byMs);
      else letPass(50_000);
      return undefined;
    });
    const response = await fetch(`${url}/drain/checked`, { method: "POST" });
    const report = (await response.json()) as { streams: object[]; durationMs: number };
    expect(report.streams[0]).toMatchObject({ stored: 200, outcome: "deadline" });
    expect(report.durationMs).toBe(50_000);
    world.neon.setFault(undefined);
    await fetch(`${url}/drain/checked`, { method: "POST" });
    await expectConserved(world, "checked", ids);
  });
});
