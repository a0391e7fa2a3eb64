/** Each POST is answered by its own deadline, with its ids, whatever hangs. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { drain } from "../../lib/drain/drain.ts";
import { type Answer, type Ingest, type Overrides, serveIngest } from "./test-ingest.ts";
import { expectConserved, openWorld, type World, whereabouts } from "./test-stack.ts";

let world: World;
const open: Ingest[] = [];
beforeAll(async () => {
  world = await openWorld();
});
beforeEach(() => world.reset());
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
});
afterAll(() => world.close());

async function start(overrides: Overrides = {}): Promise<Ingest> {
  const ingest = await serveIngest(world, overrides);
  open.push(ingest);
  return ingest;
}
const events = (count: number) => Array.from({ length: count }, (_, i) => ({ type: "test", payload: i }));
const STORED = { query: "?ack=stored" };
const idsOf = (answers: readonly Answer[]): string[] => answers.flatMap(({ body }) => body.ids);
/** Posts so many requests at once. */
const postAll = (ingest: Ingest, requests: number, count: number, how = {}) =>
  Promise.all(Array.from({ length: requests }, () => ingest.post("events", events(count), how)));

/** Lets both servers hang; counts what each was sent. */
function hang() {
  const seen = { toRedis: 0, toPostgres: 0 };
  world.upstash.setFault(() => {
    seen.toRedis += 1;
    return { kind: "hang" };
  });
  world.neon.setFault(() => {
    seen.toPostgres += 1;
    return { kind: "hang" };
  });
  return seen;
}

test("with both servers hanging every request is answered 503 with its ids by its deadline, and what waited is never sent", async () => {
  const ingest = await start({ answerWithinMs: 700, pushTimeoutMs: 200, insertTimeoutMs: 300 });
  const seen = hang();
  const answers = await postAll(ingest, 12, 1000, STORED);
  for (const { status, headers, body } of answers) {
    expect([status, new Set(body.ids).size]).toEqual([503, 1000]);
    expect(Number(headers.get("retry-after"))).toBeGreaterThan(0);
  }
  expect(seen.toPostgres).toBeGreaterThan(0);
  expect(seen.toPostgres).toBeLessThan(12);
  world.upstash.setFault(undefined);
  world.neon.setFault(undefined);
  // What waited is gone: a request that comes now is alone.
  const { status, body } = await ingest.post("events", events(1), STORED);
  expect(status).toBe(201);
  const kept = (await whereabouts(world, "events")).stored;
  expect(kept).toEqual(body.ids);
  await expectConserved(world, "events", body.ids);
  expect(new Set(idsOf(answers)).size).toBe(12_000);
});

test("while Redis is slow, a push that is under way may be kept, and what waits for it is never sent, nor written through", async () => {
  const ingest = await start({ answerWithinMs: 500, pushTimeoutMs: 800 });
  let pushes = 0;
  world.upstash.setFault(() => {
    pushes += 1;
    return { kind: "late", delayMs: 700 };
  });
  const answers = await postAll(ingest, 6, 3);
  for (const { status, body } of answers) expect([status, body.ids.length]).toEqual([503, 3]);
  await expect.poll(async () => (await whereabouts(world, "events")).buffered.length).toBe(3);
  expect(pushes).toBe(1);
  world.upstash.setFault(undefined);
  const again = await ingest.post("events", events(1)); // it waits for the end of that push, alone
  expect(again.status).toBe(202);
  await drain(world.supervisor(), {});
  const stored = new Set((await whereabouts(world, "events")).stored);
  const kept = answers.filter(({ body }) => stored.has(body.ids[0]));
  expect(kept).toHaveLength(1);
  await expectConserved(world, "events", idsOf([...kept, again]));
});

test("a request that waits for a slot behind another stream's insert is answered, and its rows are never sent", async () => {
  // No request's deadline is at the moment in which the hanging insert is given up: one that begins just before may be kept.
  const ingest = await start({ answerWithinMs: 300, insertTimeoutMs: 400, writeThroughConcurrency: 1 });
  world.neon.setFault(() => ({ kind: "hang" }));
  const [first, second] = await Promise.all([
    ingest.post("events", events(1), STORED),
    ingest.post("leads", { name: "n", source: "s" }),
  ]);
  expect([first.status, second.status, second.body.ids.length]).toEqual([503, 503, 1]);
  world.neon.setFault(undefined);
  const postLead = () => ingest.post("leads", { name: "n", source: "s" });
  let later = await postLead();
  while (later.status === 503) later = await postLead(); // the hanging insert still has the slot
  expect(later.status).toBe(201);
  await expectConserved(world, "leads", later.body.ids);
  await expectConserved(world, "events", []);
});

test("a request whose refused event can't be set aside in time is answered, and the event is held all the same", async () => {
  const ingest = await start({ answerWithinMs: 300 });
  world.neon.setFault(({ queries }) =>
    queries.some(({ query }) => query.includes("dead_letters")) ? { kind: "slow", delayMs: 600 } : undefined,
  );
  const { status, body } = await ingest.post("checked", { n: 0 }, STORED);
  expect([status, body.ids.length]).toEqual([503, 1]);
  expect(body.detail).toContain("in time");
  await expect.poll(async () => (await whereabouts(world, "checked")).held).toEqual(body.ids);
  await expectConserved(world, "checked", body.ids);
});

test("a request whose deadline passed while its body came is answered with its ids, and nobody is asked", async () => {
  const ingest = await start({ answerWithinMs: 0 });
  const seen = hang();
  for (const query of ["", "?ack=stored"]) {
    const { status, body } = await ingest.post("events", events(2), { query });
    expect([status, body.ids.length]).toEqual([503, 2]);
  }
  expect(seen).toEqual({ toRedis: 0, toPostgres: 0 });
  await expectConserved(world, "events", []);
});

test("a push that is too late once it knows where to push is not sent, and is no failure of Redis", async () => {
  let nowMs = 0;
  const how = { answerWithinMs: 500, partitions: 1, bufferMaxBytes: 100, pushTimeoutMs: 2000 };
  const ingest = await start({ ...how, now: () => nowMs });
  const given: [string, object][] = [
    ["events", { type: "test", payload: 1 }],
    ["activities", { contactId: "c", type: "t", description: "d" }],
    ["locations", { userId: "u", lat: 1, lng: 2, recordedAt: "2026-01-01T00:00:00Z" }],
  ];
  const ids = new Map<string, string[]>();
  for (const [stream, event] of given) ids.set(stream, (await ingest.post(stream, event)).body.ids); // all are full
  await drain(world.supervisor(), {});
  nowMs += 1000;
  world.upstash.setFault(() => ({ kind: "slow", delayMs: 700 }));
  for (const [stream, event] of given) {
    const { status, body } = await ingest.post(stream, event); // its partition is measured first
    expect([status, body.detail]).toEqual([503, expect.stringContaining("in time")]);
  }
  world.upstash.setFault(undefined);
  for (const [stream, event] of given.reverse()) {
    const { status, body } = await ingest.post(stream, event); // the first waits for the end of its stream's look
    expect(status).toBe(202);
    await expectConserved(world, stream, [...(ids.get(stream) ?? []), ...body.ids]);
  }
});
