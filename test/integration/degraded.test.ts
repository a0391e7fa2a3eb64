/** Ingest while Redis, Postgres or both are away, full or lying: what is promised still holds. */
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Fault } from "../../dev/stack/breakable-server.ts";
import type { Partition } from "../../lib/buffer/redis-keys.ts";
import { drain } from "../../lib/drain/drain.ts";
import { isOverTcp } from "../worker-servers.ts";
import { type Ingest, type Overrides, serveIngest } from "./test-ingest.ts";
import { expectConserved, isInsert, openWorld, type World, whereabouts } from "./test-stack.ts";

let world: World;
const open: { close(): Promise<void> }[] = [];
/** The instance's clock: it stands unless a test turns it. */
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
  const ingest = await serveIngest(world, { now: () => nowMs, pushTimeoutMs: 200, ...overrides });
  open.push(ingest);
  return ingest;
}
const event = (payload: unknown = { a: 1 }) => ({ type: "test", payload });
const drainAll = () => drain(world.supervisor(), {});
const said = (name: string) => world.said.filter(({ event }) => event === name).length;

/** Breaks Redis, counting the commands that come in. */
function breakRedis(fault: (command: string[]) => Fault | undefined) {
  const seen = { commands: 0 };
  world.upstash.setFault(({ commands }) => {
    seen.commands += commands.length;
    return fault(commands[0] ?? []);
  });
  return seen;
}

type Canned = { status: number; body: string };

/**
 * An endpoint in front of the bridge that answers some commands itself, with what no plain Redis would say, and
 * counts them all. Over TCP the proxy that is there does so.
 */
async function startProxy(answerOf: (name: string, key: string) => Canned | undefined) {
  const seen = { commands: 0 };
  if (isOverTcp) {
    world.upstash.setFault(({ commands: [[name = "", key = ""] = []] }) => {
      seen.commands += 1;
      const canned = answerOf(name, key);
      return canned && { kind: "answer", ...canned };
    });
    return { seen, place: {} };
  }
  const server = createServer(async (req, res) => {
    seen.commands += 1;
    let text = "";
    for await (const chunk of req) text += chunk;
    const [name = "", key = ""] = JSON.parse(text) as string[];
    const { status, body } = answerOf(name.toUpperCase(), key) ?? (await forward(req, text));
    res.writeHead(status, { "content-type": "application/json" }).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  open.push({ close });
  return { seen, place: { restUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}` } };
}

async function forward({ headers }: IncomingMessage, body: string): Promise<Canned> {
  const authorization = headers.authorization ?? "";
  const response = await fetch(world.upstash.url, { method: "POST", body, headers: { authorization } });
  return { status: response.status, body: await response.text() };
}

/** A proxy that refuses every LPUSH with Upstash's error. */
const startRefusing = (error: string) =>
  startProxy((name) => (name === "LPUSH" ? { status: 400, body: JSON.stringify({ error }) } : undefined));

describe("Redis away, Postgres there", () => {
  test.each<[string, Fault, number]>([
    ["refuses connections", { kind: "refuse" }, 2], // a broken connection is tried once more at once
    ["closes connections", { kind: "cut-before" }, 2],
    ["hangs", { kind: "hang" }, 1],
    ["answers nonsense", { kind: "nonsense" }, 1],
    ["breaks off its answer", { kind: "truncated" }, 2],
    ["answers 500", { kind: "status-500" }, 1],
    ["answers 429", { kind: "status-429" }, 1],
  ])(
    "%s: every answer is 201 stored, and after three failures nobody asks Redis",
    async (_name, fault, tries) => {
      const ingest = await start();
      const seen = breakRedis(() => fault);
      const ids: string[] = [];
      for (let i = 0; i < 5; i++) {
        const { status, body } = await ingest.post("events", event(i));
        expect([status, body.ack, body.accepted]).toEqual([201, "stored", 1]);
        ids.push(...body.ids);
      }
      expect(seen.commands).toBe(3 * tries);
      expect(said("breaker.opened")).toBe(1);
      expect((await whereabouts(world, "events")).stored.sort()).toEqual([...ids].sort());
      world.upstash.setFault(undefined);
      await drainAll();
      await expectConserved(world, "events", ids);
    },
  );

  test("after thirty seconds one request probes, and its success closes the breaker", async () => {
    const ingest = await start();
    breakRedis(() => ({ kind: "refuse" }));
    const ids: string[] = [];
    const post = async () => {
      const { body } = await ingest.post("events", event());
      ids.push(...body.ids);
      return body.ack;
    };
    for (let i = 0; i < 3; i++) expect(await post()).toBe("stored");
    const seen = breakRedis(() => undefined); // Redis is back
    nowMs += 29_999;
    expect(await post()).toBe("stored");
    expect(seen.commands).toBe(0);
    nowMs += 1;
    expect(await post()).toBe("buffered");
    expect(said("breaker.closed")).toBe(1);
    await drainAll();
    await expectConserved(world, "events", ids);
  });

  test("a probe that fails costs one command, and the breaker stays open for thirty seconds more", async () => {
    const ingest = await start();
    breakRedis(() => ({ kind: "status-500" }));
    const ids: string[] = [];
    const post = async () => ids.push(...(await ingest.post("events", event())).body.ids);
    for (let i = 0; i < 3; i++) await post();
    nowMs += 30_000;
    const seen = breakRedis(() => ({ kind: "status-500" }));
    for (let i = 0; i < 4; i++) await post();
    nowMs += 29_999;
    await post();
    expect(seen.commands).toBe(1);
    await expectConserved(world, "events", ids);
  });

  test("a probe that was shed before Redis was asked leaves the next request to probe", async () => {
    const ingest = await start({ partitions: 1, bufferMaxBytes: 1000 });
    const big = event("x".repeat(2000));
    const { body } = await ingest.post("events", big); // the only list is full from now on
    const ids: string[] = [];
    const post = async () => {
      const answer = await ingest.post("activities", { contactId: "c", type: "t", description: "d" });
      ids.push(...answer.body.ids);
      return answer.body.ack;
    };
    breakRedis(() => ({ kind: "refuse" }));
    for (let i = 0; i < 3; i++) expect(await post()).toBe("stored");
    expect(said("breaker.opened")).toBe(1);
    nowMs += 30_000;
    const seen = breakRedis(() => undefined); // Redis is back
    expect((await ingest.post("events", big)).status).toBe(503); // it asks for the depth
    expect((await ingest.post("events", big)).status).toBe(503); // within the second nobody asks
    expect(seen.commands).toBe(1);
    expect(await post()).toBe("buffered");
    expect([said("breaker.probed"), said("breaker.closed")]).toEqual([1, 1]);
    await drainAll();
    await expectConserved(world, "events", body.ids);
    await expectConserved(world, "activities", ids);
  });

  test("100 concurrent requests share a handful of inserts, at most two at once", async () => {
    const ingest = await start();
    breakRedis(() => ({ kind: "status-500" }));
    const ids: string[] = [];
    for (let i = 0; i < 3; i++) ids.push(...(await ingest.post("events", event())).body.ids);
    let inserts = 0;
    world.neon.setFault(() => {
      inserts += 1;
      return { kind: "slow", delayMs: 100 };
    });
    const answers = await Promise.all(Array.from({ length: 100 }, (_, i) => ingest.post("events", event(i))));
    expect(answers.map(({ status }) => status)).toEqual(Array(100).fill(201));
    expect(inserts).toBeLessThanOrEqual(20);
    ids.push(...answers.flatMap(({ body }) => body.ids));
    expect(new Set(ids).size).toBe(103);
    await expectConserved(world, "events", ids);
  });

  test("of requests that share an insert each hears of its own refused rows only", async () => {
    const ingest = await start();
    world.neon.setFault(() => ({ kind: "slow", delayMs: 20 }));
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_, i) =>
        ingest.post("checked", [{ n: i + 1 }, { n: i % 3 === 0 ? 0 : 1 }], { query: "?ack=stored" }),
      ),
    );
    for (const [i, { status, body }] of answers.entries()) {
      expect([status, body.accepted]).toEqual([201, i % 3 === 0 ? 1 : 2]);
      expect(body.rejected?.map((one: { index: number }) => one.index)).toEqual(
        i % 3 === 0 ? [1] : undefined,
      );
    }
    await expectConserved(
      world,
      "checked",
      answers.flatMap(({ body }) => body.ids),
    );
  });
});

test("a request of more rows than one insert takes is stored in its order, by several", async () => {
  const ingest = await start({ eventsMax: 100_000 });
  const sizes: number[] = [];
  world.neon.setFault(({ queries }) => {
    if (isInsert(queries.at(-1)?.query ?? "")) sizes.push((queries.at(-1)?.params.length ?? 0) - 1); // one is for the keys
    return undefined;
  });
  const id = "0190b3c4-aaaa-7bbb-8ccc-000000000001";
  const given = Array.from({ length: 2500 }, (_, i) => ({ ...event(i), ...(i % 2499 === 0 ? { id } : {}) }));
  const { status, body } = await ingest.post("events", given, { query: "?ack=stored" });
  expect([status, body.accepted]).toEqual([201, 2500]);
  expect(sizes).toEqual([1000, 1000, 500]);
  const { rows } = await world.sql.query("select payload from events where id = $1", [id]);
  expect(rows).toEqual([{ payload: 0 }]); // the first under an id is kept
  await expectConserved(world, "events", body.ids);
});

describe("both away", () => {
  test("503 with ids; sent again with those ids each event is stored once, whichever reply was lost", async () => {
    const ingest = await start();
    breakRedis(() => ({ kind: "cut-after" })); // Redis kept it, and its sender never heard
    world.neon.setFault(() => ({ kind: "cut-after" })); // so did Postgres
    const events = [event(1), event(2)];
    const first = await ingest.post("events", events);
    expect(first.status).toBe(503);
    expect(Number(first.headers.get("retry-after"))).toBeGreaterThan(0);
    const { ids } = first.body;
    expect(ids).toHaveLength(2);
    world.upstash.setFault(undefined);
    world.neon.setFault(undefined);
    const again = await ingest.post(
      "events",
      events.map((one, i) => ({ ...one, id: ids[i] })),
    );
    expect([again.status, again.body.ids]).toEqual([202, ids]);
    await drainAll();
    await expectConserved(world, "events", ids);
  });

  test.each<[string, Fault]>([
    ["refuses", { kind: "refuse" }],
    ["answers 500", { kind: "status-500" }],
    ["answers 429", { kind: "status-429" }],
    ["answers nonsense", { kind: "nonsense" }],
    ["hangs", { kind: "hang" }],
  ])("Postgres %s: ack=stored is 503, never 202, and nothing is buffered", async (_name, fault) => {
    const ingest = await start({ insertTimeoutMs: 300 });
    world.neon.setFault(() => fault);
    const { status, body } = await ingest.post("events", event(), { query: "?ack=stored" });
    expect([status, body.ids.length]).toEqual([503, 1]);
    const lead = await ingest.post("leads", { name: "n", source: "s" });
    expect(lead.status).toBe(503);
    world.neon.setFault(undefined);
    await expectConserved(world, "events", []);
    await expectConserved(world, "leads", []);
  });

  test("a table that is missing is a 503 under ack=stored: nobody's row is blamed", async () => {
    const ingest = await start();
    await world.sql.query("alter table checked rename to elsewhere");
    const { status, body } = await ingest.post("checked", { n: 1 }, { query: "?ack=stored" });
    await world.sql.query("alter table elsewhere rename to checked");
    expect([status, body.ids.length]).toEqual([503, 1]);
    await expectConserved(world, "checked", []);
  });

  test("Postgres away alone: events are buffered as ever, and stored when it is back", async () => {
    const ingest = await start();
    world.neon.setFault(() => ({ kind: "refuse" }));
    const ids: string[] = [];
    for (let i = 0; i < 5; i++) {
      const { status, body } = await ingest.post("events", event(i));
      expect(status).toBe(202);
      ids.push(...body.ids);
    }
    await drainAll();
    world.neon.setFault(undefined);
    await drainAll();
    expect((await whereabouts(world, "events")).stored).toHaveLength(5);
    await expectConserved(world, "events", ids);
  });
});

describe("202 stands on Redis's number alone", () => {
  test.each([
    [200, `{"result":null}`],
    [200, `{"result":"OK"}`],
    [200, `{"result":"5"}`],
    [200, `{"result":[1]}`],
    [200, `{"result":{}}`],
    [200, `{}`],
    [200, `[]`],
    [200, `5`],
    [200, `null`],
    [200, ``],
    [200, `<html>`],
    [204, ``],
    [302, ``],
    [401, `{"error":"WRONGPASS invalid password"}`],
    [403, `<html>`],
    [502, `<html>`],
  ])("%i %j in reply to LPUSH is never a 202, nor a 500", async (status, body) => {
    const { place, seen } = await startProxy(() => ({ status, body }));
    const ingest = await start(place);
    const answer = await ingest.post("events", event());
    expect([answer.status, answer.body.ack]).toEqual([201, "stored"]);
    expect(seen.commands).toBeGreaterThan(0);
    await expectConserved(world, "events", answer.body.ids);
  });

  test("a push whose reply is lost is pushed once more, answered 202 and stored once", async () => {
    const ingest = await start();
    let pushes = 0;
    breakRedis(() => (++pushes === 1 ? { kind: "cut-after" } : undefined));
    const { status, body } = await ingest.post("events", [event(1), event(2)]);
    expect([status, pushes]).toEqual([202, 2]);
    expect((await whereabouts(world, "events")).buffered).toHaveLength(4); // twice in the buffer
    await drainAll();
    await expectConserved(world, "events", body.ids);
    expect((await whereabouts(world, "events")).stored).toHaveLength(2);
  });

  test("a push that runs after its sender heard 201 stored is absorbed by the primary key", async () => {
    const ingest = await start();
    breakRedis(([name]) => (name === "LPUSH" ? { kind: "late", delayMs: 400 } : undefined));
    const { status, body } = await ingest.post("events", event());
    expect(status).toBe(201);
    await expect
      .poll(async () => (await whereabouts(world, "events")).buffered, { timeout: 5000 })
      .toEqual(body.ids);
    world.upstash.setFault(undefined);
    await drainAll();
    await expectConserved(world, "events", body.ids);
    expect((await whereabouts(world, "events")).stored).toHaveLength(1);
  });
});

describe("Redis answers, but refuses", () => {
  test("WRONGTYPE is written through and said, and does not open the breaker", async () => {
    const ingest = await start({ partitions: 1 });
    await world.redis.set("{spillway}:events:pending:0", "not a list");
    const ids: string[] = [];
    for (let i = 0; i < 5; i++) {
      const { status, body } = await ingest.post("events", event(i));
      expect(status).toBe(201);
      ids.push(...body.ids);
    }
    expect([said("breaker.opened"), said("buffer.misconfigured")]).toEqual([0, 5]);
    await world.redis.del("{spillway}:events:pending:0");
    const { status, body } = await ingest.post("events", event());
    expect(status).toBe(202); // at once: nothing was waited for
    await drainAll();
    await expectConserved(world, "events", [...ids, ...body.ids]);
  });

  test.each([
    "OOM command not allowed when used memory > 'maxmemory'.",
    "ERR max data size limit exceeded. Limit: 268435456 bytes, Usage: 268435460 bytes",
    "ERR max database size exceeded",
    "ERR DB capacity quota exceeded",
  ])("'%s' sheds at once, and asks again a second later", async (error) => {
    const { place, seen } = await startRefusing(error);
    const ingest = await start(place);
    for (let i = 0; i < 4; i++) {
      const { status, headers, body } = await ingest.post("events", event(i));
      expect([status, body.ids.length]).toEqual([503, 1]);
      expect(Number(headers.get("retry-after"))).toBeGreaterThan(0);
    }
    expect(seen.commands).toBe(1);
    expect([said("breaker.opened"), said("shedding.started")]).toEqual([0, 1]);
    nowMs += 1000;
    expect((await ingest.post("events", event())).status).toBe(503);
    expect(seen.commands).toBe(3); // an LLEN, and a push to the list that has room
    await expectConserved(world, "events", []);
  });

  test.each([
    "ERR max requests limit exceeded. Limit: 500000, Usage: 500000.",
    "ERR max daily request limit exceeded. Limit: 10000, Usage: 10000",
  ])("'%s' opens the breaker at once, says so loudly, and is written through", async (error) => {
    const { place, seen } = await startRefusing(error);
    const ingest = await start(place);
    const ids: string[] = [];
    for (let i = 0; i < 3; i++) {
      const { status, body } = await ingest.post("events", event(i));
      expect([status, body.ack]).toEqual([201, "stored"]);
      ids.push(...body.ids);
    }
    expect(seen.commands).toBe(1);
    expect([said("breaker.opened"), said("quota.exhausted")]).toEqual([1, 1]);
    await expectConserved(world, "events", ids);
  });

  test("'max single record size exceeded' moves on to the next partition, and sheds when every list is full", async () => {
    const error = "ERR max single record size exceeded. Limit: 104857600 bytes, Actual: 104857800 bytes";
    const fullLists = new Set(["0"]);
    const { place, seen } = await startProxy((name, key) =>
      name === "LPUSH" && fullLists.has(key.slice(-1))
        ? { status: 400, body: JSON.stringify({ error }) }
        : undefined,
    );
    const ingest = await start({ partitions: 3, ...place });
    const first = await ingest.post("events", event(1));
    expect(first.status).toBe(202);
    expect(await world.redis.llen("{spillway}:events:pending:1")).toBe(1);
    for (const partition of ["1", "2"]) fullLists.add(partition);
    const shed = await ingest.post("events", event(2));
    expect([shed.status, shed.body.ids.length]).toEqual([503, 1]);
    expect(said("breaker.opened")).toBe(0);
    const asked = seen.commands;
    expect((await ingest.post("events", event(3))).status).toBe(503);
    expect(seen.commands).toBe(asked); // within the second nobody asks
    fullLists.clear();
    nowMs += 1000;
    const later = await ingest.post("events", event(4));
    expect(later.status).toBe(202);
    await drainAll();
    await expectConserved(world, "events", [...first.body.ids, ...later.body.ids]);
  });
});

test("a probe to which Redis says that the list is full closes the breaker: Redis answers", async () => {
  const error = "ERR max single record size exceeded. Limit: 104857600 bytes, Actual: 104857800 bytes";
  let answer: Canned = { status: 500, body: "<html>" };
  const { place } = await startProxy((name) => (name === "LPUSH" ? answer : undefined));
  const ingest = await start({ partitions: 1, ...place });
  const ids: string[] = [];
  for (let i = 0; i < 3; i++) ids.push(...(await ingest.post("events", event(i))).body.ids);
  expect(said("breaker.opened")).toBe(1);
  answer = { status: 400, body: JSON.stringify({ error }) };
  nowMs += 30_000;
  expect((await ingest.post("events", event())).status).toBe(503);
  expect(said("breaker.closed")).toBe(1);
  await expectConserved(world, "events", ids);
});

describe("the high-water mark", () => {
  /** Some 600 bytes an envelope. */
  const big = () => event("x".repeat(500));
  const depths = () =>
    Promise.all([0, 1, 2].map((partition) => world.redis.llen(`{spillway}:events:pending:${partition}`)));

  test("fills partition after partition, then sheds with nothing kept, and recovers after a drain", async () => {
    const ingest = await start({ partitions: 3, bufferMaxBytes: 6000 });
    const ids: string[] = [];
    let answer = await ingest.post("events", big());
    while (answer.status === 202) {
      ids.push(...answer.body.ids);
      answer = await ingest.post("events", big());
    }
    const full = await depths();
    expect(Math.min(...full)).toBeGreaterThanOrEqual(8);
    expect(Math.max(...full)).toBeLessThanOrEqual(12); // 6000 bytes of some 600 each
    expect([answer.status, answer.body.ids.length]).toEqual([503, 1]);
    expect(Number(answer.headers.get("retry-after"))).toBeGreaterThan(0);
    expect(said("shedding.started")).toBe(1);
    await expectConserved(world, "events", ids); // what was shed was not kept

    const seen = breakRedis(() => undefined);
    for (let i = 0; i < 10; i++) expect((await ingest.post("events", big())).status).toBe(503);
    expect(seen.commands).toBe(0); // within the second nobody asks
    nowMs += 1000;
    for (let i = 0; i < 10; i++) expect((await ingest.post("events", big())).status).toBe(503);
    expect(seen.commands).toBe(1);

    await drainAll();
    nowMs += 1000;
    const again = await ingest.post("events", big());
    expect(again.status).toBe(202);
    expect(said("shedding.ended")).toBe(1);
    await drainAll();
    await expectConserved(world, "events", [...ids, ...again.body.ids]);
  });

  test("while shedding, another stream is not shed, and ack=stored still stores", async () => {
    const ingest = await start({ partitions: 1, bufferMaxBytes: 1000 });
    const { status, body } = await ingest.post("events", [big(), big()]);
    expect(status).toBe(202); // the push that passes the mark is kept
    expect((await ingest.post("events", big())).status).toBe(503);
    const other = await ingest.post("activities", { contactId: "c", type: "t", description: "d" });
    expect(other.status).toBe(202);
    const stored = await ingest.post("events", big(), { query: "?ack=stored" });
    expect(stored.status).toBe(201);
    await drainAll();
    await expectConserved(world, "events", [...body.ids, ...stored.body.ids]);
    await expectConserved(world, "activities", other.body.ids);
  });

  test("a deep partition makes the instance move on before it is full", async () => {
    const ingest = await start({ partitions: 3, moveOnAtDepth: 5 });
    const ids: string[] = [];
    for (let i = 0; i < 15; i++) ids.push(...(await ingest.post("events", event(i))).body.ids);
    expect(await depths()).toEqual([5, 5, 5]);
    await drainAll();
    await expectConserved(world, "events", ids);
  });

  test("quiet traffic of one instance stays in one partition", async () => {
    const ingest = await start({ partitions: 3 });
    const ids: string[] = [];
    for (let i = 0; i < 9; i++) ids.push(...(await ingest.post("events", event(i))).body.ids);
    expect(await depths()).toEqual([9, 0, 0]);
    await expectConserved(world, "events", ids);
  });
});

describe("the eager flush", () => {
  const recorder = () => {
    const flushed: Partition[] = [];
    return { flushed, flush: async (p: Partition) => void flushed.push(p) };
  };

  test("each crossing of 100·2^k triggers exactly one flush of its partition", async () => {
    const { flushed, flush } = recorder();
    const ingest = await start({ flush, moveOnAtDepth: 1_000_000 });
    const ids: string[] = [];
    for (let i = 0; i < 18; i++) {
      ids.push(
        ...(
          await ingest.post(
            "events",
            Array.from({ length: 50 }, () => event(i)),
          )
        ).body.ids,
      );
    }
    expect(ids).toHaveLength(900); // past 100, 200, 400 and 800
    expect(flushed).toEqual(Array(4).fill({ stream: "events", index: 0 }));
    await drainAll();
    await expectConserved(world, "events", ids);
  });

  test("of two instances that push to one partition at once, one sees each crossing", async () => {
    const { flushed, flush } = recorder();
    const instances = [await start({ flush }), await start({ flush })];
    const answers = await Promise.all(
      Array.from({ length: 250 }, (_, i) => (instances[i % 2] as Ingest).post("events", event(i))),
    );
    expect(flushed).toHaveLength(2); // past 100 and 200
    await expectConserved(
      world,
      "events",
      answers.flatMap(({ body }) => body.ids),
    );
  });

  test("one push across several thresholds triggers one flush, and one that crosses none triggers none", async () => {
    const { flushed, flush } = recorder();
    const ingest = await start({ flush });
    const ids: string[] = (await ingest.post("events", Array(99).fill(event()))).body.ids;
    expect(flushed).toHaveLength(0);
    ids.push(...(await ingest.post("events", Array(600).fill(event()))).body.ids);
    expect(flushed).toHaveLength(1);
    await expectConserved(world, "events", ids);
  });
});
