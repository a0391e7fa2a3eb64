/** Prune: what is settled and old is deleted, and nothing that anybody waits for. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createSupervisor, type SupervisorDeps } from "../../functions/supervisor.ts";
import { createPruneTurn } from "../../lib/buffer/prune-turn.ts";
import { connectRedis } from "../../lib/buffer/redis-client.ts";
import { createDailyPrune } from "../../lib/operate/daily-prune.ts";
import { askSupervisor } from "./documented.ts";
import { runSpillway } from "./run-spillway.ts";
import { envelopeOf, openWorld, pushEvents, type World } from "./test-stack.ts";

let world: World;
const PARTITION = { stream: "events", index: 0 };
const event = { type: "t", payload: 1 };
beforeAll(async () => {
  world = await openWorld();
});
beforeEach(async () => {
  await world.reset();
  await world.sql.query("truncate spillway_usage");
});
afterAll(() => world.close());

interface LetterMade {
  stream?: string;
  diedDaysAgo: number;
  redrivenDaysAgo?: number;
  isHeld?: boolean;
  isStored?: boolean;
}

/** Makes a letter in the table; returns its id. */
async function letter({ stream = "events", diedDaysAgo, redrivenDaysAgo, isHeld, isStored }: LetterMade) {
  const { id, envelope } = envelopeOf(event);
  await world.sql.query(
    `insert into dead_letters (stream, id, envelope, reason, burials, tries, received_at, died_at, redriven_at, retry_at)
     values ($1, $2, $3, 'because', 1, $4, now() - $5::float8 * interval '1 day', now() - $5::float8 * interval '1 day',
       now() - $6::float8 * interval '1 day', $7)`,
    [
      ...[stream, id, envelope, isHeld ? 1 : 0, diedDaysAgo, redrivenDaysAgo ?? null],
      isHeld ? new Date() : null,
    ],
  );
  if (isStored)
    await world.sql.query(
      "insert into events (id, received_at, type, payload) values ($1, now(), 't', '1')",
      [id],
    );
  return id;
}

async function usage(daysAgo: number): Promise<string> {
  const id = randomUUID();
  await world.sql.query(
    `insert into spillway_usage (id, received_at, hour, key, stream, accepted, rejected, throttled, shed, bytes)
     values ($1, now(), now() - $2::float8 * interval '1 day', 'k', 'events', 1, 0, 0, 0, 0)`,
    [id, daysAgo],
  );
  return id;
}

const idsIn = async (table: string): Promise<string[]> =>
  (await world.sql.query(`select id from ${table}`)).rows.map(({ id }: { id: string }) => id).sort();

async function withSupervisor<T>(
  more: Partial<SupervisorDeps>,
  work: (url: string) => Promise<T>,
): Promise<T> {
  const { url, close } = await world.serve(createSupervisor(world.supervisor(more)));
  try {
    return await work(url);
  } finally {
    await close();
  }
}

const prune = (query: string) =>
  withSupervisor({}, (url) => askSupervisor(url, `/prune${query}`, { method: "POST" }));

/** One letter of each kind, and which of them are settled and were so 30 days ago. */
async function makeLetters() {
  const old = [
    await letter({ diedDaysAgo: 40, redrivenDaysAgo: 31 }),
    await letter({ diedDaysAgo: 31, isStored: true }),
    await letter({ diedDaysAgo: 99, redrivenDaysAgo: 98, stream: "gone_from_the_release" }),
  ];
  const kept = [
    await letter({ diedDaysAgo: 400 }),
    await letter({ diedDaysAgo: 400, isHeld: true }),
    await letter({ diedDaysAgo: 400, isHeld: true, isStored: true }),
    await letter({ diedDaysAgo: 400, stream: "gone_from_the_release" }),
    await letter({ diedDaysAgo: 400, redrivenDaysAgo: 29 }),
    await letter({ diedDaysAgo: 29, isStored: true }),
  ];
  return { old, kept };
}

describe("POST /prune", () => {
  test("deletes letters that were redriven or stored long ago; never a live or a held one, nor an event", async () => {
    const { old, kept } = await makeLetters();
    const stored = await idsIn("events");
    expect((await prune("?letters-days=30&dry-run=1")).body).toMatchObject({
      letters: old.length,
      isDryRun: true,
    });
    expect(await idsIn("dead_letters")).toEqual([...old, ...kept].sort());
    expect((await prune("?letters-days=30")).body).toMatchObject({
      ...{ lettersDays: 30, usageDays: 90, letters: old.length, usage: 0, isDone: true, isDryRun: false },
    });
    expect(await idsIn("dead_letters")).toEqual(kept.sort());
    expect(await idsIn("events")).toEqual(stored);
  });

  test("keeps letters for ever, and the use of 90 days, if nobody says otherwise", async () => {
    const { old, kept } = await makeLetters();
    const [, young] = [await usage(91), await usage(89)];
    expect((await prune("")).body).toMatchObject({ letters: 0, usage: 1 });
    expect(await idsIn("dead_letters")).toEqual([...old, ...kept].sort());
    expect(await idsIn("spillway_usage")).toEqual([young]);
    expect((await prune("?usage-days=0")).body).toMatchObject({ usage: 0 });
  });

  test("deletes more than one statement takes, in statements of a thousand rows", async () => {
    await world.sql.query(
      `insert into spillway_usage (id, received_at, hour, accepted, rejected, throttled, shed, bytes)
       select gen_random_uuid(), now(), now() - interval '100 days', 1, 0, 0, 0, 0 from generate_series(1, 2500)`,
    );
    const statements: string[] = [];
    world.neon.setFault(({ queries }) => {
      for (const { query } of queries) if (query.includes("delete from")) statements.push(query);
      return undefined;
    });
    expect((await prune("")).body).toMatchObject({ usage: 2500, isDone: true });
    expect(statements).toHaveLength(3);
  });

  test("letters whose table can't be read are kept: they may be live", async () => {
    const stored = await letter({ diedDaysAgo: 99, isStored: true });
    await world.sql.query("alter table events rename to elsewhere");
    try {
      expect((await prune("?letters-days=30")).body).toMatchObject({ letters: 0, isDone: true });
    } finally {
      await world.sql.query("alter table elsewhere rename to events");
    }
    expect(await idsIn("dead_letters")).toEqual([stored]);
  });

  test("without Postgres is a 503, with nonsense a 400", async () => {
    for (const query of ["?letters-days=-1", "?usage-days=ten", "?days=3"])
      expect(await prune(query)).toMatchObject({ status: 400, body: { code: "invalid-query" } });
    world.neon.setFault(() => ({ kind: "refuse" }));
    expect(await prune("")).toMatchObject({ status: 503, body: { code: "database-away" } });
  });
});

describe("the daily prune", () => {
  /** A supervisor that prunes daily, by a clock that the test turns. */
  function daily() {
    const clock = { ms: 0 };
    const { pruning } = world.supervisor();
    const turn = createPruneTurn(connectRedis(world.config, 1000));
    const pruneDaily = createDailyPrune({ ...pruning, turn, log: world.log, monotonicMs: () => clock.ms });
    const drain = () =>
      withSupervisor({ pruneDaily }, (url) =>
        fetch(`${url}/drain`, { method: "POST" }).then((r) => r.status),
      );
    return { clock, drain };
  }
  const prunes = () => world.said.filter(({ event: name }) => name === "prune.finished").length;

  test("comes with a tick that stored something, once a day over all instances", async () => {
    await usage(91);
    const [one, other] = [daily(), daily()];
    await one.drain();
    expect(await idsIn("spillway_usage")).toHaveLength(1); // nothing was stored, so Postgres may be asleep
    expect(await world.redis.keys("*pruned*")).toEqual([]);
    await pushEvents(world, PARTITION, [event]);
    expect(await one.drain()).toBe(200);
    expect(await idsIn("spillway_usage")).toEqual([]);
    await pushEvents(world, PARTITION, [event]);
    await other.drain();
    one.clock.ms += 3_600_000;
    await pushEvents(world, PARTITION, [event]);
    await one.drain();
    expect(prunes()).toBe(1);
    expect(await world.redis.pttl("{spillway}:pruned")).toBeGreaterThan(86_000_000);
    await world.redis.del("{spillway}:pruned"); // a day later
    one.clock.ms += 3_600_000;
    await pushEvents(world, PARTITION, [event]);
    await one.drain();
    expect(prunes()).toBe(2);
  });

  test("a failure changes nothing of the drain, and is tried again within the hour", async () => {
    await usage(91);
    const { drain, clock } = daily();
    world.neon.setFault(({ queries }) =>
      queries.some(({ query }) => query.includes("delete from")) ? { kind: "refuse" } : undefined,
    );
    await pushEvents(world, PARTITION, [event]);
    expect(await drain()).toBe(200);
    expect(world.said.map(({ event: name }) => name)).toContain("prune.failed");
    expect(await world.redis.pttl("{spillway}:pruned")).toBeLessThanOrEqual(3_600_000);
    world.neon.setFault(undefined);
    await world.redis.del("{spillway}:pruned"); // an hour later
    clock.ms += 3_600_000;
    await pushEvents(world, PARTITION, [event]);
    await drain();
    expect(await idsIn("spillway_usage")).toEqual([]);
  });
});

describe("spillway", () => {
  test("prune says what it deletes, and usage what was sent", async () => {
    await letter({ diedDaysAgo: 40, redrivenDaysAgo: 31 });
    await usage(0.5);
    await withSupervisor({}, async (url) => {
      const run = (...args: string[]) => runSpillway(args, { env: { SUPERVISOR_URL: url } });
      expect(await run("prune", "--letters-older", "30d", "--dry-run")).toMatchObject({
        code: 0,
        out: expect.stringContaining("1 settled letter would be deleted (older than 30 days)"),
      });
      expect(await run("prune", "--letters-older", "30d")).toMatchObject({
        code: 0,
        out: expect.stringContaining("1 settled letter deleted"),
      });
      expect(await run("prune", "--letters-older", "soon")).toMatchObject({
        code: 2,
        err: expect.stringContaining('expected days, as 30d, got "soon"'),
      });
      expect(await run("usage", "--since", "2d")).toMatchObject({
        code: 0,
        out: expect.stringMatching(/hour +key +stream +accepted[\s\S]*k +events +1/),
      });
      const { out } = await run("usage", "--since", "2d", "--json");
      expect(JSON.parse(out).hours).toMatchObject([{ key: "k", stream: "events", accepted: 1 }]);
      expect(await run("refusals", "events")).toMatchObject({
        code: 0,
        out: "Nothing was refused lately.\n",
      });
    });
    expect(await idsIn("dead_letters")).toEqual([]);
  });
});
