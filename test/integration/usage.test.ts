/** Who sent how much, by key, stream and hour: counted by ingest, sent through Spillway itself, told by the supervisor. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createSupervisor } from "../../functions/supervisor.ts";
import { Usage } from "../../lib/access/usage.ts";
import { createBuffer } from "../../lib/buffer/buffer.ts";
import { connectRedis } from "../../lib/buffer/redis-client.ts";
import { type Registry, withInternal } from "../../lib/schema/registry.ts";
import usageStream from "../../lib/store/usage-stream.ts";
import { askSupervisor } from "./documented.ts";
import { type Ingest, OTHER_KEY, type Overrides, serveIngest } from "./test-ingest.ts";
import { expectConserved, openWorld, type World } from "./test-stack.ts";

let world: World;
let streams: Registry;
const closing: (() => Promise<void>)[] = [];
beforeAll(async () => {
  world = await openWorld();
  streams = withInternal(world.streams, [usageStream]);
});
beforeEach(async () => {
  await world.reset();
  await world.sql.query("truncate spillway_usage");
});
afterAll(async () => {
  for (const close of closing) await close();
  await world.close();
});

const HOUR = "2026-03-04T10:00:00.000Z";
/** The clocks of one instance, which a test turns. */
const clock = (at = "2026-03-04T10:20:00Z") => {
  const turned = { wallMs: Date.parse(at), monotonicMs: 0 };
  const pass = (ms: number) => {
    turned.wallMs += ms;
    turned.monotonicMs += ms;
  };
  return { turned, pass };
};

/** An instance that counts, with clocks of its own. */
async function openIngest({ turned } = clock(), overrides: Overrides = {}): Promise<Ingest> {
  const usage = new Usage({
    push: createBuffer(connectRedis(world.config, 1000)).push,
    now: () => turned.wallMs,
    monotonicMs: () => turned.monotonicMs,
    log: world.log,
  });
  const ingest = await serveIngest(world, { ...overrides, records: { usage } });
  closing.push(ingest.close);
  return ingest;
}

/** Asks a supervisor of its own. */
async function supervise(path: string, method = "GET") {
  const { url, close } = await world.serve(createSupervisor(world.supervisor({ streams })));
  const { status, body } = await askSupervisor(url, path, { method });
  await close();
  return { status, body };
}

const DAY = "since=2026-03-04T00:00:00Z&until=2026-03-05T00:00:00Z";
const hours = async (more = "") => (await supervise(`/usage?${DAY}${more}`)).body.hours;
const event = { type: "test", payload: 1 };
const bytesOf = (...bodies: unknown[]) =>
  bodies.reduce((sum: number, body) => sum + JSON.stringify(body).length, 0);
/** The keys of Redis, but those of the events' own stream. */
const keysOfOthers = async () =>
  (await world.redis.keys("*")).filter((key) => !key.startsWith("{spillway}:events:"));
const waitingUsage = () => world.redis.llen("{spillway}:spillway_usage:pending:0");

describe("what is counted", () => {
  test("accepted and rejected events, refused requests and bytes, by key, stream and hour", async () => {
    const time = clock();
    const ingest = await openIngest(time);
    const batch = [event, { type: 1 }, event];
    const { body } = await ingest.post("events", batch);
    expect(body.accepted).toBe(2);
    expect((await ingest.post("events", [{ type: 1 }, {}])).status).toBe(422);
    expect((await ingest.postRaw("events", "application/json", "{")).status).toBe(400);
    expect((await ingest.post("events", event, { key: "nobody" })).status).toBe(401);
    expect((await ingest.post("nowhere", event)).status).toBe(404);
    expect((await ingest.post("leads", { name: "n", source: "s" }, { key: OTHER_KEY })).status).toBe(201);
    time.pass(60_000);
    const { body: last } = await ingest.post("events", event);
    expect((await supervise("/drain", "POST")).status).toBe(200);
    const none = { accepted: 0, rejected: 0, throttled: 0, shed: 0, bytes: 0 };
    const hour = "2026-03-04T10:00:00Z";
    expect(await hours()).toEqual([
      {
        ...{ ...none, hour, key: "other", stream: "leads", accepted: 1 },
        bytes: bytesOf({ name: "n", source: "s" }),
      },
      {
        ...{ ...none, hour, key: "tester", stream: "events", accepted: 3, rejected: 1 + 2 + 1 },
        bytes: bytesOf(batch, [{ type: 1 }, {}], event) + "{".length,
      },
      { ...none, hour, key: "tester", stream: null, rejected: 1 },
      { ...none, hour, key: null, stream: "events", rejected: 1 },
    ]);
    expect(await hours("&key=other")).toHaveLength(1);
    expect(await hours("&stream=leads")).toHaveLength(1);
    expect(await hours("&key=")).toMatchObject([{ key: null }]);
    await expectConserved(world, "events", [...body.ids, ...last.ids]);
  });

  test("a compressed body counts as it is inflated, and one that is refused half-way as far as it was read", async () => {
    const ingest = await openIngest(clock(), { bodyMaxBytes: 20_000 });
    const { gzipSync } = await import("node:zlib");
    const text = JSON.stringify({ type: "t", payload: "x".repeat(5000) });
    const { body } = await ingest.postRaw("events", "application/json", new Uint8Array(gzipSync(text)), {
      headers: { "content-encoding": "gzip" },
    });
    await supervise("/drain", "POST");
    expect(await hours()).toMatchObject([{ accepted: 1, bytes: text.length }]);
    await expectConserved(world, "events", body.ids);
  });

  test("an hour ends with its sums; what comes later is of the next one", async () => {
    const time = clock("2026-03-04T10:59:59.500Z");
    const ingest = await openIngest(time);
    const all = [await ingest.post("events", event), await ingest.post("events", event)];
    time.pass(60_000);
    all.push(await ingest.post("events", event));
    await supervise("/drain", "POST");
    expect(await hours()).toMatchObject([
      { hour: "2026-03-04T11:00:00Z", accepted: 1 },
      { hour: "2026-03-04T10:00:00Z", accepted: 2 },
    ]);
    await expectConserved(
      world,
      "events",
      all.flatMap(({ body }) => body.ids),
    );
  });

  test("an event that Postgres refuses for its data is rejected, and not accepted", async () => {
    const time = clock();
    const ingest = await openIngest(time);
    await world.sql.query("alter table leads add constraint no_bad check (name <> 'bad')");
    try {
      const sent = [
        { name: "good", source: "s" },
        { name: "bad", source: "s" },
      ];
      const { status, body } = await ingest.post("leads", sent);
      expect([status, body.accepted]).toEqual([201, 1]);
      time.pass(60_000);
      await ingest.post("leads", { name: "good", source: "s" });
      await supervise("/drain", "POST");
      expect(await hours()).toMatchObject([{ stream: "leads", accepted: 2, rejected: 1 }]);
    } finally {
      await world.sql.query("alter table leads drop constraint no_bad");
    }
  });

  test("a lone request is counted whole, though no other follows", async () => {
    const ingest = await openIngest();
    const { body } = await ingest.post("events", [event, event]);
    await supervise("/drain", "POST");
    expect(await hours()).toMatchObject([{ accepted: 2, bytes: bytesOf([event, event]) }]);
    await expectConserved(world, "events", body.ids);
  });
});

describe("how it is sent", () => {
  test("at most once a minute, in one LPUSH, whatever many requests come", async () => {
    const time = clock();
    const ingest = await openIngest(time);
    const pushes: string[] = [];
    world.upstash.setFault(({ commands }) => {
      for (const [name, key] of commands) if (key?.includes("spillway_usage")) pushes.push(String(name));
      return undefined;
    });
    const post = async () => {
      const answers = await Promise.all([...Array(20)].map(() => ingest.post("events", event)));
      return answers.flatMap(({ body }) => body.ids as string[]);
    };
    const ids = [...(await post()), ...(await post())];
    expect(pushes).toEqual(["LPUSH"]);
    time.pass(59_999);
    ids.push(...(await post()));
    expect(pushes).toEqual(["LPUSH"]);
    time.pass(1);
    ids.push(...(await post()));
    expect(pushes).toEqual(["LPUSH", "LPUSH"]);
    await expectConserved(world, "events", ids);
  });

  test("requests that are throttled, shed or refused send nothing; their counts come with the next accepted event", async () => {
    let isFull = true;
    const ingest = await openIngest(clock(), {
      keyEventsPerSecond: 1,
      now: () => Date.parse(HOUR),
      isShedding: async () => isFull,
    });
    expect((await ingest.post("events", event)).status).toBe(503);
    expect((await ingest.post("events", { type: 1 }, { key: "nobody" })).status).toBe(401);
    isFull = false;
    expect((await ingest.post("events", [{}])).status).toBe(422);
    expect(await world.redis.keys("*")).toEqual([]);
    const { body } = await ingest.post("events", [event, event]);
    for (let i = 0; i < 3; i++) expect((await ingest.post("events", event)).status).toBe(429);
    expect(await waitingUsage()).toBe(2); // and what was throttled since waits for the next
    const { body: other } = await ingest.post("events", event, { key: OTHER_KEY });
    await supervise("/drain", "POST");
    expect(await hours("&key=tester")).toMatchObject([{ accepted: 2, rejected: 1, throttled: 0, shed: 1 }]);
    await expectConserved(world, "events", [...body.ids, ...other.ids]);
  });

  test("if Redis has it and the answer is lost, the request is answered all the same, and each count counts once", async () => {
    const time = clock();
    const ingest = await openIngest(time);
    let lost = 0;
    world.upstash.setFault(({ commands: [command] }) => {
      if (!command?.[1]?.includes("spillway_usage") || lost === 3) return undefined;
      lost += 1;
      return { kind: "cut-after" };
    });
    const ids: string[] = [];
    for (let i = 0; i < 5; i++) {
      const { status, body } = await ingest.post("events", event);
      expect(status).toBe(202);
      ids.push(...body.ids);
      time.pass(60_000);
    }
    expect([lost, world.said.filter(({ event }) => event === "usage.not-sent").length]).toEqual([3, 3]);
    await supervise("/drain", "POST");
    // The events of the fifth request were counted after the batch with the first was fixed; they were sent beside it.
    expect(await hours()).toMatchObject([{ accepted: 5, bytes: bytesOf(event) * 5 }]);
    await expectConserved(world, "events", ids);
  });

  test("if Redis is away, events are written through, nothing is lost of the counts, and the answer does not wait long", async () => {
    const time = clock();
    const ingest = await openIngest(time, { pushTimeoutMs: 300 });
    world.upstash.setFault(() => ({ kind: "refuse" }));
    const { status, body } = await ingest.post("events", event);
    expect(status).toBe(201);
    world.upstash.setFault(undefined);
    time.pass(60_000);
    const { body: next } = await ingest.post("events", event);
    time.pass(60_000);
    const { body: last } = await ingest.post("events", event);
    await supervise("/drain", "POST");
    expect(await hours()).toMatchObject([{ accepted: 3 }]);
    await expectConserved(world, "events", [...body.ids, ...next.ids, ...last.ids]);
  });
});

describe("an internal stream", () => {
  test("is not reachable by HTTP, with any key, and is not counted in itself", async () => {
    const ingest = await openIngest();
    const row = {
      hour: HOUR,
      key: null,
      stream: null,
      accepted: 1,
      rejected: 0,
      throttled: 0,
      shed: 0,
      bytes: 0,
    };
    const [mine, unknown] = [
      await ingest.post("spillway_usage", row),
      await ingest.post("no_such_stream", row),
    ];
    expect(mine.status).toBe(404);
    const asIf = (text: string) => text.replaceAll("no_such_stream", "spillway_usage");
    expect({ ...mine.body }).toEqual(JSON.parse(asIf(JSON.stringify(unknown.body))));
    for (const id of ["1", "?id=1"]) expect((await ingest.where("spillway_usage", id)).status).toBe(404);
    const { body } = await ingest.post("events", event);
    await supervise("/drain", "POST");
    await supervise("/drain", "POST");
    expect((await hours()).map(({ stream }: { stream: string }) => stream)).not.toContain("spillway_usage");
    await expectConserved(world, "events", body.ids);
  });

  test("is not in the reports of drain and status while it is well", async () => {
    const ingest = await openIngest();
    const names = ({ body }: { body: { streams: { stream: string }[] } }) =>
      body.streams.map(({ stream }) => stream);
    const declared = [...world.streams.keys()];
    const { body } = await ingest.post("events", event);
    expect(names(await supervise("/status"))).toEqual([...declared, "spillway_usage"]); // it waits
    expect(names(await supervise("/drain", "POST"))).toEqual(declared);
    expect(names(await supervise("/status"))).toEqual(declared);
    expect(await supervise("/drain/spillway_usage", "POST")).toMatchObject({
      status: 200,
      body: { streams: [{ stream: "spillway_usage", outcome: "empty" }] },
    });
    expect(await keysOfOthers()).toEqual([]);
    await expectConserved(world, "events", body.ids);
  });

  test("is in both if its table is missing: said, kept, and stored once the table is there", async () => {
    const ingest = await openIngest();
    const { body } = await ingest.post("events", event);
    await world.sql.query("alter table spillway_usage rename to elsewhere");
    try {
      const drained = await supervise("/drain", "POST");
      expect(drained.status).toBe(503);
      expect(drained.body.streams.at(-1)).toMatchObject({
        stream: "spillway_usage",
        outcome: "misconfigured",
      });
      expect((await supervise("/usage")).body).toMatchObject({ status: 503, code: "database-refuses" });
    } finally {
      await world.sql.query("alter table elsewhere rename to spillway_usage");
    }
    const { status } = await supervise("/drain", "POST");
    expect(status).toBe(200);
    expect(await hours()).toMatchObject([{ accepted: 1 }]);
    await expectConserved(world, "events", body.ids);
  });

  test("waits with the events while Postgres is away", async () => {
    const ingest = await openIngest();
    const { body } = await ingest.post("events", event);
    world.neon.setFault(() => ({ kind: "refuse" }));
    expect((await supervise("/drain", "POST")).status).toBe(503);
    expect((await supervise("/usage")).body).toMatchObject({ status: 503, code: "database-away" });
    world.neon.setFault(undefined);
    expect((await supervise("/drain", "POST")).status).toBe(200);
    expect(await hours()).toMatchObject([{ accepted: 1 }]);
    await expectConserved(world, "events", body.ids);
  });
});

test("a query that makes no sense is refused in a sentence", async () => {
  for (const query of ["since=yesterday", "until=2026-13-01T00:00:00Z", "hour=10", "key=%00", "stream=a%00"])
    expect((await supervise(`/usage?${query}`)).body).toMatchObject({ status: 400, code: "invalid-query" });
  expect((await supervise("/usage", "POST")).status).toBe(405);
});
