/** The HTTP contract of the supervisor on real servers. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { SupervisorDeps } from "../../functions/supervisor.ts";
import { createSupervisor } from "../../functions/supervisor.ts";
import { askSupervisor } from "./documented.ts";
import { envelopeOf, expectConserved, openWorld, type World } from "./test-stack.ts";

let world: World;
let url: string;
let close: () => Promise<void>;
/** What the supervisor under test is given beside the world's own. */
let turned: Partial<SupervisorDeps>;
beforeAll(async () => {
  world = await openWorld();
  const instance = "under-test";
  ({ url, close } = await world.serve((req, res) =>
    createSupervisor(world.supervisor({ instance, ...turned }))(req, res),
  ));
});
beforeEach(async () => {
  turned = {};
  await world.reset();
});
afterAll(async () => {
  await close();
  await world.close();
});

const call = (method: string, path: string, body?: string) =>
  askSupervisor(url, path, { method, ...(body === undefined ? {} : { body }) });

async function push(count: number, index: number, { stream = "checked", n = 1, at = Date.now() } = {}) {
  const made = Array.from({ length: count }, () => envelopeOf({ n }, { at }));
  await world.buffer.push(
    { stream, index },
    made.map(({ envelope }) => envelope),
  );
  return made.map(({ id }) => id);
}
/** Does something while the table is missing. */
async function withoutTable<T>(work: () => Promise<T>): Promise<T> {
  await world.sql.query("alter table checked rename to elsewhere");
  try {
    return await work();
  } finally {
    await world.sql.query("alter table elsewhere rename to checked");
  }
}
const leaseKey = (partition: number) => `{spillway}:checked:lease:${partition}`;
const drained = (more: object) => ({
  ...{
    stream: "checked",
    batches: 0,
    stored: 0,
    duplicates: 0,
    differing: 0,
    superseded: 0,
    dead: 0,
    held: 0,
    remaining: 0,
    outcome: "empty",
  },
  ...more,
});

describe("POST /drain", () => {
  test("drains all streams, and reports each with every field", async () => {
    const ids = [...(await push(250, 0)), ...(await push(30, 5)), ...(await push(1, 5, { n: 0 }))];
    const { status, headers, body } = await call("POST", "/drain");
    expect([status, headers.get("content-type")]).toEqual([200, "application/json"]);
    expect(Object.keys(body)).toEqual(["streams", "durationMs"]);
    expect(body.durationMs).toEqual(expect.any(Number));
    expect(body.streams.map(({ stream }: { stream: string }) => stream)).toEqual([...world.streams.keys()]);
    for (const report of body.streams)
      expect(report).toEqual(
        report.stream === "checked"
          ? drained({ batches: 4, stored: 280, dead: 1 })
          : drained({ stream: report.stream }),
      );
    await expectConserved(world, "checked", ids);
  });

  test("what a scheduler sends as a body says nothing", async () => {
    expect((await call("POST", "/drain", "{ not json")).status).toBe(200);
  });

  test("503 with the same body while Postgres is away; the next call stores all", async () => {
    const ids = await push(30, 0);
    world.neon.setFault(() => ({ kind: "refuse" }));
    const { status, body } = await call("POST", "/drain");
    expect(status).toBe(503);
    expect(body.streams).toContainEqual(drained({ remaining: null, outcome: "unavailable" }));
    world.neon.setFault(undefined);
    expect((await call("POST", "/drain")).status).toBe(200);
    await expectConserved(world, "checked", ids);
  });

  test("503 with the same body for a table that is missing", async () => {
    const ids = await push(30, 0);
    const { status, body } = await withoutTable(() => call("POST", "/drain"));
    expect(status).toBe(503);
    expect(body.streams).toContainEqual(drained({ remaining: null, outcome: "misconfigured" }));
    await call("POST", "/drain");
    await expectConserved(world, "checked", ids);
  });

  test("503 with the same body while Redis is away", async () => {
    world.upstash.setFault(() => ({ kind: "refuse" }));
    const { status, body } = await call("POST", "/drain");
    expect(status).toBe(503);
    expect(body.streams.map(({ stream }: { stream: string }) => stream)).toEqual([...world.streams.keys()]);
    expect(body.streams).toContainEqual(drained({ remaining: null, outcome: "unavailable" }));
    expect(body.durationMs).toEqual(expect.any(Number));
  });

  test("of one stream's partitions the worst outcome counts, and what is left is not counted", async () => {
    const ids = [...(await push(5, 0)), ...(await push(5, 1))];
    await world.redis.set(leaseKey(1), "other:call", "PX", 60_000);
    const { status, body } = await call("POST", "/drain");
    expect(status).toBe(200);
    expect(body.streams).toContainEqual(drained({ batches: 1, stored: 5, remaining: null, outcome: "held" }));
    await expectConserved(world, "checked", ids);
  });
});

describe("POST /drain/{stream}", () => {
  test("drains that stream alone", async () => {
    const ids = await push(5, 0);
    await world.redis.lpush("{spillway}:events:pending:0", "waits");
    const { status, body } = await call("POST", "/drain/checked");
    expect([status, body.streams]).toEqual([200, [drained({ batches: 1, stored: 5 })]]);
    expect(await world.redis.llen("{spillway}:events:pending:0")).toBe(1);
    await expectConserved(world, "checked", ids);
  });

  test("with a partition takes its full batches and no other's", async () => {
    const ids = [...(await push(250, 3)), ...(await push(100, 4))];
    const { body } = await call("POST", "/drain/checked?partition=3");
    expect(body.streams).toEqual([drained({ batches: 2, stored: 200, remaining: 50, outcome: "short" })]);
    expect(await world.redis.llen("{spillway}:checked:pending:4")).toBe(100);
    await expectConserved(world, "checked", ids);
  });

  test("with wait=1 stays until a held partition is free", async () => {
    const ids = await push(5, 0);
    await world.redis.set(leaseKey(0), "other:call", "PX", 500);
    const { body } = await call("POST", "/drain/checked?wait=1");
    expect(body.streams).toEqual([drained({ batches: 1, stored: 5 })]);
    await expectConserved(world, "checked", ids);
  });

  test("with wait=1 gives up at its deadline, and says what held it", async () => {
    turned = { drainDeadlineMs: 300 };
    const ids = await push(5, 0);
    await world.redis.set(leaseKey(0), "other:call", "PX", 60_000);
    const { status, body } = await call("POST", "/drain/checked?wait=1");
    expect([status, body.streams]).toEqual([
      200,
      [drained({ remaining: null, outcome: expect.stringMatching(/^(deadline|held)$/) })],
    ]);
    await expectConserved(world, "checked", ids);
  });
});

describe("refusals", () => {
  test.each([
    [404, "POST", "/drain/nowhere"],
    [404, "POST", "/drain/"],
    [404, "POST", "/drain/__proto__"],
    [404, "POST", "/drain/events/0"],
    [404, "POST", "/nowhere"],
    [404, "GET", "/"],
    [404, "GET", "/status/events"],
    [404, "POST", "/drain/%ff"],
    [405, "GET", "/drain"],
    [405, "GET", "/drain/events"],
    [405, "POST", "/status"],
    [405, "POST", "/health"],
    [400, "POST", "/drain/events?partition=16"],
    [400, "POST", "/drain/events?partition=-1"],
    [400, "POST", "/drain/events?partition=1.5"],
    [400, "POST", "/drain/events?partition="],
    [400, "POST", "/drain/events?partition=0x1"],
    [400, "POST", "/drain?partition=1"],
  ])("%i for %s %s, as a problem, and nothing is drained", async (status, method, path) => {
    const ids = await push(5, 0);
    const answer = await call(method, path);
    expect([answer.status, answer.headers.get("content-type")]).toEqual([status, "application/problem+json"]);
    expect(answer.body).toMatchObject({
      type: expect.stringMatching(/\/docs\/errors\.md#[a-z-]+$/),
      title: expect.any(String),
      status,
    });
    expect(await world.redis.llen("{spillway}:checked:pending:0")).toBe(5);
    await expectConserved(world, "checked", ids);
  });

  test("health touches neither server", async () => {
    world.upstash.setFault(() => ({ kind: "hang" }));
    world.neon.setFault(() => ({ kind: "hang" }));
    const { status, body } = await call("GET", "/health");
    expect([status, body]).toEqual([200, { status: "ok" }]);
  });
});

describe("GET /status", () => {
  const status = async () => {
    const answer = await call("GET", "/status");
    expect([answer.status, Object.keys(answer.body)]).toEqual([200, ["streams"]]);
    return answer.body.streams.find(({ stream }: { stream: string }) => stream === "checked");
  };

  test("names every stream; where nothing is, says so", async () => {
    const { body } = await call("GET", "/status");
    const withoutWebhooks = body.streams.map(({ webhooks: _, ...stream }: { webhooks?: unknown }) => stream);
    expect(withoutWebhooks).toEqual(
      [...world.streams.keys()].map((stream) => ({
        ...{ stream, pending: 0, sealed: 0, claimed: 0, oldestAgeSeconds: null, deadLetters: 0 },
        ...{ heldLetters: 0, heldLettersForSeconds: null, heldLettersReason: null, lettersNotCompared: null },
        tableDifferences: [],
        ...{ isPaused: false, paused: null },
        partitions: [],
      })),
    );
  });

  test("says how much waits where, how old the oldest is, who holds what, and how many letters wait", async () => {
    const now = Date.now();
    turned = { now: () => now };
    await push(1, 2, { n: 0, at: now - 1000 });
    await push(1, 2, { n: 1, at: now - 1000 });
    await call("POST", "/drain/checked");
    await push(1, 2, { n: 0, at: now - 1000 });
    await call("POST", "/drain/checked");
    await push(7, 2, { at: now - 90_000 });
    await push(250, 5, { at: now - 30_000 });
    const claimant = {
      token: "a:1",
      leaseMs: 60_000,
      count: 100,
      fullBatchesOnly: false,
      startedAtMs: Date.now() - 10_000,
    };
    await world.buffer.claim({ stream: "checked", index: 5 }, claimant);
    await push(3, 5, { at: now });
    expect(await status()).toEqual({
      ...{ stream: "checked", pending: 10, sealed: 150, claimed: 100 },
      ...{ oldestAgeSeconds: 90, deadLetters: 1, heldLetters: 1, heldLettersForSeconds: expect.any(Number) },
      lettersNotCompared: null,
      tableDifferences: [],
      ...{ isPaused: false, paused: null },
      heldLettersReason:
        "check constraint violated (SQLSTATE 23514): table checked, constraint n_is_positive",
      partitions: [
        {
          ...{ partition: 2, depth: 7, heldForSeconds: null, batchAgeSeconds: null, crashes: 0 },
          ...{ lastSqlstate: null, lastReason: null },
        },
        {
          ...{ partition: 5, depth: 253, heldForSeconds: expect.any(Number), crashes: 0 },
          batchAgeSeconds: expect.any(Number),
          ...{ lastSqlstate: null, lastReason: null },
        },
      ],
    });
    const [, held] = (await status()).partitions;
    expect(held.heldForSeconds).toBeGreaterThanOrEqual(10);
    expect(held.heldForSeconds).toBeLessThan(30);
    expect(held.batchAgeSeconds).toBeLessThan(30);
  });

  test("says why a partition does not drain, until it does", async () => {
    const ids = await push(5, 0);
    await withoutTable(() => call("POST", "/drain"));
    expect((await status()).partitions).toMatchObject([
      {
        ...{ partition: 0, depth: 5, heldForSeconds: null, crashes: 0 },
        ...{
          lastSqlstate: "42P01",
          lastReason: "undefined table (SQLSTATE 42P01): table checked; table checked is missing",
        },
      },
    ]);
    world.neon.setFault(() => ({ kind: "status-500" }));
    await call("POST", "/drain");
    expect((await status()).partitions).toMatchObject([
      { lastSqlstate: null, lastReason: "HTTP 500 from the database's proxy" },
    ]);
    world.neon.setFault(undefined);
    await call("POST", "/drain");
    expect((await status()).partitions).toEqual([]);
    await expectConserved(world, "checked", ids);
  });

  test("counts the drain calls that died with the batch in hand", async () => {
    const ids = await push(5, 0);
    for (const token of ["a:1", "b:1", "c:1"]) {
      await world.buffer.claim(
        { stream: "checked", index: 0 },
        { token, leaseMs: 4000, count: 100, fullBatchesOnly: false, startedAtMs: Date.now() },
      );
      await world.redis.del(leaseKey(0));
    }
    expect((await status()).partitions).toMatchObject([{ partition: 0, depth: 5, crashes: 2 }]);
    await call("POST", "/drain");
    await expectConserved(world, "checked", ids);
  });

  test.each(["pending", "sealed", "claimed", "lease", "claim"])(
    "a %s key that holds another type makes that partition unreadable, and hides nothing else",
    async (kind) => {
      const ids = [...(await push(5, 0)), ...(await push(2, 7))];
      const foreign = `{spillway}:checked:${kind}:7`;
      if (kind === "pending") await world.redis.rename(foreign, "{spillway}:checked:sealed:7");
      if (kind === "lease") await world.redis.lpush(foreign, "a list");
      else await world.redis.set(foreign, "a string");
      await world.redis.lpush("{spillway}:events:pending:0", "waits");
      const { body } = await call("GET", "/status");
      expect(body.streams).toContainEqual(expect.objectContaining({ stream: "events", pending: 1 }));
      const mine = await status();
      expect(mine.pending + mine.sealed).toBe(7);
      expect(mine.partitions).toMatchObject([
        { partition: 0, depth: 5, lastReason: null },
        {
          ...{ partition: 7, depth: 2, lastSqlstate: null },
          lastReason: `a key of this partition holds another type: ${foreign}`,
        },
      ]);
      await world.redis.del(foreign);
      await call("POST", "/drain/checked");
      await expectConserved(world, "checked", ids);
    },
  );

  test("503 if Redis refuses the commands themselves, as it is then not the partition's fault", async () => {
    await push(5, 0);
    world.upstash.setFault(({ path }) => {
      if (path !== "/pipeline") return undefined;
      const items = Array(8).fill({ error: "ERR max requests limit exceeded. Limit: 1, Usage: 1" });
      return { kind: "answer", status: 200, body: JSON.stringify(items) };
    });
    expect((await call("GET", "/status")).status).toBe(503);
  });

  test("deadLetters is null while Postgres is away, and all else is said", async () => {
    const ids = await push(5, 0);
    world.neon.setFault(() => ({ kind: "refuse" }));
    expect(await status()).toMatchObject({ pending: 5, deadLetters: null, heldLetters: null });
    await expectConserved(world, "checked", ids);
  });

  test("a redriven letter, and one stored since, wait for nobody", async () => {
    const ids = await push(3, 0, { n: 0 });
    await push(1, 0);
    await call("POST", "/drain");
    expect((await status()).deadLetters).toBe(3);
    await world.sql.query("update dead_letters set redriven_at = now() where id = $1", [ids[0]]);
    await world.sql.query("insert into checked (id, received_at, n) values ($1, now(), 1)", [ids[1]]);
    expect((await status()).deadLetters).toBe(1);
  });

  test("503 with Retry-After while Redis is away", async () => {
    world.upstash.setFault(() => ({ kind: "refuse" }));
    const answer = await call("GET", "/status");
    expect([answer.status, answer.headers.get("content-type")]).toEqual([503, "application/problem+json"]);
    expect(Number(answer.headers.get("retry-after"))).toBeGreaterThan(0);
  });
});
