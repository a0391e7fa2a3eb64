/** The last refusals of each stream: who was refused, why, and nothing of the event's data. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createSupervisor } from "../../functions/supervisor.ts";
import { Refusals } from "../../lib/access/refusals.ts";
import { connectRedis } from "../../lib/buffer/redis-client.ts";
import { createRefusalLists } from "../../lib/buffer/refusal-lists.ts";
import { askSupervisor } from "./documented.ts";
import { type Ingest, LEADS_KEY, type Overrides, serveIngest } from "./test-ingest.ts";
import { expectConserved, openWorld, type World } from "./test-stack.ts";

let world: World;
const closing: (() => Promise<void>)[] = [];
beforeAll(async () => {
  world = await openWorld();
});
beforeEach(() => world.reset());
afterAll(async () => {
  for (const close of closing) await close();
  await world.close();
});

/** An instance that notes refusals, and the monotonic clock by which it writes. */
async function openIngest(overrides: Overrides = {}) {
  const clock = { ms: 0 };
  const refusals = new Refusals({
    lists: createRefusalLists(connectRedis(world.config, 1000)),
    now: () => Date.parse("2026-03-04T10:20:00Z") + clock.ms,
    monotonicMs: () => clock.ms,
    log: world.log,
  });
  const ingest = await serveIngest(world, { ...overrides, records: { refusals } });
  closing.push(ingest.close);
  return { ingest, clock };
}

async function refusalsOf(query: string) {
  const { url, close } = await world.serve(createSupervisor(world.supervisor()));
  const { status, body } = await askSupervisor(url, `/refusals${query}`);
  await close();
  return { status, body, refusals: body.refusals };
}

const event = { type: "test", payload: 1 };
/** Sends one more that is refused, ten seconds later: what was noted before is written. */
async function writeNow({ ingest, clock }: { ingest: Ingest; clock: { ms: number } }): Promise<void> {
  clock.ms += 10_000;
  await ingest.post("events", event, { key: "the-last" });
}
const keysOfRefusals = async () => (await world.redis.keys("*refusals*")).sort();

describe("what is told", () => {
  test("time, key, code, declared path, message and request id; the newest first", async () => {
    const instance = await openIngest();
    const { ingest, clock } = instance;
    await ingest.post("events", { type: 1, payload: 1 }, { headers: { "x-request-id": "first" } });
    clock.ms += 1000;
    await ingest.postRaw("events", "text/csv", "a,b", { headers: { "x-request-id": "second" } });
    await writeNow(instance);
    expect((await refusalsOf("?stream=events")).body).toEqual({
      stream: "events",
      refusals: [
        {
          at: "2026-03-04T10:20:01.000Z",
          key: "tester",
          code: "unsupported-media-type",
          path: "",
          message: "The body's media type is not supported", // not with the header's value, which the answer quotes
          requestId: "second",
        },
        {
          at: "2026-03-04T10:20:00.000Z",
          key: "tester",
          code: "invalid-event",
          path: "type",
          message: "Invalid input: expected string, received number",
          requestId: "first",
        },
      ],
    });
  });

  test("an undeclared name is a *, and no value is in any of it", async () => {
    const instance = await openIngest();
    const { ingest } = instance;
    const secret = "jane-4711";
    const nested = (value: unknown) => ({ type: "t", payload: { [secret]: value } });
    await ingest.post("events", { ...event, [secret]: 1 });
    await ingest.post("events", nested(`${secret}\u0000`));
    await ingest.post("locations", { userId: secret, lat: secret, lng: 1, recordedAt: secret });
    await ingest.post("events", event, { query: `?ack=${secret}` });
    await ingest.post("events", event, { headers: { "content-encoding": secret } });
    await ingest.postRaw("events", "application/json", `{"${secret}":`);
    await ingest.postRaw("events", "application/x-ndjson", `{"${secret}":\n`);
    await ingest.postRaw("events", `text/${secret}`, "x");
    await ingest.post(secret, event);
    await writeNow(instance);
    const all = [
      ...(await refusalsOf("?stream=events")).refusals,
      ...(await refusalsOf("?stream=locations")).refusals,
      ...(await refusalsOf("")).refusals,
    ];
    expect(all.length).toBeGreaterThanOrEqual(9);
    expect(all.map(({ path }: { path: string }) => path)).toEqual(
      expect.arrayContaining(["*", "payload.*", "lat"]),
    );
    expect(JSON.stringify(all)).not.toContain(secret);
    for (const key of await keysOfRefusals())
      expect([key, ...(await world.redis.lrange(key, 0, -1))].join()).not.toContain(secret);
  });

  test("a partly rejected request is among them, once, and its other events are accepted", async () => {
    const instance = await openIngest();
    const { body } = await instance.ingest.post("events", [event, { type: 1, payload: 1 }, {}]);
    expect(body.accepted).toBe(1);
    await writeNow(instance);
    expect((await refusalsOf("?stream=events")).refusals).toMatchObject([
      { code: "invalid-event", path: "type" },
    ]);
    await expectConserved(world, "events", body.ids);
  });

  test("requests that are throttled or shed are among them, and those of a key that may not use the stream", async () => {
    const instance = await openIngest({ isShedding: async () => true });
    await instance.ingest.post("events", event);
    await instance.ingest.post("events", event, { key: LEADS_KEY });
    await writeNow(instance);
    expect((await refusalsOf("?stream=events")).refusals).toMatchObject([
      { key: "leads", code: "stream-not-allowed" },
      { key: "tester", code: "buffer-full" },
    ]);
  });
});

describe("what it costs", () => {
  test("a flood is one script in ten seconds, and the list holds the last 100 for a week", async () => {
    const { ingest, clock } = await openIngest();
    const scripts: string[] = [];
    world.upstash.setFault(({ commands }) => {
      scripts.push(...commands.map(([name]) => String(name)));
      return undefined;
    });
    for (let round = 0; round < 10; round++)
      await Promise.all(
        [...Array(40)].map((_, i) =>
          ingest.post("events", {}, { headers: { "x-request-id": `r${round * 40 + i}` } }),
        ),
      );
    expect(scripts.length).toBeLessThanOrEqual(2); // EVALSHA, and EVAL if Redis did not know it
    clock.ms += 10_000;
    await ingest.post("events", {}, { headers: { "x-request-id": "last" } });
    expect(scripts.length).toBeLessThanOrEqual(3);
    const key = "{spillway}:events:refusals";
    expect(await world.redis.llen(key)).toBe(100);
    const { refusals } = await refusalsOf("?stream=events");
    expect([refusals.length, refusals[0].requestId]).toEqual([100, "last"]);
    const weekMs = 7 * 24 * 60 * 60 * 1000;
    expect(await world.redis.pttl(key)).toBeGreaterThan(weekMs - 60_000);
    expect(await world.redis.pttl(key)).toBeLessThanOrEqual(weekMs);
  });

  test("requests without a known key or stream have one list, however many names they invent", async () => {
    const instance = await openIngest();
    const { ingest } = instance;
    for (let i = 0; i < 150; i++) {
      await ingest.post(`made_up_${i}`, event);
      await ingest.post("events", event, { key: `made-up-${i}` });
    }
    await writeNow(instance);
    expect(await keysOfRefusals()).toEqual(["{spillway}:refusals"]);
    expect(await world.redis.llen("{spillway}:refusals")).toBe(100);
    const { body } = await refusalsOf("");
    expect(body).toMatchObject({ stream: null, refusals: expect.any(Array) });
    expect(new Set(body.refusals.map(({ code }: { code: string }) => code))).toEqual(
      new Set(["unknown-stream", "unknown-key"]),
    );
  });

  test("an accepted request writes nothing", async () => {
    const { ingest } = await openIngest();
    const { body } = await ingest.post("events", event);
    expect(await keysOfRefusals()).toEqual([]);
    await expectConserved(world, "events", body.ids);
  });

  test("if Redis is away, the answer is the same, and what was noted is written later, each once", async () => {
    const instance = await openIngest();
    const { ingest, clock } = instance;
    world.upstash.setFault(() => ({ kind: "refuse" }));
    expect((await ingest.post("events", {}, { headers: { "x-request-id": "a" } })).status).toBe(422);
    world.upstash.setFault(() => ({ kind: "cut-after" })); // it is written, and the answer is lost
    clock.ms += 10_000;
    expect((await ingest.post("events", {}, { headers: { "x-request-id": "b" } })).status).toBe(422);
    world.upstash.setFault(undefined);
    await writeNow(instance);
    const { refusals } = await refusalsOf("?stream=events");
    expect(refusals.map(({ requestId }: { requestId: string }) => requestId)).toEqual(["b", "a"]);
  });
});

describe("GET /refusals", () => {
  test("of a stream that nobody knows is a 404, of one without refusals an empty list", async () => {
    expect(await refusalsOf("?stream=nowhere")).toMatchObject({
      status: 404,
      body: { code: "unknown-stream" },
    });
    expect((await refusalsOf("?stream=leads")).body).toEqual({ stream: "leads", refusals: [] });
  });

  test("without Redis is a 503; a text of somebody else's in the list is left out", async () => {
    await world.redis.lpush("{spillway}:leads:refusals", "nonsense", "null", '{"at":1}');
    expect((await refusalsOf("?stream=leads")).refusals).toEqual([]);
    world.upstash.setFault(() => ({ kind: "refuse" }));
    expect(await refusalsOf("?stream=leads")).toMatchObject({ status: 503, body: { code: "buffer-away" } });
  });

  test("a key of another type is made anew by the next write", async () => {
    await world.redis.set("{spillway}:events:refusals", "not a list");
    const instance = await openIngest();
    await instance.ingest.post("events", {});
    expect((await refusalsOf("?stream=events")).refusals).toHaveLength(1);
  });
});
