/** The table check on tables that Spillway did not make: keys of any columns, columns left to Postgres, schemas, rights. */
import { integer, pgSchema, pgTable, text, timestamp, uuid } from "drizzle-orm/pg-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { defineStream, type Stream } from "../../lib/schema/stream.ts";
import { connect } from "../../lib/store/database.ts";
import { createTableCheck } from "../../lib/store/table-check.ts";
import { createDatabase, openWorld, type World } from "./test-stack.ts";

let world: World;
beforeAll(async () => {
  world = await openWorld({ DATABASE_URL: await createDatabase("table_check_existing") });
});
afterAll(() => world.close());

/** A check that remembers nothing yet. */
function newCheck(databaseUrl = world.config.databaseUrl) {
  return createTableCheck(connect(databaseUrl, 5000, world.config.neonHttpUrl), 5000, () => 0);
}

/** What the check says of the stream's table while SQL has made it, in a schema of its own that is gone afterwards. */
async function differencesAfter(create: string, stream: Stream): Promise<readonly string[]> {
  await world.sql.query(
    `create schema "shop floor"; set search_path to "shop floor"; ${create}; reset search_path`,
  );
  try {
    const [found] = await newCheck().differencesOfAll([stream]);
    return found!;
  } finally {
    await world.sql.query(`drop schema "shop floor" cascade`);
  }
}

const shop = pgSchema("shop floor");
const schema = z.strictObject({ at: z.string(), device: z.string() });

/** Its id column has another name, and a part of its key is of the data. */
const columns = () => ({
  id: uuid("event_id").notNull(),
  at: timestamp("scanned_at", { mode: "string" }).notNull(),
  device: text("device").notNull(),
});
const scans = shop.table("device scans", columns());
const scan = { existing: true, table: scans, schema } as const;
const byId = defineStream({ name: "scans", ...scan });
const byBoth = defineStream({ name: "scans", ...scan, key: ["id", "at"] });
const newest = defineStream({ name: "scans", ...scan, onConflict: { key: ["device"], newest: "at" } });

const COLUMNS = "event_id uuid not null, scanned_at timestamp not null, device text not null";
const make = (more: string, columns = COLUMNS) => `create table "device scans" (${columns})${more}`;
const NAME = "table shop floor.device scans";
const noIndex = (columns: string) => [`${NAME} has no unique index on exactly its ${columns}`];

/** A table partitioned by day, with a partition. */
const partitioned = (key: string, ofPartition = "") => `
  create table "device scans" (${COLUMNS}${key}) partition by range (scanned_at);
  create table day partition of "device scans" for values from ('2026-01-01') to ('2026-01-02'); ${ofPartition}`;

test.each<[what: string, create: string, stream: Stream, expected: string[]]>([
  [
    "beside a serial primary key, a unique index on the id",
    make("", `no serial primary key, ${COLUMNS}, unique (event_id)`),
    byId,
    [],
  ],
  [
    "none but a serial primary key",
    make("", `no serial primary key, ${COLUMNS}`),
    byId,
    noIndex("column event_id"),
  ],
  ["two columns, in any order", make("", `${COLUMNS}, primary key (scanned_at, event_id)`), byBoth, []],
  [
    "one of the two",
    make("", `${COLUMNS}, primary key (event_id)`),
    byBoth,
    noIndex("columns event_id, scanned_at"),
  ],
  [
    "a third one, too",
    make("", `${COLUMNS}, primary key (event_id, device, scanned_at)`),
    byBoth,
    noIndex("columns event_id, scanned_at"),
  ],
  [
    "both, where one is wanted",
    make("", `${COLUMNS}, primary key (event_id, scanned_at)`),
    byId,
    noIndex("column event_id"),
  ],
  ["nulls not distinct", make("", `${COLUMNS}, unique nulls not distinct (device)`), newest, []],
  ["deferrable", make("", `${COLUMNS}, unique (device) deferrable`), newest, noIndex("column device")],
  [
    "partial",
    `${make("")}; create unique index on "device scans" (device) where device <> ''`,
    newest,
    noIndex("column device"),
  ],
  [
    "on an expression",
    `${make("")}; create unique index on "device scans" (lower(device))`,
    newest,
    noIndex("column device"),
  ],
  [
    "on an expression, too",
    `${make("")}; create unique index on "device scans" (device, lower(device))`,
    newest,
    noIndex("column device"),
  ],
  [
    "invalid",
    `${make("")}; create unique index half on "device scans" (device); update pg_index set indisvalid = false where indexrelid = 'half'::regclass`,
    newest,
    noIndex("column device"),
  ],
  [
    "for a span of time",
    make("", `${COLUMNS}, during int4range, kind int4range, unique (kind, during without overlaps)`),
    newest,
    noIndex("column device"),
  ],
  ["of a partitioned table", partitioned(", primary key (event_id, scanned_at)"), byBoth, []],
  [
    "of a partitioned table, that a partition lacks",
    `${partitioned("")} create unique index on only "device scans" (event_id, scanned_at)`,
    byBoth,
    noIndex("columns event_id, scanned_at"),
  ],
  [
    "of a partition alone",
    partitioned("", `create unique index on day (event_id, scanned_at)`),
    byBoth,
    noIndex("columns event_id, scanned_at"),
  ],
])("an index: %s", async (_, create, stream, expected) => {
  expect(await differencesAfter(create, stream)).toEqual(expected);
});

test("a newest that may be null, and an id that may be, are named", async () => {
  const create = make("", "event_id uuid, scanned_at timestamp, device text primary key");
  expect(await differencesAfter(create, newest)).toEqual([
    `column event_id of ${NAME} may be null, and it says which event is the newest: a row in which it is null is never replaced`,
    `column scanned_at of ${NAME} may be null, and it says which event is the newest: a row in which it is null is never replaced`,
  ]);
  expect(
    await differencesAfter(make("", "event_id uuid unique, scanned_at timestamp, device text"), byId),
  ).toEqual([]);
});

test("a column left to Postgres that Postgres does not fill is named", async () => {
  const more = {
    no: integer("no").notNull().generatedByDefaultAsIdentity(),
    made: text("made")
      .notNull()
      .$defaultFn(() => "here"),
    mark: text("mark").$defaultFn(() => "here"),
  };
  const table = shop.table("device scans", { ...columns(), ...more });
  const stream = defineStream({ name: "scans", existing: true, table, schema });
  const unfilled = make(
    "",
    `${COLUMNS}, no integer not null, made text not null, mark text, extra text not null, unique (event_id)`,
  );
  expect(await differencesAfter(unfilled, stream)).toEqual([
    `column no of ${NAME} is NOT NULL without a default, and the stream leaves it to Postgres`,
    `column made of ${NAME} is NOT NULL without a default, and the stream leaves it to Postgres`,
    `column extra of ${NAME} is NOT NULL without a default, and the stream does not declare it`,
    `column mark of ${NAME} has no default, and the stream leaves it to Postgres`,
  ]);
  const filled = make(
    "",
    `${COLUMNS}, no serial not null, made text not null default '', mark text generated always as ('x') stored, unique (event_id)`,
  );
  expect(await differencesAfter(filled, stream)).toEqual([]);
});

test("the table of that schema is compared, not one of the same name elsewhere", async () => {
  await world.sql.query(`create table public."device scans" (id integer)`);
  expect(await differencesAfter(make("", `${COLUMNS}, unique (event_id)`), byId)).toEqual([]);
  expect(await newCheck().differencesOf(byId)).toEqual([`${NAME} is missing`]);
  await world.sql.query(`drop table public."device scans"`);
});

test("an index or a sequence of the table's name is no table", async () => {
  expect(
    await differencesAfter(`create table other (id uuid); create index "device scans" on other (id)`, byId),
  ).toEqual([`${NAME} is missing`]);
});

test("a right that is missing is named, and a schema that may not be used hides its table", async () => {
  const url = new URL(world.config.databaseUrl);
  Object.assign(url, { username: "check_role", password: "p" });
  await world.sql.query(`
    drop role if exists check_role; create role check_role login password 'p'; create schema "shop floor";
    create table "shop floor"."device scans" (${COLUMNS}, unique (event_id), unique (device))`);
  const both = () => newCheck(url.href).differencesOfAll([byId, newest]);
  const may = (right: string) => `this role may not ${right} ${NAME}`;
  expect(await both()).toEqual([[`${NAME} is missing`], [`${NAME} is missing`]]);
  await world.sql.query(`grant usage on schema "shop floor" to check_role`);
  const reading = [may("insert into"), may("select from")];
  expect(await both()).toEqual([reading, [...reading, may("update")]]);
  await world.sql.query(`grant insert, select (event_id) on "shop floor"."device scans" to check_role`);
  expect(await both()).toEqual([[], [may("update")]]);
  await world.sql.query(`drop schema "shop floor" cascade; drop role check_role`);
});

test("many tables are one question, and one that is locked or missing keeps nobody waiting", async () => {
  let asked = 0;
  world.neon.setFault(() => {
    asked += 1;
    return undefined;
  });
  const plain = pgTable("plain", { id: uuid("id").primaryKey() });
  const there = defineStream({ name: "plain", table: plain, schema: z.strictObject({}), toRow: () => ({}) });
  await world.sql.query("create table plain (id uuid primary key)");
  const locker = await world.sql.connect();
  await locker.query("begin; lock table plain in access exclusive mode");
  expect(await newCheck().differencesOfAll([byId, there, byBoth, there])).toEqual([
    [`${NAME} is missing`],
    [],
    [`${NAME} is missing`],
    [],
  ]);
  expect(asked).toBe(1);
  await locker.query("rollback");
  locker.release();
  world.neon.setFault(() => ({ kind: "refuse" }));
  expect(await newCheck().differencesOfAll([byId, there])).toEqual([undefined, undefined]);
  world.neon.setFault(undefined);
  await world.sql.query("drop table plain");
});
