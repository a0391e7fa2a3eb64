/** Pausing a stream at run time, on real servers: what stops, what goes on, what is told, and that nothing is lost. */
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { createSupervisor, type SupervisorDeps } from "../../functions/supervisor.ts";
import { callerOf } from "../../lib/cloud-run/caller.ts";
import { httpFlush } from "../../lib/ingest/eager-flush.ts";
import { askSupervisor } from "./documented.ts";
import { serveIngest } from "./test-ingest.ts";
import {
  expectConserved,
  good,
  letPausesEnd,
  openWorld,
  pushEvents,
  type World,
  whereabouts,
} from "./test-stack.ts";

let world: World;
/** Two supervisors, each as a process of its own. */
let one: Served;
let other: Served;
/** What the first is given beside the world's own. */
let turned: Partial<SupervisorDeps> = {};
beforeAll(async () => {
  world = await openWorld({ FLUSH_THRESHOLD: "100" });
  one = await serveSupervisor("one", () => turned);
  other = await serveSupervisor("other", () => ({}));
});
beforeEach(async () => {
  turned = {};
  await world.reset();
});
afterAll(async () => {
  await one.close();
  await other.close();
  await world.close();
});

type Served = Awaited<ReturnType<typeof serveSupervisor>>;

async function serveSupervisor(instance: string, more: () => Partial<SupervisorDeps>) {
  const { url, close } = await world.serve((req, res) =>
    createSupervisor(world.supervisor({ instance, ...more() }))(req, res),
  );
  function post(path: string, body?: unknown, headers: Record<string, string> = {}) {
    const json = body === undefined ? {} : { "content-type": "application/json" };
    const sent = body === undefined ? null : JSON.stringify(body);
    return askSupervisor(url, path, { method: "POST", body: sent, headers: { ...json, ...headers } });
  }
  const status = async (stream = "checked") => {
    const { streams }: { streams: { stream: string }[] } = (await askSupervisor(url, "/status")).body;
    return streams.find((found) => found.stream === stream);
  };
  const drain = async (query = "") => (await post(`/drain/checked${query}`)).body.streams[0];
  return { url, close, post, status, drain };
}

const PAUSED_KEY = "{spillway}:checked:paused";
const push = (count: number, index = 0) => pushEvents(world, { stream: "checked", index }, good(count));
const pause = (body?: object) => one.post("/streams/checked/pause", body);
const resume = () => other.post("/streams/checked/resume");

/** The ids that are in hand now. */
async function claimedIds(): Promise<string[]> {
  const keys = await world.redis.keys("{spillway}:checked:claimed:*");
  const lists = await Promise.all(keys.map((key) => world.redis.lrange(key, 0, -1)));
  return lists.flat().map((text) => (JSON.parse(text) as { id: string }).id);
}

/** A store whose inserts wait until they are let go. */
function gate() {
  let letGo = () => {};
  const opened = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  let arrived = 0;
  const insert: typeof world.store.insert = async (...given) => {
    arrived += 1;
    await opened;
    return world.store.insert(...given);
  };
  return { store: { ...world.store, insert }, letGo: () => letGo(), arrived: () => arrived };
}

describe("what a pause stops", () => {
  test("batches in hand are stored and acknowledged, nothing else is claimed, and after resume all is stored once", async () => {
    const ids: string[] = [];
    for (const index of [0, 3, 15]) ids.push(...(await push(250, index)));
    const { store, letGo, arrived } = gate();
    turned = { store };
    const draining = one.drain("?wait=1");
    await vi.waitFor(() => expect(arrived()).toBe(3));
    expect(await pause()).toMatchObject({ status: 200 });
    const inHand = await claimedIds();
    expect(inHand).toHaveLength(300);
    letGo();
    expect(await draining).toMatchObject({ batches: 3, stored: 300, outcome: "held", remaining: null });
    expect(await other.drain("?wait=1")).toMatchObject({ batches: 0, outcome: "held" });
    const { stored, buffered } = await whereabouts(world, "checked");
    expect([stored.sort(), buffered.length]).toEqual([inHand.sort(), 450]);
    expect(await claimedIds()).toEqual([]);
    expect(await world.redis.keys("*lease*")).toEqual([]);

    await resume();
    expect(await other.drain()).toMatchObject({ stored: 450, outcome: "empty", remaining: 0 });
    await expectConserved(world, "checked", ids);
  });

  test("under load from two supervisors, what is stored later was claimed before the answer", async () => {
    const ids: string[] = [];
    let isOver = false;
    const pushing = (async () => {
      for (let n = 0; !isOver; n++) ids.push(...(await push(40, n % 16)));
    })();
    const draining = [one, other].map(async (supervisor) => {
      while (!isOver) await supervisor.drain("?wait=1");
    });
    const storedCount = async () =>
      Number((await world.sql.query("select count(*) from checked")).rows[0].count);
    for (let round = 0; round < 5; round++) {
      const before = await storedCount();
      await vi.waitFor(async () => expect(await storedCount()).toBeGreaterThan(before), 20_000);
      await pause();
      const inHand = await claimedIds();
      const { stored } = await whereabouts(world, "checked");
      const mayBeStored = new Set([...inHand, ...stored]);
      await vi.waitFor(async () => expect(await claimedIds()).toEqual([]), 20_000);
      const pushed = ids.length;
      await vi.waitFor(() => expect(ids.length).toBeGreaterThan(pushed + 500), 20_000);
      const late = (await whereabouts(world, "checked")).stored.filter((id) => !mayBeStored.has(id));
      expect(late).toEqual([]);
      await resume();
    }
    isOver = true;
    await Promise.all([pushing, ...draining]);
    await one.drain("?wait=1");
    await expectConserved(world, "checked", ids);
    expect((await whereabouts(world, "checked")).buffered).toEqual([]);
  }, 120_000);

  test("a batch whose drain call died stays in hand until the pause is over", async () => {
    const ids = await push(5);
    const claimant = { token: "dead:1", leaseMs: 1, count: 100, fullBatchesOnly: false, startedAtMs: 0 };
    await world.buffer.claim({ stream: "checked", index: 0 }, claimant);
    await vi.waitFor(async () => expect(await world.redis.keys("*lease*")).toEqual([]));
    await pause();
    expect(await one.drain()).toMatchObject({ stored: 0, outcome: "held" });
    expect((await claimedIds()).sort()).toEqual([...ids].sort());
    await resume();
    expect(await one.drain()).toMatchObject({ stored: 5 });
    await expectConserved(world, "checked", ids);
  });

  test("another stream is drained", async () => {
    await push(1);
    const events = await pushEvents(world, { stream: "events", index: 0 }, [{ type: "t", payload: {} }]);
    await pause();
    const { body } = await one.post("/drain");
    expect(body.streams).toContainEqual(expect.objectContaining({ stream: "events", stored: 1 }));
    expect(body.streams).toContainEqual(expect.objectContaining({ stream: "checked", outcome: "held" }));
    await expectConserved(world, "events", events);
  });

  test("held letters are not tried, and are soon after resume", async () => {
    const [bad = ""] = await pushEvents(world, { stream: "checked", index: 0 }, [{ n: -1 }]);
    expect(await one.drain()).toMatchObject({ held: 1 });
    await letPausesEnd(world);
    const tries = async () => (await world.sql.query("select tries from dead_letters")).rows[0].tries;
    const before = await tries();
    await pause({ for: "30min" });
    await one.drain();
    expect(await tries()).toBe(before);
    const dueInMs = Number(await world.redis.hget("{spillway}:held", "dueAtMs")) - Date.now();
    expect(dueInMs).toBeGreaterThan(1_700_000); // when the pause ends, and no tick asks Postgres before
    expect(dueInMs).toBeLessThanOrEqual(1_800_000);
    await resume();
    expect(Number(await world.redis.hget("{spillway}:held", "dueAtMs")) - Date.now()).toBeLessThanOrEqual(
      60_000,
    );
    await letPausesEnd(world);
    await one.drain();
    expect(await tries()).toBe(before + 1);
    await expectConserved(world, "checked", [bad]);
  });

  test("held letters are tried no more from the page after which it comes", async () => {
    await pushEvents(world, { stream: "checked", index: 0 }, [{ n: -1 }, { n: -2 }]);
    await one.drain();
    await world.sql.query("update dead_letters set envelope = replace(envelope, '\"n\":-', '\"n\":')");
    await letPausesEnd(world);
    const insert: typeof world.store.insert = async (...given) => {
      await pause();
      return world.store.insert(...given);
    };
    turned = { store: { ...world.store, insert }, batchMaxRows: 1 };
    expect(await one.drain()).toMatchObject({ stored: 1 });
    const { stored, held } = await whereabouts(world, "checked");
    expect([stored.length, held.length]).toEqual([1, 1]);
    turned = {};
    await resume();
    await letPausesEnd(world);
    expect(await one.drain()).toMatchObject({ stored: 1 });
  });
});

describe("what goes on", () => {
  test("ingest accepts events, and stores those that are stored before the answer", async () => {
    await pause();
    await one.post("/streams/leads/pause");
    const ingest = await serveIngest(world);
    const buffered = await ingest.post("checked", { n: 1 });
    const stored = await ingest.post("checked", { n: 2 }, { query: "?ack=stored" });
    const lead = await ingest.post("leads", { name: "Ann", source: "form" });
    expect([buffered.status, stored.status, lead.status]).toEqual([202, 201, 201]);
    world.upstash.setFault(() => ({ kind: "refuse" }));
    const without = await ingest.post("checked", { n: 3 });
    world.upstash.setFault(undefined);
    expect(without.status).toBe(201);
    await ingest.close();
    await one.drain();
    const found = await whereabouts(world, "checked");
    expect(found.stored.sort()).toEqual([...stored.body.ids, ...without.body.ids].sort());
    expect(found.buffered).toEqual(buffered.body.ids);
    expect((await whereabouts(world, "leads")).stored).toEqual(lead.body.ids);
    await resume();
    await one.drain();
    await expectConserved(
      world,
      "checked",
      [buffered, stored, without].flatMap(({ body }) => body.ids),
    );
  });

  test("eager flushes end with one claim, and neither wake Postgres nor come again for what is there", async () => {
    await pause();
    let flushes = 0;
    const evals: string[] = [];
    const still = await world.serve(createSupervisor(world.supervisor()));
    // The first drain of a process checks the tables, and the first claim of a Redis loads the script.
    await fetch(`${still.url}/drain/checked?partition=0`, { method: "POST" });
    const ingest = await serveIngest(world, {
      flush: async (partition) => {
        flushes += 1;
        await httpFlush(still.url, world.log)(partition);
      },
      moveOnAtDepth: 1_000_000,
    });
    const statements: string[] = [];
    world.neon.setFault(({ queries }) => {
      statements.push(...queries.map(({ query }) => query));
      return undefined;
    });
    world.upstash.setFault(({ commands }) => {
      evals.push(...commands.map(([name = ""]) => name).filter((name) => /^EVAL/i.test(name)));
      return undefined;
    });
    const ids: string[] = [];
    for (let n = 0; n < 17; n++) ids.push(...(await ingest.post("checked", good(100))).body.ids);
    expect(flushes).toBe(5); // at 100, 200, 400, 800 and 1,600
    await vi.waitFor(() => expect(evals).toHaveLength(5));
    expect(statements).toEqual([]);
    expect(await claimedIds()).toEqual([]);
    world.upstash.setFault(undefined);
    world.neon.setFault(undefined);
    await ingest.close();
    await still.close();
    await resume();
    expect(await one.drain()).toMatchObject({ stored: 1700 });
    await expectConserved(world, "checked", ids);
  });
});

describe("when it ends", () => {
  test("by itself, by Redis's clock", async () => {
    const ids = await push(5);
    await pause({ for: "1s" });
    expect(await one.drain()).toMatchObject({ stored: 0, outcome: "held" });
    await vi.waitFor(async () => expect(await world.redis.exists(PAUSED_KEY)).toBe(0), 10_000);
    expect(await one.status()).toMatchObject({ isPaused: false, paused: null });
    expect(await other.drain()).toMatchObject({ stored: 5 });
    await expectConserved(world, "checked", ids);
  });

  test("if Redis loses it", async () => {
    const ids = await push(5);
    await pause();
    await world.redis.del(PAUSED_KEY);
    expect(await one.drain()).toMatchObject({ stored: 5 });
    await expectConserved(world, "checked", ids);
  });

  test("a full Redis takes a pause and its end, too", async () => {
    await push(1);
    await world.redis.config("SET", "maxmemory", "1");
    try {
      expect(await pause()).toMatchObject({ status: 200 });
      expect(await pause({ for: "2h" })).toMatchObject({ status: 200 });
      expect(await one.status()).toMatchObject({ isPaused: true });
      expect((await resume()).body.ended).not.toBeNull();
    } finally {
      await world.redis.config("SET", "maxmemory", "0");
    }
  });
});

describe("what it costs", () => {
  /** The billed commands of some work, those inside scripts too. */
  async function billed(work: () => Promise<unknown>): Promise<number> {
    const before = await world.upstash.billedCommands();
    await work();
    return (await world.upstash.billedCommands()) - before;
  }
  const tick = () => one.post("/drain");

  test("an idle tick of a paused stream is one EXISTS and no query", async () => {
    await pause();
    const names: string[] = [];
    const still = await world.serve(createSupervisor(world.supervisor()));
    await fetch(`${still.url}/drain`, { method: "POST" }); // checks the tables
    const statements: unknown[] = [];
    world.neon.setFault(({ queries }) => void statements.push(...queries));
    world.upstash.setFault(({ commands }) => void names.push(...commands.map(([name = ""]) => name)));
    expect(await billed(() => fetch(`${still.url}/drain`, { method: "POST" }))).toBe(1);
    expect([names, statements]).toEqual([["EXISTS"], []]);
    await still.close();
  });

  test("a stream that is not paused costs what it did before there were pauses", async () => {
    await tick();
    expect(await billed(tick)).toBe(1);
    await push(1);
    await tick(); // loads the scripts
    const ids = await push(1000, 5);
    expect(await billed(tick)).toBe(105); // counted before the claim read a pause, too
    await expectConserved(world, "checked", [...ids, ...(await whereabouts(world, "checked")).stored]);
  });

  test("a tick of a paused stream asks Redis what it needs to find it, and three commands a partition", async () => {
    await push(1);
    await tick(); // loads the scripts
    await push(100, 5);
    await pause();
    const paused = await billed(tick);
    await world.redis.set("{spillway}:checked:lease:5", "other:1", "PX", 60_000);
    expect(await billed(tick)).toBe(paused);
    await world.redis.del(PAUSED_KEY);
    expect(await billed(tick)).toBe(paused + 1); // held, it asks for how long
  });

  test("the status asks one command more, and one for each paused stream", async () => {
    const status = () => one.status();
    await status();
    const before = await billed(status);
    await pause();
    expect(await billed(status)).toBe(before + 1);
  });
});

const seconds = (from: string | null, to: string | null) =>
  (Date.parse(to ?? "") - Date.parse(from ?? "")) / 1000;

describe("what is told", () => {
  test.each([
    [undefined, 3600],
    [{}, 3600],
    [{ for: "24h" }, 86_400],
    [{ for: "1d" }, 86_400],
    [{ for: "1440min" }, 86_400],
    [{ for: "90m" }, 5400],
    [{ for: "1s" }, 1],
  ])("a pause with %j ends after %d s, and says what it does not stop", async (body, lasts) => {
    const { status, body: answer } = await pause(body);
    expect([status, answer]).toEqual([
      200,
      {
        stream: "checked",
        paused: {
          since: expect.any(String),
          until: expect.any(String),
          by: null,
          why: null,
          isInEnvironment: false,
        },
        replaced: null,
        note: expect.stringMatching(/ack=stored.*write-through.*still reach Postgres/),
      },
    ]);
    expect(Math.abs(seconds(answer.paused.since, answer.paused.until) - lasts)).toBeLessThan(1);
    const leftMs = await world.redis.pttl(PAUSED_KEY);
    expect([leftMs > 0, leftMs <= lasts * 1000]).toEqual([true, true]);
  });

  test("the status says since when, until when, by whom and why; a second pause keeps the beginning and replaces the rest", async () => {
    const token = (email: string) => {
      const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
      return { authorization: `Bearer ${part({})}.${part({ email, email_verified: true })}.x` };
    };
    turned = { callerOf };
    const before = Date.now();
    const why = { why: ' a new column: "größe" ' };
    await one.post("/streams/checked/pause", { for: "2h", ...why }, token("Ann@example.com"));
    const first = (await other.status()) as unknown as { isPaused: boolean; paused: Record<string, string> };
    expect(first).toMatchObject({
      isPaused: true,
      paused: { by: "ann@example.com", why: 'a new column: "größe"', isInEnvironment: false },
    });
    expect(Date.parse(first.paused.since ?? "")).toBeGreaterThanOrEqual(before);
    const { body } = await one.post("/streams/checked/pause", { for: "30min" }, token("bob@example.com"));
    expect(body.paused).toMatchObject({ since: first.paused.since, by: "bob@example.com", why: null });
    expect(body.replaced).toMatchObject({
      since: first.paused.since,
      by: "ann@example.com",
      why: first.paused.why,
    });
    expect(Math.abs(seconds(body.replaced.until, first.paused.until ?? null))).toBeLessThan(1);
    expect(world.said).toContainEqual({
      event: "stream.paused",
      fields: { stream: "checked", seconds: 1800, by: "bob@example.com", why: undefined, isReplaced: true },
    });
    const { body: end } = await one.post("/streams/checked/resume", undefined, token("eve@example.com"));
    expect(end).toMatchObject({
      ended: { by: "bob@example.com" },
      paused: null,
      note: "The next tick drains it.",
    });
    expect(world.said).toContainEqual({
      event: "stream.resumed",
      fields: { stream: "checked", by: "eve@example.com" },
    });
  });

  test("the doctor warns of it", async () => {
    await push(3);
    await pause({ for: "2h", why: "a migration" });
    const { checks } = (await (await fetch(`${one.url}/doctor`)).json()) as { checks: { check: string }[] };
    expect(checks.find(({ check }) => check === "paused")).toMatchObject({
      result: "wrong",
      seen: expect.stringMatching(
        /^checked is paused until [-\d]+ [:\d]+ UTC, since [-\d]+ [:\d]+ UTC \(a migration\): 3 events wait$/,
      ),
      do: "when its events may be stored: spillway resume checked",
    });
  });

  test("to resume what is not paused is no error, and says so", async () => {
    expect(await resume()).toMatchObject({
      status: 200,
      body: { stream: "checked", ended: null, paused: null, note: "It was not paused, and nothing changed." },
    });
    expect(world.said).toEqual([]);
  });

  test("a stream in DRAIN_PAUSED stays paused, and both answers say so", async () => {
    turned = { paused: new Set(["checked"]) };
    expect((await pause()).body).toMatchObject({
      paused: { until: null, isInEnvironment: true },
      note: expect.stringContaining("DRAIN_PAUSED"),
    });
    expect((await pause()).body.replaced).toMatchObject({
      until: expect.any(String),
      isInEnvironment: false,
    });
    expect((await one.post("/streams/checked/resume")).body).toMatchObject({
      ended: { until: expect.any(String) },
      paused: { since: null, until: null, isInEnvironment: true },
      note: expect.stringContaining("DRAIN_PAUSED"),
    });
  });

  test.each([
    ["1", { since: null, by: null, why: null }],
    ["12 nonsense", { since: "1970-01-01T00:00:00.012Z", by: null, why: null }],
    ['12 {"by":1}', { since: "1970-01-01T00:00:00.012Z", by: null, why: null }],
    ["12 null", { by: null, why: null }],
    ["999999999999999 {}", { since: null, by: null, why: null }],
  ])("a key that somebody wrote by hand, %j, pauses, too", async (value, paused) => {
    const ids = await push(1);
    await world.redis.set(PAUSED_KEY, value);
    expect(await one.drain()).toMatchObject({ stored: 0, outcome: "held" });
    expect(await one.status()).toMatchObject({ isPaused: true, paused: { until: null, ...paused } });
    await resume();
    expect(await one.drain()).toMatchObject({ stored: 1 });
    await expectConserved(world, "checked", ids);
  });
});

describe("what is refused", () => {
  test.each([
    "0",
    "0s",
    "0h",
    "25h",
    "2d",
    "86401s",
    "1441min",
    "-1h",
    "1.5h",
    "h",
    "2 h",
    "forever",
    "",
    "1e3s",
    "99999h",
    "constructor",
  ])("a pause for %j", async (text) => {
    const { status, body } = await pause({ for: text });
    expect({ status, ...body }).toMatchObject({
      ...{ status: 400, code: "invalid-body" },
      errors: [{ path: "for", message: "expected a length of time from 1s to 24h, such as 30min or 2h" }],
    });
    expect(await world.redis.exists(PAUSED_KEY)).toBe(0);
  });

  test.each([
    { for: 3600 },
    { why: "" },
    { why: "x".repeat(201) },
    { why: "a\nb" },
    { why: "\u001b[2J" },
    { by: "somebody" },
    [],
    "1h",
  ])("a body %j", async (body) => {
    const answer = await one.post("/streams/checked/pause", body);
    expect([answer.status, answer.body.code]).toEqual([400, "invalid-body"]);
    expect(await world.redis.exists(PAUSED_KEY)).toBe(0);
  });

  test("an unknown stream, another method, another path, and any of it while Redis is away", async () => {
    for (const verb of ["pause", "resume"]) {
      for (const name of ["nope", "constructor", "%00", "checked%3Apaused"])
        expect(await one.post(`/streams/${name}/${verb}`)).toMatchObject({
          status: 404,
          body: { code: "unknown-stream" },
        });
      const get = await fetch(`${one.url}/streams/checked/${verb}`);
      expect([get.status, get.headers.get("allow")]).toEqual([405, "POST"]);
      world.upstash.setFault(() => ({ kind: "refuse" }));
      expect(await one.post(`/streams/checked/${verb}`)).toMatchObject({
        status: 503,
        body: { code: "buffer-away" },
      });
      world.upstash.setFault(undefined);
    }
    for (const path of [
      "/streams",
      "/streams/checked",
      "/streams/checked/stop",
      "/streams/checked/pause/now",
    ])
      expect(await one.post(path)).toMatchObject({ status: 404, body: { code: "unknown-path" } });
    expect(await world.redis.keys("*")).toEqual([]);
  });

  test("callers that may only drain", async () => {
    turned = { mayOperate: () => false };
    for (const verb of ["pause", "resume"])
      expect(await one.post(`/streams/checked/${verb}`)).toMatchObject({
        status: 403,
        body: { code: "caller-not-allowed" },
      });
  });
});
