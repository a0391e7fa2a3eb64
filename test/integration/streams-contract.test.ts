/**
 * What every stream promises, over every file of lib/streams/: a new stream is tested without writing a test.
 * And the store's own insert beside Drizzle's, for every type of column that rows are made of.
 */
import { eq, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import {
  bigserial,
  char,
  customType,
  getTableConfig,
  inet,
  interval,
  jsonb,
  json as jsonColumn,
  type PgTable,
  bigint as pgBigint,
  pgEnum,
  pgTable,
  text,
  time,
  timestamp,
  uuid,
} from "drizzle-orm/pg-core";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { drain } from "../../lib/drain/drain.ts";
import { newId } from "../../lib/schema/event-ids.ts";
import { rowOfFields } from "../../lib/schema/json-row.ts";
import { loadStreams } from "../../lib/schema/registry.ts";
import { defineStream, eventColumns, type Stream } from "../../lib/schema/stream.ts";
import everyType, { everyTypeTable } from "../streams/every_type.ts";
import { type Ingest, serveIngest } from "./test-ingest.ts";
import { expectConserved, openWorld, openWorldOfYours, type World } from "./test-stack.ts";

let world: World;
let ingest: Ingest;
beforeAll(async () => {
  world = await openWorldOfYours();
  ingest = await serveIngest(world);
});
beforeEach(() => world.reset());
afterAll(async () => {
  await ingest.close();
  await world.close();
});

type Event = Record<string, unknown>;

/** What zod 4 says of a schema. */
interface Definition {
  type: string;
  format?: string;
  innerType?: z.ZodType;
  element?: z.ZodType;
  options?: z.ZodType[];
  entries?: Record<string, string | number>;
  values?: unknown[];
}

interface Bounds {
  minLength?: number | null;
  maxLength?: number | null;
  minValue?: number | null;
  maxValue?: number | null;
  format?: string | null;
}

const MANY = [1, "text", 'äöü 😀 "quoted" \\ \n', true, false, [], {}, { a: [{ b: null }] }, [[1.5, -0.25]]];

/** A value that the schema takes; `i` varies it. Throws where it knows none: then teach it the type here. */
function exampleOf(schema: z.ZodType, i: number): unknown {
  const definition = schema._zod.def as unknown as Definition;
  const inner = (one: z.ZodType | undefined) => exampleOf(one as z.ZodType, i);
  switch (definition.type) {
    case "object":
      return Object.fromEntries(
        Object.entries((schema as z.ZodObject).shape).map(([name, field]) => [name, exampleOf(field, i)]),
      );
    case "optional":
    case "nullable":
    case "nonoptional":
    case "default":
    case "prefault":
    case "catch":
    case "readonly":
      return inner(definition.innerType);
    case "string":
      return textOf(schema as unknown as Bounds, i);
    case "number":
      return numberOf(schema as unknown as Bounds, i);
    case "boolean":
      return i % 2 === 0;
    case "enum": {
      const values = Object.values(definition.entries ?? {});
      return values[i % values.length];
    }
    case "literal":
      return definition.values?.[i % definition.values.length];
    case "array":
      return [inner(definition.element)];
    case "union":
      return inner(definition.options?.[i % definition.options.length]);
    case "custom":
    case "unknown":
    case "any":
    case "json":
      return MANY[i % MANY.length];
    default:
      throw new Error(
        `no example of zod's ${definition.type} is known: teach exampleOf in ${import.meta.url}`,
      );
  }
}

function textOf({ format, minLength, maxLength }: Bounds, i: number): string {
  if (format === "datetime") return `2026-11-${String((i % 28) + 1).padStart(2, "0")}T09:30:00.123456+05:30`;
  if (format === "date") return `2026-11-${String((i % 28) + 1).padStart(2, "0")}`;
  if (format === "email") return `name${i}@example.com`;
  if (format === "uuid" || format === "guid") return newId();
  if (format === "url") return `https://example.com/${i}`;
  if (format) throw new Error(`no example of the format ${format} is known: teach textOf`);
  const text = `ä "${i}" \\ 😀`;
  return text
    .padEnd(minLength ?? 0, "x")
    .slice(0, maxLength ?? 1000)
    .toWellFormed();
}

function numberOf({ format, minValue, maxValue }: Bounds, i: number): number {
  const isWhole = format?.includes("int") ?? false;
  const min = Math.max(minValue ?? 0, -1e6);
  const max = Math.min(maxValue ?? min + 1000, 1e6);
  const value = min + (max - min) * ((i % 10) / 9);
  return isWhole ? Math.ceil(value) : value;
}

const snakeCase = (field: string) => field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** What a column of this type gives for the value that was sent. */
function asStored(column: string, table: PgTable, value: unknown): unknown {
  const type = getTableConfig(table)
    .columns.find(({ name }) => name === column)
    ?.getSQLType();
  return type?.startsWith("timestamp") ? new Date(value as string) : value;
}

const streams = [...(await loadStreams()).values()];

describe.each(streams.filter(({ retired }) => !retired))("the stream $name", (stream: Stream) => {
  const examples: Event[] = Array.from({ length: 18 }, (_, i) => exampleOf(stream.schema, i) as Event);
  const shape = (stream.schema as z.ZodObject).shape;
  const required = Object.entries(shape)
    .filter(([, field]) => !(field as z.ZodType).safeParse(undefined).success)
    .map(([name]) => name);

  test("its table bears its name and has id as primary key, received_at and stored_at; so does Postgres", async () => {
    const { name, columns } = getTableConfig(stream.table);
    expect(name).toBe(stream.name);
    expect(columns.filter(({ primary }) => primary).map((column) => column.name)).toEqual(["id"]);
    const { rows } = await world.sql.query(
      `select column_name as name, data_type as type from information_schema.columns where table_name = $1`,
      [stream.name],
    );
    expect(rows.map((row) => row.name).sort()).toEqual(columns.map((column) => column.name).sort());
    expect(rows).toEqual(
      expect.arrayContaining([
        { name: "id", type: "uuid" },
        { name: "received_at", type: "timestamp with time zone" },
        { name: "stored_at", type: "timestamp with time zone" },
      ]),
    );
    const keys = await world.sql.query(
      "select attname as name from pg_index join pg_attribute on attrelid = indrelid and attnum = any (indkey) where indrelid = $1::regclass and indisprimary",
      [stream.name],
    );
    expect(keys.rows).toEqual([{ name: "id" }]);
  });

  test("its columns are its fields in snake_case", () => {
    const fields = Object.keys(shape).map(snakeCase);
    const columns = getTableConfig(stream.table).columns.map(({ name }) => name);
    expect(columns.sort()).toEqual([...fields, "id", "received_at", "stored_at"].sort());
  });

  test.each(["buffered", "stored"])("an event sent for ack=%s arrives with every value", async (ack) => {
    const before = Date.now();
    const sent: Event[] = [
      ...examples,
      Object.fromEntries(required.map((name) => [name, examples[0]?.[name]])), // the optional ones left out
    ];
    const { body } = await ingest.post(stream.name, sent, { query: `?ack=${ack}` });
    expect(body).toEqual({
      accepted: sent.length,
      ids: expect.any(Array),
      ack: stream.ack === "stored" ? "stored" : ack,
    });
    await drain(world.supervisor(), { stream: stream.name });
    await expectConserved(world, stream.name, body.ids);
    const { rows } = await world.sql.query(`select * from ${stream.name}`);
    const byId = new Map(rows.map((row) => [row.id, row]));
    for (const [i, id] of (body.ids as string[]).entries()) {
      const { id: _, received_at, stored_at, ...own } = byId.get(id);
      const expected = Object.keys(shape).map((field) => {
        const column = snakeCase(field);
        const value = sent[i]?.[field];
        return [column, value === undefined ? null : asStored(column, stream.table, value)];
      });
      expect(own).toEqual(Object.fromEntries(expected));
      expect(received_at.getTime()).toBeGreaterThanOrEqual(before);
      expect(stored_at.getTime()).toBeGreaterThanOrEqual(before - 1000); // Postgres's clock
    }
  });

  test("an unknown key is refused with its name, and nothing is kept", async () => {
    const { status, body } = await ingest.post(stream.name, { ...examples[0], unheardOf: 1 });
    expect([status, body.errors.map(({ path }: { path: string }) => path)]).toEqual([422, ["unheardOf"]]);
    await expectConserved(world, stream.name, []);
  });

  test.each(required)("without %s it is refused with that path, and nothing is kept", async (name) => {
    const { [name]: _, ...rest } = examples[0] as Event;
    const { status, body } = await ingest.post(stream.name, rest);
    expect([status, body.errors.map(({ path }: { path: string }) => path)]).toEqual([422, [name]]);
    await expectConserved(world, stream.name, []);
  });
});

test.each(streams.filter(({ retired }) => retired).map(({ name }) => name))(
  "the retired stream %s takes no more events",
  async (name) => {
    expect((await ingest.post(name, {})).status).toBe(404);
  },
);

test("no two streams share a table", () => {
  const tables = streams.map(({ table }) => getTableConfig(table).name);
  expect(new Set(tables).size).toBe(tables.length);
});

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

  let world: World;
  beforeAll(async () => {
    world = await openWorld();
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
  beforeEach(() => world.reset());
  afterAll(async () => {
    await world.sql.query("drop table if exists further_types; drop type if exists mood");
    await world.close();
  });

  /** Inserts a row both ways and expects the same text in every column. */
  async function expectSame(stream: Stream, values: Record<string, unknown>): Promise<void> {
    const ours = rowOfFields(stream, { id: newId(), receivedAt }, values);
    const theirs = { ...values, id: newId(), receivedAt };
    expect(await world.store.insert(stream, [ours])).toBe(1);
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
    expect(await world.store.insert(everyType, rows)).toBe(100);
    const stored = await drizzle(world.sql).select().from(everyTypeTable);
    const byId = new Map(stored.map((row) => [row.id, row]));
    for (const [i, { id }] of rows.entries())
      expect(byId.get(id)).toMatchObject(
        i % 2 === 0 ? { text: `t${i}`, integer: null } : { text: null, integer: i },
      );
  });

  test("a table whose default no SQL can state is refused with the column's name", async () => {
    const table = pgTable("serials", { ...eventColumns(), n: bigserial("n", { mode: "number" }) });
    const declare = () =>
      defineStream({ name: "serials", table, schema: z.strictObject({}), toRow: () => ({}) });
    expect(declare).toThrow(/column n: expected/);
  });
});
