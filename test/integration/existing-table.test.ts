/**
 * A table that is there already: in another schema, with other names, a serial primary key beside the unique id, and without
 * received_at and stored_at. Its events go every way that any stream's do, and what is said names the table as it is called.
 */
import { integer, pgTable, primaryKey, timestamp, uuid } from "drizzle-orm/pg-core";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { drain } from "../../lib/drain/drain.ts";
import { redrive } from "../../lib/operate/redrive.ts";
import { registryOf } from "../../lib/schema/registry.ts";
import { defineStream, eventColumns } from "../../lib/schema/stream.ts";
import { connect } from "../../lib/store/database.ts";
import { createDeadLetterStore } from "../../lib/store/dead-letter-store.ts";
import shipments from "../streams/shipments.ts";
import { type Ingest, serveIngest } from "./test-ingest.ts";
import {
  envelopeOf,
  expectConserved,
  letPausesEnd,
  openWorld,
  pushEvents,
  type World,
} from "./test-stack.ts";

const TABLE = `"warehouse 2"."Old shipments"`;
const NAMED = "table warehouse 2.Old shipments";
const P = { stream: "shipments", index: 0 };
const LIVE = { streams: [], sqlstates: [], ids: [], since: undefined, until: undefined, isAll: false };

let world: World;
let ingest: Ingest;
beforeAll(async () => {
  world = await openWorld();
  ingest = await serveIngest(world);
});
beforeEach(() => world.reset());
afterAll(async () => {
  await ingest.close();
  await world.close();
});

const shipment = (grams: number, more: object = { carrier: "c" }) => ({
  orderNumber: `o ${grams}`,
  grams,
  ...more,
});
const tick = async () => (await drain(world.supervisor(), { stream: "shipments" })).streams[0];
const letterReasons = async () =>
  (
    await world.sql.query("select reason, retry_at is not null as held from dead_letters order by reason")
  ).rows.map(({ reason, held }) => [held ? "held" : "dead", reason]);

test("events are stored once, found, dead, redriven and held, by the id in its column", async () => {
  const sent = [1, 2, 3].map((grams) => shipment(grams));
  const first = await ingest.post("shipments", sent);
  const ids: string[] = first.body.ids;
  expect(await tick()).toMatchObject({ stored: 3, duplicates: 0, outcome: "empty" });
  const again = sent.map((one, i) => ({ ...one, id: ids[i] }));
  expect((await ingest.post("shipments", [...again, ...again])).status).toBe(202);
  expect(await tick()).toMatchObject({ stored: 0, duplicates: 6, differing: 0, outcome: "empty" });
  const stored = await ingest.post("shipments", [...again, shipment(4)], { query: "?ack=stored" });
  expect(stored).toMatchObject({ status: 201, body: { duplicates: ids } });
  ids.push(stored.body.ids[3]);
  expect((await ingest.where("shipments", ids[0]!)).body).toEqual({ id: ids[0], status: "stored" });
  const { rows } = await world.sql.query(`select event_id, "order no", g, seen from ${TABLE} order by no`);
  expect(rows).toEqual(
    ids.map((event_id, i) => ({ event_id, "order no": `o ${i + 1}`, g: i + 1, seen: false })),
  );

  const [bad, good] = await pushEvents(world, P, [shipment(-1), shipment(5)]);
  expect(await tick()).toMatchObject({ stored: 1, dead: 1, outcome: "empty" });
  const HAS_WEIGHT = `check constraint violated (SQLSTATE 23514): ${NAMED}, constraint has weight`;
  expect(await letterReasons()).toEqual([["dead", HAS_WEIGHT]]);
  expect((await ingest.where("shipments", bad!)).body).toEqual({ id: bad, status: "dead" });
  await expectConserved(world, "shipments", [...ids, bad!, good!]);

  await world.sql.query(`alter table ${TABLE} drop constraint "has weight"`);
  const { config, buffer, streams } = world;
  const letters = createDeadLetterStore(connect(config.databaseUrl, 5000, config.neonHttpUrl), streams, 5000);
  const deps = {
    letters,
    buffer,
    streams,
    partitions: 1,
    pageMaxRows: 10,
    monotonicMs: () => 0,
    sleep: async () => {},
  };
  for await (const report of redrive(deps, LIVE, { rate: 100 })) expect(report.stopped).toBeUndefined();
  expect(await tick()).toMatchObject({ stored: 1, outcome: "empty" });
  await world.sql.query(
    `delete from ${TABLE} where g < 0; alter table ${TABLE} add constraint "has weight" check (g > 0)`,
  );

  const [alone] = await pushEvents(world, P, [shipment(0)]);
  expect(await tick()).toMatchObject({ stored: 0, held: 1, dead: 0 });
  await letPausesEnd(world);
  await world.sql.query(`update dead_letters set envelope = replace(envelope, '"grams":0', '"grams":6')`);
  expect(await tick()).toMatchObject({ stored: 1, outcome: "empty" });
  await expectConserved(world, "shipments", [...ids, good!, alone!]);
});

describe("a NULL in a NOT NULL column", () => {
  const WITHOUT = shipment(1, {});

  test("that the stream declares is the event's fault, and the table is named with its schema", async () => {
    const [bad, good] = await pushEvents(world, P, [WITHOUT, shipment(1)]);
    expect(await tick()).toMatchObject({ stored: 1, dead: 1, outcome: "empty" });
    expect(await letterReasons()).toEqual([
      ["dead", `null in a column that is NOT NULL (SQLSTATE 23502): ${NAMED}, column carrier`],
    ]);
    const refused = await ingest.post("shipments", [WITHOUT, shipment(2)], { query: "?ack=stored" });
    expect(refused.body.rejected).toMatchObject([{ index: 0 }]);
    await expectConserved(world, "shipments", [bad!, good!, ...refused.body.ids]);
  });

  test("of a table of the same name in another schema, into which a trigger writes, is not", async () => {
    await world.sql.query(`
      create schema twin; create table twin."Old shipments" (carrier text not null);
      create function copy_it() returns trigger language plpgsql as $$
        begin insert into twin."Old shipments" values (nullif(new.carrier, 'none')); return new; end $$;
      create trigger copy_it before insert on ${TABLE} for each row execute function copy_it()`);
    try {
      const [bad, good] = await pushEvents(world, P, [shipment(1, { carrier: "none" }), shipment(2)]);
      expect(await tick()).toMatchObject({ stored: 1, held: 1, dead: 0 });
      expect(await letterReasons()).toEqual([
        [
          "held",
          "null in a column that is NOT NULL (SQLSTATE 23502): table twin.Old shipments, column carrier",
        ],
      ]);
      await expectConserved(world, "shipments", [bad!, good!]);
    } finally {
      await world.sql.query(`drop function copy_it cascade; drop schema twin cascade`);
    }
  });
});

describe("a partitioned table", () => {
  const table = pgTable(
    "parcels",
    {
      ...eventColumns(),
      id: uuid("id").notNull(),
      at: timestamp("at", { mode: "string" }).notNull(),
      n: integer("n").notNull(),
    },
    (own) => [primaryKey({ columns: [own.id, own.at] })],
  );
  const parcels = defineStream({
    ...{ name: "parcels", table, existing: true, key: ["id", "at"] },
    schema: z.strictObject({ at: z.string(), n: z.int32().optional() }),
    toRow: ({ n }) => ({ n: n as number }),
  });

  test("is what is named, and judged by, not the partition that refused", async () => {
    const own = await openWorld({}, registryOf([parcels]));
    await own.sql.query(`
      create table parcels (id uuid, received_at timestamptz, stored_at timestamptz default now(), at timestamp,
        n integer not null, constraint small check (n < 9), primary key (id, at)) partition by range (at);
      create table parcels_1 partition of parcels for values from ('2026-01-01') to ('2026-02-01') partition by range (at);
      create table parcels_1_rest partition of parcels_1 default`);
    try {
      const at = "2026-01-02T00:00:00";
      const made = [{ at }, { at, n: 10 }, { at, n: 1 }].map((data) => envelopeOf(data));
      await own.buffer.push(
        { stream: "parcels", index: 0 },
        made.map(({ envelope }) => envelope),
      );
      const { streams } = await drain(own.supervisor(), {});
      expect(streams).toMatchObject([{ stored: 1, dead: 2, held: 0 }]);
      expect(await letterReasons()).toEqual([
        ["dead", "check constraint violated (SQLSTATE 23514): table parcels, constraint small"],
        ["dead", "null in a column that is NOT NULL (SQLSTATE 23502): table parcels, column n"],
      ]);
      await expectConserved(
        own,
        "parcels",
        made.map(({ id }) => id),
      );
    } finally {
      await own.sql.query("drop table parcels");
      await own.close();
    }
  });
});

test("a drain that the table stops names it", async () => {
  const [id] = await pushEvents(world, P, [shipment(1)]);
  await world.sql.query(`alter table ${TABLE} rename g to grams`);
  try {
    expect(await tick()).toMatchObject({ outcome: "misconfigured" });
    expect(await world.redis.hget("{spillway}:shipments:claim:0", "reason")).toBe(
      `undefined column (SQLSTATE 42703): ${NAMED}; ${NAMED} lacks column g`,
    );
    expect((await ingest.post("shipments", shipment(2), { query: "?ack=stored" })).status).toBe(503);
    await expectConserved(world, "shipments", [id!]);
  } finally {
    await world.sql.query(`alter table ${TABLE} rename grams to g`);
  }
  expect(await tick()).toMatchObject({ stored: 1, outcome: "empty" });
  await expectConserved(world, "shipments", [id!]);
});

test("has no difference", async () => {
  expect(await world.supervisor().tables.differencesOf(shipments)).toEqual([]);
});
