/** The store's own insert beside Drizzle's, for every type of column that rows are made of. */
import { eq, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import {
  bigserial,
  char,
  customType,
  getTableConfig,
  inet,
  integer,
  interval,
  jsonb,
  json as jsonColumn,
  bigint as pgBigint,
  pgEnum,
  pgSchema,
  pgTable,
  serial,
  text,
  time,
  timestamp,
  uuid,
} from "drizzle-orm/pg-core";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { newId } from "../../lib/schema/event-ids.ts";
import { rowOfFields } from "../../lib/schema/json-row.ts";
import { defineStream, eventColumns, type Json, type Stream } from "../../lib/schema/stream.ts";
import everyType, { everyTypeTable } from "../streams/every_type.ts";
import { openWorld, type World } from "./test-stack.ts";

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
beforeEach(() => world.reset());
afterAll(() => world.close());

describe("the store inserts what Drizzle's own insert would", () => {
  const receivedAt = "2026-11-21T09:30:00.123456Z";
  const mood = pgEnum("mood", ["sad", "ok"]);
  const bytea = customType<{ data: Buffer; driverData: Buffer }>({ dataType: () => "bytea" });
  const lower = customType<{ data: string; driverData: string }>({
    dataType: () => "text",
    toDriver: (value) => value.toLowerCase(),
  });
  /** What `every_type` leaves out. */
  const furtherTable = pgTable("further_types", {
    ...eventColumns(),
    bytes: bytea("bytes"),
    lower: lower("lower"),
    mood: mood("mood"),
    json: jsonColumn("a_json"),
    uuid: uuid("a_uuid"),
    char: char("a_char", { length: 5 }),
    time: time("a_time"),
    interval: interval("an_interval"),
    inet: inet("an_inet"),
    plain: timestamp("plain"),
    bigNumber: pgBigint("big_number", { mode: "number" }),
    numbers: pgBigint("numbers", { mode: "bigint" }).array(),
    grid: text("grid").array().array(),
    jsonDefault: jsonb("json_default").notNull().default({ a: 1 }),
    nowDefault: timestamp("now_default", { withTimezone: true }).notNull().default(sql`'2020-01-01'`),
    textDefault: text("text_default").notNull().default("it's"),
    listDefault: text("list_default").array().notNull().default(["a", "b"]),
    bigDefault: pgBigint("big_default", { mode: "bigint" }).notNull().default(9_007_199_254_740_993n),
  });
  const further = defineStream({
    name: "further_types",
    table: furtherTable,
    schema: z.strictObject({}),
    toRow: () => ({}),
  });

  beforeAll(async () => {
    await world.sql.query(`
      drop table if exists further_types; drop type if exists mood; create type mood as enum ('sad', 'ok');
      create table further_types (
        id uuid primary key, received_at timestamptz not null, stored_at timestamptz not null default now(),
        bytes bytea, lower text, mood mood, a_json json, a_uuid uuid, a_char char(5), a_time time, an_interval interval,
        an_inet inet, plain timestamp, big_number bigint, numbers bigint[], grid text[],
        json_default jsonb not null default '{"a": 1}', now_default timestamptz not null default '2020-01-01',
        text_default text not null default 'it''s', list_default text[] not null default '{a,b}',
        big_default bigint not null default 9007199254740993)`);
  });
  afterAll(() => world.sql.query("drop table if exists further_types; drop type if exists mood"));

  /** Inserts a row both ways and expects the same text in every column. */
  async function expectSame(stream: Stream, values: Record<string, unknown>): Promise<void> {
    const ours = rowOfFields(stream, { id: newId(), receivedAt }, values);
    const theirs = { ...values, id: newId(), receivedAt };
    expect(await world.store.insert(stream, [ours])).toEqual({ count: 1 });
    await drizzle(world.sql)
      .insert(stream.table)
      .values(theirs as never);
    const read = async ({ id }: { id: string }) => {
      const { columns } = getTableConfig(stream.table);
      const own = columns.filter(({ name }) => name !== "id" && name !== "stored_at");
      const list = own.map(({ name }) => `${name}::text`).join(", ");
      const { rows } = await world.sql.query(`select ${list} from ${stream.name} where id = $1`, [id]);
      return rows[0];
    };
    expect(await read(ours)).toEqual(await read(theirs));
    expect(await world.store.differing(stream, [ours])).toEqual([]);
  }

  /** Expects each pair of values to differ if, and only if, Postgres writes them as different texts. */
  async function expectToldApart(stream: Stream, field: string, values: readonly unknown[]): Promise<void> {
    const columns = new Map(
      Object.entries(stream.table as unknown as Record<string, { name: string }>).map(([name, column]) => [
        name,
        column.name,
      ]),
    );
    const ids = values.map(() => newId());
    const rows = values.map((value, i) =>
      rowOfFields(stream, { id: ids[i] ?? "", receivedAt }, { [field]: value }),
    );
    await world.store.insert(stream, rows);
    const { rows: stored } = await world.sql.query(
      `select id, ${columns.get(field)}::text as text from ${stream.name} where id = any($1)`,
      [ids],
    );
    const textOf = new Map(stored.map(({ id, text }: { id: string; text: string }) => [id, text]));
    for (const [i, id] of ids.entries())
      for (const [j, value] of values.entries()) {
        const given = rowOfFields(stream, { id, receivedAt: "2020-01-01T00:00:00Z" }, { [field]: value });
        const isSame = textOf.get(id) === textOf.get(ids[j] ?? "");
        const isComputed = value === undefined && field === "nowDefault";
        expect([i, j, await world.store.differing(stream, [given])]).toEqual([
          i,
          j,
          isSame || isComputed ? [] : [id],
        ]);
      }
  }

  const hostile = `ä "quoted" \\ '' 😀 {1,2} \t\n`;
  test.each<[string, keyof typeof everyTypeTable.$inferInsert, unknown[]]>([
    ["text", "text", ["", hostile, "null", "NULL", "123", "{}"]],
    ["varchar", "varchar", ["", "äöü 😀", "0123456789"]],
    ["integer", "integer", [0, -1, 2_147_483_647, -2_147_483_648]],
    ["smallint", "smallint", [0, 32_767, -32_768]],
    [
      "bigint",
      "bigint",
      [0n, 9_223_372_036_854_775_807n, -9_223_372_036_854_775_808n, 9_007_199_254_740_993n],
    ],
    ["real", "real", [0, 1.5, -3.4e38, 1e-30, 0.1]],
    ["double precision", "double", [0, -0, 0.1, 1 / 3, 5e-324, 1.797e308, 48.137154]],
    ["numeric", "numeric", ["0", "1.10", "123456789012345678901234567890.123456789", "-1e-20", "NaN"]],
    ["boolean", "boolean", [true, false]],
    [
      "jsonb",
      "jsonb",
      [
        0,
        1.5,
        -0,
        "",
        "text",
        "null",
        '{"a":1}',
        hostile,
        true,
        false,
        [],
        {},
        [1, [2, "x"]],
        { a: { b: null } },
      ],
    ],
    ["date", "date", ["2026-02-28", "0001-01-01", "9999-12-31"]],
    ["timestamptz", "moment", [new Date(0), new Date("2026-11-21T09:30:00.123Z"), new Date(-1)]],
    ["text[]", "list", [[], [""], ["a", hostile, "NULL", "null"], ["{", "}", ",", '"']]],
    ["a column with a default", "withDefault", [0, 8, undefined]],
  ])("%s", async (_type, field, values) => {
    for (const value of values) await expectSame(everyType, { [field]: value });
    await expectToldApart(everyType, field, values);
  });

  test.each<[string, keyof typeof furtherTable.$inferInsert, unknown[]]>([
    ["bytea", "bytes", [Buffer.alloc(0), Buffer.from([0, 1, 255]), Buffer.from("text")]],
    ["a custom type that changes its value", "lower", ["ABC"]],
    ["enum", "mood", ["sad", "ok"]],
    ["json", "json", [1, "text", "null", true, [], { b: 1, a: [null] }]],
    ["uuid", "uuid", ["0190B3C4-AAAA-7BBB-8CCC-000000000001"]],
    ["char", "char", ["", "ab", "abcde"]],
    ["time", "time", ["09:30:00.123456"]],
    ["interval", "interval", ["1 day 02:03:04"]],
    ["inet", "inet", ["10.0.0.1/8", "::1"]],
    ["timestamp without time zone", "plain", [new Date("2026-11-21T09:30:00.123Z")]],
    ["bigint as a number", "bigNumber", [0, 9_007_199_254_740_991, -9_007_199_254_740_991]],
    ["bigint[]", "numbers", [[], [9_007_199_254_740_993n, -1n]]],
    [
      "text[][]",
      "grid",
      [
        [],
        [
          ["a", "b"],
          ["c", hostile],
        ],
      ],
    ],
    ["a jsonb default", "jsonDefault", [undefined, { b: 2 }, "text", false, 0]],
    ["an SQL default", "nowDefault", [undefined, new Date(0)]],
    ["a text default", "textDefault", [undefined, ""]],
    ["a list default", "listDefault", [undefined, [], ["z"]]],
    ["a bigint default", "bigDefault", [undefined, 0n]],
  ])("%s", async (_type, field, values) => {
    for (const value of values) await expectSame(further, { [field]: value });
    await expectToldApart(further, field, values);
  });

  test("null, and a value that is left out", async () => {
    const fields = Object.keys(everyTypeTable).filter(
      (field) => !["id", "receivedAt", "storedAt", "withDefault", "enableRLS"].includes(field),
    );
    await expectSame(everyType, {});
    await expectSame(everyType, Object.fromEntries(fields.map((field) => [field, null])));
  });

  test("a null for a column that has a default takes the default", async () => {
    const id = newId();
    await world.store.insert(everyType, [rowOfFields(everyType, { id, receivedAt }, { withDefault: null })]);
    const rows = await drizzle(world.sql).select().from(everyTypeTable).where(eq(everyTypeTable.id, id));
    expect(rows).toMatchObject([{ withDefault: 7 }]);
  });

  test("many rows of one statement do not mix, whatever each leaves out", async () => {
    const rows = Array.from({ length: 100 }, (_, i) =>
      rowOfFields(everyType, { id: newId(), receivedAt }, i % 2 === 0 ? { text: `t${i}` } : { integer: i }),
    );
    expect(await world.store.insert(everyType, rows)).toEqual({ count: 100 });
    const stored = await drizzle(world.sql).select().from(everyTypeTable);
    const byId = new Map(stored.map((row) => [row.id, row]));
    for (const [i, { id }] of rows.entries())
      expect(byId.get(id)).toMatchObject(
        i % 2 === 0 ? { text: `t${i}`, integer: null } : { text: null, integer: i },
      );
  });
});

describe("columns that are left to Postgres, in a schema with types of its own", () => {
  const shop = pgSchema("Odd Shop");
  const state = shop.enum("Odd State", ["open", "in work"]);
  const orders = shop.table("Orders of Today", {
    no: bigserial("No", { mode: "number" }),
    id: text("Event").primaryKey(),
    state: state("state").notNull(),
    states: state("states").array(),
    serial: serial("serial").notNull(),
    identity: integer("identity").generatedByDefaultAsIdentity(),
    always: integer("always").generatedAlwaysAsIdentity(),
    doubled: integer("doubled").generatedAlwaysAs(sql`serial * 2`),
    code: text("code").$defaultFn(() => "of JavaScript"),
    touched: text("touched")
      .default("of SQL")
      .$onUpdate(() => "of JavaScript"),
  });
  const required = { state: z.enum(["open", "in work"]), states: z.array(z.enum(["open"])).optional() };
  const given = z.strictObject({ ...required, serial: z.int(), identity: z.int() });

  beforeAll(() =>
    world.sql.query(`
      drop schema if exists "Odd Shop" cascade; create schema "Odd Shop";
      create type "Odd Shop"."Odd State" as enum ('open', 'in work');
      create table "Odd Shop"."Orders of Today" ("No" bigserial not null, "Event" text primary key,
        state "Odd Shop"."Odd State" not null, states "Odd Shop"."Odd State"[], serial serial not null,
        identity integer generated by default as identity, always integer generated always as identity,
        doubled integer generated always as (serial * 2) stored, code text default 'of Postgres',
        touched text default 'of SQL')`),
  );
  beforeEach(() => world.sql.query(`truncate "Odd Shop"."Orders of Today" restart identity`));
  afterAll(() => world.sql.query(`drop schema "Odd Shop" cascade`));

  /** Inserts data as rows of a stream with this schema, and returns what is stored. */
  async function insert(name: string, schema: z.ZodObject, data: readonly object[]): Promise<unknown[]> {
    const columns = schema as z.ZodType<Json>;
    const stream = defineStream({ name, table: orders, schema: columns, existing: true });
    const rows = data.map((one) =>
      rowOfFields(stream, { id: newId(), receivedAt: "2026-01-01" }, { ...one }),
    );
    expect(await world.store.insert(stream, rows)).toEqual({ count: rows.length });
    expect(await world.store.differing(stream, rows)).toEqual([]);
    return (await world.sql.query(`select * from "Odd Shop"."Orders of Today" order by "No"`)).rows;
  }

  test("get Postgres's values", async () => {
    const made = {
      No: expect.any(String),
      code: "of Postgres",
      touched: "of SQL",
      always: expect.any(Number),
    };
    const [row] = await insert("filled", z.strictObject(required), [{ state: "in work", states: ["open"] }]);
    expect(row).toMatchObject({ ...made, state: "in work", states: "{open}", identity: expect.any(Number) });
    const { serial, doubled } = row as { serial: number; doubled: number };
    expect(doubled).toBe(2 * serial);
  });

  test("get the data's, if the schema requires them", async () => {
    const [row] = await insert("given", given, [{ state: "open", serial: 7, identity: 8 }]);
    expect(row).toMatchObject({ state: "open", states: null, serial: 7, doubled: 14, identity: 8 });
  });

  test("a key and newest may be of such types", async () => {
    const table = shop.table("States", {
      id: uuid("id").notNull(),
      state: state("state").primaryKey(),
      rank: state("rank").notNull(),
    });
    const states = z.enum(["open", "in work"]);
    const schema = z.strictObject({ state: states, rank: states });
    const stream = defineStream({
      name: "states",
      table,
      schema,
      onConflict: { key: ["state"], newest: "rank" },
    });
    await world.sql.query(
      `create table "Odd Shop"."States" (id uuid not null, state "Odd Shop"."Odd State" primary key, rank "Odd Shop"."Odd State" not null)`,
    );
    const row = (rank: string) =>
      rowOfFields(stream, { id: newId(), receivedAt: "2026-01-01" }, { state: "open", rank });
    await world.store.insert(stream, [row("open"), row("in work")]);
    await world.store.insert(stream, [row("open")]);
    const stored = await world.sql.query(`select state, rank from "Odd Shop"."States"`);
    expect(stored.rows).toEqual([{ state: "open", rank: "in work" }]);
  });
});
