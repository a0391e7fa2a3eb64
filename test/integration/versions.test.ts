/**
 * A stream whose columns are renamed one by one, in three releases, while events of each are buffered and set aside. Each release is a
 * registry of its own over the one table, which is migrated before the release starts, as a deployment does it.
 */
import { integer, pgTable, text } from "drizzle-orm/pg-core";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { createSupervisor } from "../../functions/supervisor.ts";
import { drain } from "../../lib/drain/drain.ts";
import { type RedriveProgress, redrive } from "../../lib/operate/redrive.ts";
import { type TrialProgress, tryRedrive } from "../../lib/operate/redrive-trial.ts";
import { readStatus } from "../../lib/operate/status.ts";
import { encodeEnvelope } from "../../lib/schema/envelope.ts";
import { newId } from "../../lib/schema/event-ids.ts";
import { type Registry, registryOf } from "../../lib/schema/registry.ts";
import { defineStream, eventColumns } from "../../lib/schema/stream.ts";
import { connect } from "../../lib/store/database.ts";
import { createDeadLetterStore, type LetterFilter } from "../../lib/store/dead-letter-store.ts";
import { runSpillway } from "./run-spillway.ts";
import { serveIngest } from "./test-ingest.ts";
import { expectConserved, letPausesEnd, openWorld, type World } from "./test-stack.ts";

const name = "renamed";
const v1 = z.strictObject({ product: z.string(), qty: z.int() });
const v2 = z.strictObject({ product: z.string(), quantity: z.int() });
const v3 = z.strictObject({ sku: z.string(), quantity: z.int() });

const product = text("product").notNull();
const table2 = pgTable(name, { ...eventColumns(), product, quantity: integer("quantity").notNull() });
const table3 = pgTable(name, {
  ...{ ...eventColumns(), sku: text("sku").notNull(), quantity: integer("quantity").notNull() },
});

const release1 = defineStream({
  ...{
    name,
    schema: v1,
    table: pgTable(name, { ...eventColumns(), product, qty: integer("qty").notNull() }),
  },
});
const release2 = defineStream({
  ...{ name, schema: v2, table: table2, v: 2, versions: { 1: v1 } },
  upgrade: ({ qty, ...rest }) => ({ ...rest, quantity: qty }),
});
const release3 = defineStream({
  ...{ name, schema: v3, table: table3, v: 3, versions: { 1: v1, 2: v2 } },
  upgrade: (data, v) => ({ sku: data.product, quantity: v === 1 ? data.qty : data.quantity }),
});
/** The same release without `upgrade`: its `toRow` reads all versions. */
const mapped3 = defineStream({
  ...{ name, schema: v3, table: table3, v: 3, versions: { 1: v1, 2: v2 } },
  toRow: (data, v) => {
    if (v === 3) return data;
    return { sku: data.product, quantity: v === 1 ? data.qty : data.quantity };
  },
});
const without1 = defineStream({
  ...{ name, schema: v3, table: table3, v: 3, versions: { 2: v2 }, droppedVersions: [1] },
  upgrade: ({ product: sku, ...rest }) => ({ ...rest, sku }),
});
type Release = typeof release1;

const ORIGINAL = `drop table if exists ${name}; create table ${name} (id uuid primary key,
  received_at timestamptz not null, stored_at timestamptz not null default now(),
  product text not null, qty integer not null check (qty <> 13))`;
const TO_2 = `alter table ${name} rename qty to quantity`;
const TO_3 = `alter table ${name} rename product to sku`;

const P = { stream: name, index: 0 };
const LIVE: LetterFilter = {
  ...{ streams: [], sqlstates: [], ids: [], since: undefined, until: undefined, isAll: false },
};

let world: World;
beforeAll(async () => {
  world = await openWorld({}, registryOf([release1]));
});
beforeEach(async () => {
  await world.sql.query(ORIGINAL);
  await world.reset();
});
afterAll(async () => {
  await world.sql.query(`drop table ${name}`);
  await world.close();
});

const supervisorOf = (release: Release) => {
  const streams = registryOf([release]);
  return world.supervisor({ streams, store: world.storeWithin(5000) });
};
const tick = (release: Release) =>
  drain(supervisorOf(release), { stream: name }).then(({ streams: [one] }) => one);

/** Posts events to an ingest of a release, and returns their ids. */
async function post(release: Release, events: readonly object[]): Promise<string[]> {
  const ingest = await serveIngest({ ...world, streams: registryOf([release]) });
  const { status, body } = await ingest.post(name, events);
  await ingest.close();
  expect(status).toBe(202);
  return body.ids;
}

const envelopeOf = (v: number, data: object) => {
  const id = newId();
  const receivedAt = new Date().toISOString();
  return { id, receivedAt, envelope: encodeEnvelope({ v, id, receivedAt, dataJson: JSON.stringify(data) }) };
};

/** Pushes events as an ingest of their release would, and returns their ids. */
async function push(v: number, events: readonly object[], partition = P): Promise<string[]> {
  const made = events.map((data) => envelopeOf(v, data));
  await world.buffer.push(
    partition,
    made.map(({ envelope }) => envelope),
  );
  return made.map(({ id }) => id);
}

/** Makes dead letters of events, and returns their ids. */
async function bury(v: number, events: readonly object[]): Promise<string[]> {
  const made = events.map((data) => envelopeOf(v, data));
  const why = { stream: name, sqlstate: undefined, reason: "r", burials: 1, tries: 0 };
  await world.store.bury(
    release1,
    made.map((one) => ({ ...one, ...why })),
  );
  return made.map(({ id }) => id);
}

const of1 = (count: number) => Array.from({ length: count }, (_, i) => ({ product: `p${i}`, qty: 100 + i }));
const of2 = (count: number) =>
  Array.from({ length: count }, (_, i) => ({ product: `p${i}`, quantity: 200 + i }));
const of3 = (count: number) => Array.from({ length: count }, (_, i) => ({ sku: `p${i}`, quantity: 300 + i }));

const rows = async () =>
  new Map<string, object>(
    (await world.sql.query(`select id, sku, quantity from ${name}`)).rows.map(({ id, ...row }) => [id, row]),
  );
const letters = async () =>
  (await world.sql.query("select id, reason, retry_at is not null as held, redriven_at from dead_letters"))
    .rows;

const lettersOf = (streams: Registry) =>
  createDeadLetterStore(connect(world.config.databaseUrl, 5000, world.config.neonHttpUrl), streams, 5000);

/** Redrives all letters by a release; a dry run before says the same of what is skipped. */
async function redriveBy(release: Release) {
  const streams = registryOf([release]);
  const store = world.storeWithin(5000);
  const deps = { letters: lettersOf(streams), streams, pageMaxRows: 100 };
  const dry: TrialProgress[] = [];
  for await (const page of tryRedrive({ ...deps, store }, LIVE)) dry.push(page);
  const pushing = {
    ...deps,
    buffer: world.buffer,
    partitions: 1,
    monotonicMs: () => 0,
    sleep: async () => {},
  };
  const pages: RedriveProgress[] = [];
  for await (const page of redrive(pushing, LIVE, { rate: 1000 })) pages.push(page);
  const skipped = pages.flatMap(({ skippedNow }) => skippedNow);
  expect(dry.flatMap((page) => page.skipped)).toEqual(skipped);
  const whys = skipped.map(({ letter, why }): [string, string] => [letter.id, why]);
  return { redriven: pages.at(-1)?.redriven, skipped: new Map(whys) };
}

describe("columns renamed one by one, with events of each release buffered", () => {
  test.each([
    ["upgrade", release3],
    ["toRow", mapped3],
  ])("the last release stores all of them by %s, by id and with their values", async (_, last) => {
    const ids1 = await post(release1, of1(150));
    // A drain call of release 1 dies with a batch in hand.
    const dead = { token: "gone:1", leaseMs: 1, count: 40, fullBatchesOnly: false, startedAtMs: Date.now() };
    expect(await world.buffer.claim(P, dead)).toMatchObject({ kind: "batch" });
    const [letter] = (await bury(1, [{ product: "p", qty: 7 }])) as [string];

    await world.sql.query(TO_2);
    const ids2 = await post(release2, of2(150));
    const all = () => [...ids1, ...ids2, letter];
    // Release 1 still runs for a while: it can store nothing any more, and loses nothing.
    expect(await tick(release1)).toMatchObject({ stored: 0, dead: 0, outcome: "misconfigured" });
    await expectConserved(world, name, all());

    await world.sql.query(TO_3);
    const ids3 = await post(last, of3(150));
    expect(await tick(release2)).toMatchObject({ stored: 0, dead: 0, outcome: "misconfigured" });
    await expectConserved(world, name, [...all(), ...ids3]);

    expect(await redriveBy(last)).toEqual({ redriven: 1, skipped: new Map() });
    expect(await tick(last)).toMatchObject({ stored: 451, dead: 0, held: 0, outcome: "empty" });
    await expectConserved(world, name, [...all(), ...ids3]);
    expect(await rows()).toEqual(
      new Map<string, object>([
        ...ids1.map((id, i) => [id, { sku: `p${i}`, quantity: 100 + i }] as const),
        ...ids2.map((id, i) => [id, { sku: `p${i}`, quantity: 200 + i }] as const),
        ...ids3.map((id, i) => [id, { sku: `p${i}`, quantity: 300 + i }] as const),
        [letter, { sku: "p", quantity: 7 }],
      ]),
    );
  });

  test("an older release leaves what a newer one buffered, and stores what it can read", async () => {
    const ids = [...(await push(1, of1(3))), ...(await push(2, of2(3)))];
    expect(await tick(release1)).toMatchObject({ stored: 3, dead: 0, outcome: "misconfigured" });
    await expectConserved(world, name, ids);
    await world.sql.query(TO_2);
    expect(await tick(release2)).toMatchObject({ stored: 3, duplicates: 3, outcome: "empty" });
    await expectConserved(world, name, ids);
  });
});

describe("a release", () => {
  beforeEach(async () => void (await world.sql.query(`${TO_2}; ${TO_3}`)));

  test("makes dead letters of a version that it dropped, and a release that reads it stores them", async () => {
    const [ids1, ids2, ids3] = [await push(1, of1(5)), await push(2, of2(5)), await push(3, of3(5))];
    const all = [...ids1, ...ids2, ...ids3];
    expect(await tick(without1)).toMatchObject({ stored: 10, dead: 5, held: 0, outcome: "empty" });
    const reason = "its data has version 1, which is in droppedVersions";
    const found = await letters();
    expect(found.map(({ id }) => id).sort()).toEqual([...ids1].sort());
    for (const one of found) expect(one).toMatchObject({ reason, held: false, redriven_at: null });
    await expectConserved(world, name, all);

    const refused = await redriveBy(without1);
    expect(refused).toEqual({ redriven: 0, skipped: new Map(ids1.map((id) => [id, reason])) });
    expect(await world.redis.llen(`{spillway}:${name}:pending:0`)).toBe(0);
    for (const one of await letters()) expect(one).toMatchObject({ redriven_at: null });
    await expectConserved(world, name, all);

    expect(await redriveBy(release3)).toEqual({ redriven: 5, skipped: new Map() });
    expect(await tick(release3)).toMatchObject({ stored: 5, dead: 0 });
    expect((await rows()).get(ids1[4] ?? "")).toEqual({ sku: "p4", quantity: 104 });
    await expectConserved(world, name, all);
  });

  test("does not redrive a letter of a newer one, which stays", async () => {
    const [newer, own] = [await bury(4, [{ code: "c" }]), await bury(3, of3(1))];
    const why = "it was buffered by a newer release";
    expect(await redriveBy(release3)).toEqual({ redriven: 1, skipped: new Map([[newer[0], why]]) });
    expect(await tick(release3)).toMatchObject({ stored: 1, dead: 0, outcome: "empty" });
    await expectConserved(world, name, [...newer, ...own]);
  });

  test("whose upgrade throws holds the event, and the next release stores it", async () => {
    const broken: Release = {
      ...release3,
      upgrade: () => {
        throw new RangeError("on purpose");
      },
    };
    const ids = await push(1, of1(2));
    expect(await tick(broken)).toMatchObject({ stored: 0, dead: 0, held: 2 });
    expect(await letters()).toMatchObject(Array(2).fill({ reason: "upgrade threw RangeError", held: true }));
    await expectConserved(world, name, ids);
    await letPausesEnd(world);
    expect(await tick(release3)).toMatchObject({ stored: 2, dead: 0, outcome: "empty" });
    await expectConserved(world, name, ids);
  });

  test("that dropped the version of a held letter lets it die, with that reason", async () => {
    const ids = await push(1, [{ product: "p", qty: 13 }]);
    expect(await tick(release3)).toMatchObject({ stored: 0, dead: 0, held: 1 });
    await letPausesEnd(world);
    expect(await tick(without1)).toMatchObject({ dead: 1 });
    const reason = "its data has version 1, which is in droppedVersions";
    expect(await letters()).toMatchObject([{ reason, held: false, redriven_at: null }]);
    await expectConserved(world, name, ids);
  });
});

describe("status", () => {
  beforeEach(async () => void (await world.sql.query(`${TO_2}; ${TO_3}`)));
  const versionsBy = async (release: Release) => {
    const { streams } = await readStatus(supervisorOf(release));
    return streams[0]?.versions;
  };
  const found = (v: number, state: string, buffered: number, inLetters: number | null) => ({
    ...{ v, state, buffered, letters: inLetters },
  });

  test("counts each version in all lists and letters, and says what the release does with it", async () => {
    const ids = [...(await push(1, of1(4))), ...(await push(2, of2(6)))];
    const claimant = {
      token: "a:1",
      leaseMs: 60_000,
      count: 7,
      fullBatchesOnly: false,
      startedAtMs: Date.now(),
    };
    await world.buffer.claim(P, claimant);
    ids.push(...(await push(3, of3(5))), ...(await push(4, of3(2), { stream: name, index: 9 })));
    ids.push(...(await bury(1, of1(3))), ...(await bury(4, of3(1))));
    expect(await versionsBy(without1)).toEqual({
      ...{ waiting: 17, lookedAt: 17 },
      found: [
        found(1, "dropped", 4, 3),
        found(2, "earlier", 6, 0),
        found(3, "today", 5, 0),
        found(4, "newer", 2, 1),
      ],
    });
    world.neon.setFault(() => ({ kind: "refuse" }));
    expect((await versionsBy(release3))?.found).toEqual([
      found(1, "earlier", 4, null),
      found(2, "earlier", 6, null),
      found(3, "today", 5, null),
      found(4, "newer", 2, null),
    ]);
    world.neon.setFault(undefined);
    await expectConserved(world, name, ids);
  });

  test("says nothing of versions where there is but one, and shows another that was found", async () => {
    expect(await versionsBy(release1)).toBeUndefined();
    const ids = await push(1, of1(2));
    await world.redis.lpush(`{spillway}:${name}:pending:0`, "nonsense");
    expect(await versionsBy(release1)).toBeUndefined();
    expect(await versionsBy(release3)).toEqual({
      ...{ waiting: 3, lookedAt: 3, found: [found(1, "earlier", 2, 0), found(3, "today", 0, 0)] },
    });
    await world.redis.lpop(`{spillway}:${name}:pending:0`);
    ids.push(...(await push(2, of2(1))));
    expect((await versionsBy(release1))?.found).toEqual([found(1, "today", 2, 0), found(2, "newer", 1, 0)]);
    await expectConserved(world, name, ids);
  });

  test("looks at both ends of a long list only, by few commands", async () => {
    const ids = await push(1, of1(3));
    for (let i = 0; i < 3; i++) ids.push(...(await push(3, of3(500))));
    ids.push(...(await push(2, of2(2))));
    await world.redis.config("RESETSTAT");
    expect(await versionsBy(release3)).toEqual({
      ...{ waiting: 1505, lookedAt: 1000 },
      found: [found(1, "earlier", 3, 0), found(2, "earlier", 2, 0), found(3, "today", 995, 0)],
    });
    const stats = await world.redis.info("commandstats");
    expect(stats).toMatch(/cmdstat_lrange:calls=4,/);
    await expectConserved(world, name, ids);
  });

  test("looks at fewer large envelopes", async () => {
    const large = { product: "x".repeat(200_000), qty: 1 };
    const ids: string[] = [];
    for (let i = 0; i < 4; i++) ids.push(...(await push(1, Array(10).fill(large))));
    await world.redis.config("RESETSTAT");
    expect(await versionsBy(release3)).toMatchObject({
      waiting: 40,
      lookedAt: 32,
      found: [{ v: 1, buffered: 32 }, {}],
    });
    expect(await world.redis.info("commandstats")).toMatch(/cmdstat_lrange:calls=2,/);
    await expectConserved(world, name, ids);
  });

  test.each([1, 16, 17, 100, 1000, 1001])(
    "looks at each of %i envelopes once, up to a thousand",
    async (count) => {
      const ids: string[] = [];
      const all = Array.from({ length: count }, (_, i) => i + 1).map((v) => ({ ...envelopeOf(v, {}), v }));
      for (let i = 0; i < count; i += 500) {
        const some = all.slice(i, i + 500);
        await world.buffer.push(
          P,
          some.map(({ envelope }) => envelope),
        );
        ids.push(...some.map(({ id }) => id));
      }
      const { waiting, lookedAt, found: each = [] } = (await versionsBy(release3)) ?? {};
      const looked = Math.min(count, 1000);
      expect([waiting, lookedAt]).toEqual([count, looked]);
      expect(each.filter(({ buffered }) => buffered === 1)).toHaveLength(looked);
      await expectConserved(world, name, ids);
    },
  );

  test("of an idle stream asks neither server for versions", async () => {
    const commands: unknown[] = [];
    const queries: string[] = [];
    world.upstash.setFault((request) => void commands.push(...request.commands.map(([name]) => name)));
    world.neon.setFault((request) => void queries.push(...request.queries.map(({ query }) => query)));
    await versionsBy(release3);
    expect(commands).toEqual(["EXISTS", "MGET"]); // whether anything waits, and whether a stream is paused
    expect(queries.filter((query) => query.includes("substr"))).toEqual([]);
  });

  test("on the command line says how many wait of which version, and what becomes of them", async () => {
    const ids = [...(await push(1, of1(4))), ...(await push(3, of3(2)))];
    const { url, close } = await world.serve(createSupervisor(supervisorOf(without1)));
    const { out: stdout } = await runSpillway(["status"], { env: { SUPERVISOR_URL: url } });
    await close();
    expect(stdout).toMatch(
      /^renamed v1 +4 +0 {2}dropped: becomes dead letters, and these are not redriven$/m,
    );
    expect(stdout).toMatch(/^renamed v3 +2 +0 {2}today's$/m);
    await expectConserved(world, name, ids);
  });
});
