/** Where ingest places events, and when it says that a stream is full: by bytes, by stream, and never for ever. */
import { randomBytes } from "node:crypto";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Fault } from "../../dev/stack/breakable-server.ts";
import { drain } from "../../lib/drain/drain.ts";
import { type Ingest, type Overrides, serveIngest } from "./test-ingest.ts";
import { expectConserved, openWorld, pushEvents, type World } from "./test-stack.ts";

let world: World;
const open: Ingest[] = [];
/** The instances' clock: it stands unless a test turns it. */
let nowMs: number;
beforeAll(async () => {
  world = await openWorld();
});
beforeEach(async () => {
  nowMs = Date.now();
  await world.reset();
});
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
});
afterAll(() => world.close());

async function start(overrides: Overrides = {}): Promise<Ingest> {
  const ingest = await serveIngest(world, { now: () => nowMs, partitions: 3, ...overrides });
  open.push(ingest);
  return ingest;
}
const event = (payload: unknown) => ({ type: "test", payload });
/** An envelope of some 200 bytes. */
const small = () => event("x".repeat(50));
/** An envelope of some 12,000 bytes: packing does not help. */
const large = () => event(randomBytes(9000).toString("base64"));
const activity = { contactId: "c", type: "t", description: "d" };
const drainAll = () => drain(world.supervisor(), {});
const said = (name: string) => world.said.filter(({ event }) => event === name).length;
const depths = (stream = "events") =>
  Promise.all([0, 1, 2].map((partition) => world.redis.llen(`{spillway}:${stream}:pending:${partition}`)));

/** Fills each partition as other instances would, with small events. */
async function fillByOthers(count: number): Promise<string[]> {
  const ids: string[] = [];
  for (const index of [0, 1, 2])
    ids.push(...(await pushEvents(world, { stream: "events", index }, Array.from({ length: count }, small))));
  return ids;
}

/** Posts, and returns the ids of what was accepted. */
async function accepted(ingest: Ingest, stream: string, value: unknown): Promise<string[]> {
  const { status, body } = await ingest.post(stream, value);
  expect(status).toBe(202);
  return body.ids;
}

test("a stream of small events is not shed because another stream's are large", async () => {
  const ingest = await start({ bufferMaxBytes: 30_000 });
  const ids: string[] = [];
  for (let i = 0; i < 60; i++) ids.push(...(await accepted(ingest, "activities", activity)));
  const largeIds = await accepted(ingest, "events", [large(), large()]);
  for (let i = 0; i < 60; i++) ids.push(...(await accepted(ingest, "activities", activity)));
  expect(await depths("activities")).toEqual([120, 0, 0]); // 20 KB
  await expectConserved(world, "activities", ids);
  await expectConserved(world, "events", largeIds);
});

test("one large event makes no partition full that others filled to a third", async () => {
  const ids = await fillByOthers(150); // some 30 KB each
  const ingest = await start({ bufferMaxBytes: 100_000, moveOnAtDepth: 1 });
  ids.push(...(await accepted(ingest, "events", large())));
  for (let i = 0; i < 30; i++) ids.push(...(await accepted(ingest, "events", small())));
  expect(Math.min(...(await depths()))).toBeGreaterThan(150 + 4);
  expect([said("shedding.started"), said("buffer.deep")]).toEqual([0, 0]);
  await expectConserved(world, "events", ids);
});

test("an instance whose events are large does not shed because others pushed many small ones", async () => {
  const ids = await fillByOthers(150);
  const ingest = await start({ bufferMaxBytes: 100_000, moveOnAtDepth: 1 });
  for (let i = 0; i < 9; i++) ids.push(...(await accepted(ingest, "events", large())));
  expect(said("shedding.started")).toBe(0);
  await expectConserved(world, "events", ids);
});

test("an instance whose events are small sees that others filled a partition with large ones", async () => {
  const ingest = await start({ bufferMaxBytes: 100_000 });
  const ids = await accepted(ingest, "events", small());
  ids.push(...(await pushEvents(world, { stream: "events", index: 0 }, Array.from({ length: 12 }, large))));
  ids.push(...(await accepted(ingest, "events", large())));
  const goOn = async () => {
    ids.push(...(await accepted(ingest, "events", small())));
    return (await depths())[1];
  };
  await expect.poll(goOn, { interval: 1, timeout: 10_000 }).toBe(1); // the first is full: 13 × 12 KB
  expect(said("buffer.deep")).toBe(1);
  await expectConserved(world, "events", ids);
});

test("bytes count, not characters", async () => {
  const ingest = await start({ partitions: 1, bufferMaxBytes: 10_000 });
  const ids: string[] = [];
  for (let i = 0; i < 4; i++) ids.push(...(await accepted(ingest, "events", event("語".repeat(500))))); // 1,700 bytes each
  expect(said("buffer.deep")).toBe(1);
  await expectConserved(world, "events", ids);
});

test("a partition that was full is used again after an outage, though another one was free all the time", async () => {
  const ingest = await start({ bufferMaxBytes: 6000 });
  const ids: string[] = [];
  const post = async () => ids.push(...(await accepted(ingest, "events", event("x".repeat(500)))));
  for (let i = 0; i < 25; i++) await post();
  expect((await depths()).map((depth) => depth > 3)).toEqual([true, true, true]);
  await drainAll();
  const used = new Set<number>();
  const goOn = async () => {
    nowMs += 1000;
    await post();
    for (const [partition, depth] of (await depths()).entries()) if (depth > 0) used.add(partition);
    return used.size;
  };
  await expect.poll(goOn, { interval: 1, timeout: 10_000 }).toBe(3);
  expect(said("shedding.started")).toBe(0);
  await drainAll();
  await expectConserved(world, "events", ids);
});

describe("whether a stream is shed, before its body is read", () => {
  /** Redis counts the commands that come in. */
  function countCommands(fault?: Fault) {
    const seen = { commands: 0 };
    world.upstash.setFault(({ commands }) => {
      seen.commands += commands.length;
      return fault;
    });
    return seen;
  }
  /** An instance whose only partition of `events` is full. */
  async function startFull() {
    const ingest = await start({ partitions: 1, bufferMaxBytes: 1000, pushTimeoutMs: 200 });
    return { ingest, ids: await accepted(ingest, "events", large()) };
  }

  test("nobody asks Redis about a stream that has room", async () => {
    const ingest = await start();
    const ids = await accepted(ingest, "events", small());
    const seen = countCommands();
    expect([await ingest.isShedding("events"), await ingest.isShedding("activities")]).toEqual([
      false,
      false,
    ]);
    expect(seen.commands).toBe(0);
    await expectConserved(world, "events", ids);
  });

  test("it is while every partition is full: Redis is asked once a second, and after a drain it is not", async () => {
    const { ingest, ids } = await startFull();
    const seen = countCommands();
    const answers = [];
    for (let i = 0; i < 10; i++) answers.push(await ingest.isShedding("events"));
    expect([answers, seen.commands]).toEqual([Array(10).fill(true), 1]);
    expect(await ingest.isShedding("activities")).toBe(false);
    expect(said("shedding.started")).toBe(1);
    await drainAll();
    expect(await ingest.isShedding("events")).toBe(true); // within the second nobody looks
    nowMs += 1000;
    expect(await ingest.isShedding("events")).toBe(false);
    expect(said("shedding.ended")).toBe(1);
    ids.push(...(await accepted(ingest, "events", small())));
    await drainAll();
    await expectConserved(world, "events", ids);
  });

  test.each<Fault>([{ kind: "hang" }, { kind: "refuse" }])(
    "it is not if Redis does not answer ($kind): its events are written through, and three looks open the breaker",
    async (fault) => {
      const { ingest, ids } = await startFull();
      const seen = countCommands(fault);
      for (let i = 0; i < 5; i++) {
        expect(await ingest.isShedding("events")).toBe(false);
        nowMs += 1000;
      }
      expect([seen.commands, said("breaker.opened")]).toEqual([3, 1]);
      const { status, body } = await ingest.post("events", small());
      expect(status).toBe(201);
      await expectConserved(world, "events", [...ids, ...body.ids]);
    },
  );

  test("a question is no probe unless it finds room: the next request is", async () => {
    const { ingest, ids } = await startFull();
    expect(await ingest.isShedding("events")).toBe(true);
    countCommands({ kind: "status-500" });
    const others: string[] = [];
    for (let i = 0; i < 3; i++) {
      const { status, body } = await ingest.post("activities", activity);
      expect(status).toBe(201);
      others.push(...body.ids);
    }
    expect(said("breaker.opened")).toBe(1);
    nowMs += 30_000;
    const seen = countCommands();
    expect(await ingest.isShedding("events")).toBe(true);
    expect(await ingest.isShedding("events")).toBe(true);
    expect([seen.commands, said("breaker.closed")]).toEqual([1, 0]);
    others.push(...(await accepted(ingest, "activities", activity)));
    expect(said("breaker.closed")).toBe(1);
    await expectConserved(world, "events", ids);
    await expectConserved(world, "activities", others);
  });
});
