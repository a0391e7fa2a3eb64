/** Asking where events are: how many questions reach Postgres, and that each is answered in time. */
import { randomUUID } from "node:crypto";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { IncomingMessage } from "node:http";
import { v5 } from "uuid";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createLookUp, LookUpUnavailable } from "../../lib/ingest/look-up.ts";
import { type Ingest, OTHER_KEY, type Overrides, serveIngest } from "./test-ingest.ts";
import { expectConserved, KEY, openWorld, type World } from "./test-stack.ts";

let world: World;
let ingest: Ingest;
const opened: Ingest[] = [];
beforeAll(async () => {
  world = await openWorld();
  ingest = await start();
});
beforeEach(() => world.reset());
afterAll(async () => {
  await Promise.all(opened.map(({ close }) => close()));
  await world.close();
});

async function start(overrides: Overrides = {}): Promise<Ingest> {
  const made = await serveIngest(world, overrides);
  opened.push(made);
  return made;
}

const event = (more = {}) => ({ type: "test", payload: 1, ...more });
/** Counts the requests to Postgres, and the most that were under way at once. Each is slow, so that they could overlap. */
function countQueries() {
  const counted = { requests: 0, texts: [] as string[] };
  world.neon.setFault(({ queries }) => {
    counted.requests += 1;
    counted.texts.push(queries.map(({ query }) => query).join(";"));
    return { kind: "slow", delayMs: 30 };
  });
  return counted;
}
/** Resolves when ingest has received so many requests; the bridges are servers of this process, too. */
function requestsOf(count: number): Promise<void> {
  let received = 0;
  return new Promise((resolve) => {
    const note = (message: unknown) => {
      const { url = "" } = (message as { request: IncomingMessage }).request;
      if (!url.startsWith("/v1/") || ++received < count) return;
      unsubscribe("http.server.request.start", note);
      resolve();
    };
    subscribe("http.server.request.start", note);
  });
}
const bearer = { authorization: `Bearer ${KEY}` };

describe("many at once", () => {
  test("210 look-ups of four streams share a few queries, of which one runs at a time", async () => {
    const streams = ["events", "locations", "activities", "checked"];
    const stored = (await ingest.post("events", event(), { query: "?ack=stored" })).body.ids[0];
    let underWay = 0;
    let most = 0;
    const asked = requestsOf(210); // else they come a few at a time on a busy machine
    const overlapping: Ingest = await start({
      store: {
        ...world.store,
        find: async (...given) => {
          most = Math.max(most, ++underWay);
          await asked;
          return world.store.find(...given).finally(() => {
            underWay -= 1;
          });
        },
      },
    });
    const counted = countQueries();
    const answers = await Promise.all(
      Array.from({ length: 210 }, (_, i) =>
        overlapping.where(streams[i % 4] ?? "", i % 4 === 0 ? stored : randomUUID()),
      ),
    );
    expect(answers.map(({ status }) => status)).toEqual(answers.map((_, i) => (i % 4 === 0 ? 200 : 404)));
    expect(most).toBe(1);
    expect(counted.requests).toBeLessThanOrEqual(streams.length * 2);
  });

  test("a request of 100 ids is one query, answered in the order asked", async () => {
    const own = v5("own", "6f1d7c1e-5b0a-5c39-9a54-0d6f5b8b1a77");
    const posted = await ingest.post("events", [event({ id: "raw id/ä+1" }), event({ id: own }), event()], {
      query: "?ack=stored",
    });
    const [raw, scoped, fresh] = posted.body.ids;
    await world.sql.query(
      "insert into dead_letters (stream, id, envelope, reason, burials) values ('events', $1, 'x', 'r', 1)",
      [own],
    );
    const dead = randomUUID();
    await world.sql.query(
      "insert into dead_letters (stream, id, envelope, reason, burials) values ('events', $1, 'x', 'r', 1)",
      [dead],
    );
    const unknown = Array.from({ length: 92 }, () => randomUUID());
    const impossible = ["", "a\0b", "x".repeat(513)];
    const asked = ["raw id/ä+1", own, dead, ...unknown, ...impossible, fresh, fresh];
    const counted = countQueries();
    const { status, headers, body } = await ingest.whereAll("events", asked);
    expect([status, headers.get("content-type")]).toEqual([200, "application/json"]);
    expect(body).toEqual({
      events: [
        { id: raw, status: "stored" },
        { id: scoped, status: "stored" }, // one that is stored comes before one that is dead
        { id: dead, status: "dead" },
        ...[...unknown, ...impossible].map((id) => ({ id, status: "unknown" })),
        { id: fresh, status: "stored" },
        { id: fresh, status: "stored" },
      ],
    });
    expect(counted.requests).toBe(1);
    await expectConserved(world, "events", [...posted.body.ids, dead, own]);
  });

  test.each([0, 101])("%i ids are a 400, and Postgres is not asked", async (count) => {
    const counted = countQueries();
    const ids = Array.from({ length: count }, () => randomUUID());
    const { status, headers, body } = await ingest.whereAll("events", ids);
    expect([status, headers.get("content-type")]).toEqual([400, "application/problem+json"]);
    expect(body.detail).toContain(`got ${count}`);
    expect(counted.requests).toBe(0);
  });

  test("a URL that is too long is a 431 as problem+json", async () => {
    const { status, headers } = await ingest.whereAll("events", Array(100).fill("x".repeat(512)));
    expect([status, headers.get("content-type")]).toEqual([431, "application/problem+json"]);
  });
});

describe("one at once", () => {
  test("404 says what unknown means and when to ask again", async () => {
    const { body } = await ingest.post("events", event());
    const answer = await ingest.where("events", body.ids[0]);
    expect([answer.status, answer.headers.get("content-type")]).toEqual([404, "application/json"]);
    expect(answer.headers.get("retry-after")).toBe("60");
    expect(answer.body).toEqual({
      id: body.ids[0],
      status: "unknown",
      detail: expect.stringMatching(/buffer.*never received.*ask again/),
    });
    await expectConserved(world, "events", body.ids);
  });

  test("HEAD has the status and the headers alone, of one and of many", async () => {
    const { ids } = (await ingest.post("events", event(), { query: "?ack=stored" })).body;
    const head = async (path: string) => {
      const { status, headers, body } = await ingest.send(`/v1/events${path}`, {
        method: "HEAD",
        headers: bearer,
      });
      return [status, headers.get("retry-after"), body];
    };
    expect(await head(`/${ids[0]}`)).toEqual([200, null, undefined]);
    expect(await head(`/${randomUUID()}`)).toEqual([404, "60", undefined]);
    expect(await head(`?id=${ids[0]}&id=1`)).toEqual([200, null, undefined]);
    expect(await head("")).toEqual([400, null, undefined]);
  });

  test.each(["a\0b", "x".repeat(513)])(
    "an id that no event can have is a 404, and Postgres is not asked",
    async (id) => {
      const counted = countQueries();
      const { status, headers } = await ingest.where("events", id);
      expect([status, headers.get("content-type")]).toEqual([404, "application/problem+json"]);
      expect(counted.requests).toBe(0);
    },
  );
});

describe("the key's rate", () => {
  test("an id is a token, shared with events; past it 429 with Retry-After, and Postgres is not asked", async () => {
    let nowMs = Date.now();
    const limited = await start({ keyEventsPerSecond: 10, now: () => nowMs });
    const ids = (count: number) => Array.from({ length: count }, () => randomUUID());
    const posted = await limited.post("events", [event(), event()]);
    expect((await limited.whereAll("events", ids(17))).status).toBe(200);
    expect((await limited.where("events", "1")).status).toBe(404);
    const counted = countQueries();
    for (const answer of [await limited.where("events", "1"), await limited.whereAll("events", ids(5))]) {
      expect([answer.status, answer.headers.get("content-type")]).toEqual([429, "application/problem+json"]);
      expect(Number(answer.headers.get("retry-after"))).toBeGreaterThan(0);
    }
    expect((await limited.post("events", event())).status).toBe(429);
    expect(counted.requests).toBe(0);
    expect((await limited.where("events", "1", OTHER_KEY)).status).toBe(404); // another's bucket is full
    nowMs += 1000;
    expect((await limited.whereAll("events", ids(10))).status).toBe(200);
    await expectConserved(world, "events", posted.body.ids);
  });
});

describe("while Postgres hangs", () => {
  test("each look-up is answered 503 within its time, after a few queries", async () => {
    const hanging = await start({ lookUpTimeoutMs: 300 });
    let requests = 0;
    world.neon.setFault(() => {
      requests += 1;
      return { kind: "hang" };
    });
    const answers = await Promise.all(
      Array.from({ length: 210 }, (_, i) => hanging.where(i % 2 ? "events" : "locations", randomUUID())),
    );
    for (const { status, headers } of answers)
      expect([status, headers.get("retry-after")]).toEqual([503, expect.stringMatching(/^\d+$/)]);
    expect(requests).toBeLessThan(10); // the others' time was over when their turn came
  });

  test("write-through goes on: a look-up that hangs holds nothing that it needs", async () => {
    const both = await start({ lookUpTimeoutMs: 60_000, writeThroughConcurrency: 1 });
    let isAsked = () => {};
    const asked = new Promise<void>((resolve) => {
      isAsked = resolve;
    });
    world.neon.setFault(({ queries }) => {
      if (!queries.some(({ query }) => query.includes("dead_letters"))) return undefined;
      isAsked();
      return { kind: "hang" };
    });
    const lost = Array.from({ length: 50 }, () => both.where("events", randomUUID()).catch(() => undefined));
    await asked;
    const posted = await both.post("events", [event(), event()], { query: "?ack=stored" });
    expect(posted.status).toBe(201);
    await both.close(); // ends the look-ups
    await Promise.all(lost);
    await expectConserved(world, "events", posted.body.ids);
  });

  test("a bounded number of ids waits; past it the answer is at once", async () => {
    let release = () => {};
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    const sizes: number[] = [];
    const find = async (_stream: unknown, ids: readonly string[]) => {
      sizes.push(ids.length);
      await gate;
      return new Map();
    };
    const lookUp = createLookUp({ find }, 60_000);
    const stream = world.streams.get("events");
    if (stream === undefined) throw new Error("expected the stream events");
    const ask = () =>
      lookUp(
        stream,
        Array.from({ length: 100 }, () => randomUUID()),
      );
    const underWay = ask();
    await Promise.resolve(); // its turn has come
    const waiting = Array.from({ length: 20 }, ask);
    await expect(ask()).rejects.toThrow(LookUpUnavailable);
    release();
    await Promise.all([underWay, ...waiting]);
    expect(sizes).toEqual([100, 1000, 1000]);
  });

  test("nothing is asked for a request that has given up", async () => {
    let release = () => {};
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    const asked: string[][] = [];
    const find = async (_stream: unknown, ids: readonly string[]) => {
      asked.push([...ids]);
      await gate;
      return new Map();
    };
    const lookUp = createLookUp({ find }, 500);
    const stream = world.streams.get("events");
    if (stream === undefined) throw new Error("expected the stream events");
    const late = [lookUp(stream, ["a"])];
    await Promise.resolve(); // its turn has come
    late.push(lookUp(stream, ["b"]));
    for (const one of await Promise.allSettled(late)) expect(one.status).toBe("rejected");
    const last = lookUp(stream, ["c"]);
    release();
    await last;
    expect(asked).toEqual([["a"], ["c"]]);
  });

  test("a stream whose table is missing is a 503; look-ups of others are answered", async () => {
    await world.sql.query("alter table checked rename to elsewhere");
    try {
      const [missing, other] = await Promise.all([
        ingest.where("checked", randomUUID()),
        ingest.where("events", randomUUID()),
      ]);
      expect([missing.status, other.status]).toEqual([503, 404]);
    } finally {
      await world.sql.query("alter table elsewhere rename to checked");
    }
  });
});
