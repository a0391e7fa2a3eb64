/**
 * JSON's null in columns of JSON. A column that must have a value keeps it as JSON's null; in any other it stands for SQL's
 * null or the default. So it is for each way into a table: an insert, isolated rows, data that are the record, and `toRow`.
 */
import { jsonb, json as jsonColumn, pgTable, text } from "drizzle-orm/pg-core";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { newId } from "../../lib/schema/event-ids.ts";
import { type Row, rowOf } from "../../lib/schema/json-row.ts";
import { defineStream, eventColumns, json, type Stream } from "../../lib/schema/stream.ts";
import { openWorld, type World } from "./test-stack.ts";

const columns = () => ({
  ...eventColumns(),
  must: jsonb("must").notNull(),
  "it's": jsonb("its").notNull(),
  may: jsonb("may"),
  filled: jsonb("filled").notNull().default({ a: 1 }),
  record: text("record"),
});
const any = json().nullable();
const schema = z.strictObject({
  must: any,
  "it's": any,
  may: any,
  filled: any,
  record: z.string().nullable(),
});
const jsonSchema = z.strictObject({ ...schema.shape, asText: any });
const asItIs = defineStream({
  name: "nulls",
  table: pgTable("nulls", columns()),
  schema: schema.omit({ filled: true }),
});
const mapped = defineStream({
  name: "nulls",
  table: pgTable("nulls", columns()),
  schema,
  toRow: (row) => row,
});
/** With a column of type json, all records are one parameter. */
const withJson = defineStream({
  name: "json_nulls",
  table: pgTable("json_nulls", { ...columns(), asText: jsonColumn("as_text").notNull() }),
  schema: jsonSchema,
  toRow: (row) => row,
});

let world: World;
beforeAll(async () => {
  world = await openWorld();
  await world.sql.query(`
    drop table if exists nulls, json_nulls;
    create table nulls (
      id uuid primary key, received_at timestamptz not null, stored_at timestamptz not null default now(),
      must jsonb not null, its jsonb not null, may jsonb, filled jsonb not null default '{"a": 1}', record text);
    create table json_nulls (like nulls including all, as_text json not null)`);
});
beforeEach(() => world.sql.query("truncate nulls, json_nulls"));
afterAll(async () => {
  await world.sql.query("drop table if exists nulls, json_nulls");
  await world.close();
});

function made(stream: Stream, data: object): Row {
  const row = rowOf(stream, {
    v: 1,
    id: newId(),
    receivedAt: "2026-11-21T09:30:00.123Z",
    dataJson: JSON.stringify(data),
  });
  if ("reason" in row) throw new Error(row.reason);
  return row;
}

const NULLS = { must: null, "it's": null, may: null, filled: null, record: null, asText: null };
const VALUES = {
  must: { a: [null] },
  "it's": "null",
  may: 0,
  filled: false,
  record: "null",
  asText: [1, null],
};
const STORED_NULLS = { must: "null", its: "null", may: null, filled: `{"a": 1}`, record: null };
const STORED_VALUES = { must: `{"a": [null]}`, its: `"null"`, may: "0", filled: "false", record: "null" };

describe.each([
  ["data that are the record", asItIs, {}, {}],
  ["toRow", mapped, {}, {}],
  ["a table with a column of type json", withJson, { as_text: "null" }, { as_text: "[1,null]" }],
])("%s", (_, stream, moreNulls, moreValues) => {
  const stored = async () =>
    (
      await world.sql.query(
        `select must::text, its::text, may::text, filled::text, record ${"as_text" in moreNulls ? ", as_text::text" : ""}
         from ${stream.name} order by must::text = 'null' desc`,
      )
    ).rows;
  const rows = () => [made(stream, NULLS), made(stream, VALUES)];

  test("is inserted", async () => {
    expect(await world.store.insert(stream, rows())).toEqual({ count: 2 });
    expect(await stored()).toEqual([
      { ...STORED_NULLS, ...moreNulls },
      { ...STORED_VALUES, ...moreValues },
    ]);
  });

  test("is isolated", async () => {
    const verdicts = await world.store.isolate(stream, rows(), {});
    expect(verdicts).toEqual([{ kind: "stored" }, { kind: "stored" }]);
    expect(await stored()).toEqual([
      { ...STORED_NULLS, ...moreNulls },
      { ...STORED_VALUES, ...moreValues },
    ]);
  });

  test("a value that is missing is still refused", async () => {
    const { must: _, ...rest } = VALUES;
    await expect(world.store.insert(stream, [made(stream, rest)])).rejects.toMatchObject({ code: "23502" });
    expect(stream.checkRow(rest)).toEqual({ path: "must", message: "expected a value" });
    const { asText: __, ...withoutJson } = NULLS;
    expect(stream.checkRow(stream === withJson ? NULLS : withoutJson)).toBeUndefined();
  });
});
