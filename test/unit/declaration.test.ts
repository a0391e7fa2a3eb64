/**
 * What can't work is refused when it is declared: by the compiler, which `npm run typecheck` proves, and at start with one sentence, for
 * those who have no types. Each refusal stands beside a declaration that works.
 */
import { sql } from "drizzle-orm";
import {
  bigint,
  bigserial,
  boolean,
  cidr,
  integer,
  json as jsonColumn,
  type PgTable,
  pgEnum,
  pgSchema,
  pgTable,
  primaryKey,
  serial,
  text,
  timestamp,
  unique,
  uniqueIndex,
  uuid,
  varchar,
} from "drizzle-orm/pg-core";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { fieldsOf } from "../../lib/schema/json-row.ts";
import {
  defineStream,
  eventColumns,
  type Json,
  json,
  type Stream,
  timestampText,
} from "../../lib/schema/stream.ts";

const time = (name: string) => timestamp(name, { withTimezone: true, mode: "string" });
const name = "orders";
const schema = z.strictObject({ sku: z.string() });
const sku = () => ({ sku: text("sku").notNull() });
const table = pgTable("orders", { ...eventColumns(), ...sku() });

/** Expects a declaration to be refused at start with a sentence that names the stream and says this. */
function refuses(sentence: string, declare: () => Stream): void {
  expect(declare).toThrow(`stream "orders": `);
  expect(declare).toThrow(sentence);
}

/** Declares without types, as JavaScript does. */
const declare = (declaration: object): Stream =>
  defineStream({ name, table, schema, toRow: undefined, ...declaration } as never);

describe("the key", () => {
  const byNumber = pgTable("orders", {
    no: serial("id"),
    orderId: bigint("order_id", { mode: "number" }).primaryKey(),
    maybe: text("maybe"),
    sku: text("sku").notNull(),
  });
  const numbered = z.strictObject({ orderId: z.int(), sku: z.string() });

  test("is the event's id, if nothing is declared; so the table has a field id", () => {
    expect(defineStream({ name, table, schema }).key).toMatchObject({
      fields: ["id"],
      newest: undefined,
      isId: true,
      keepsIds: true,
    });
    // @ts-expect-error the table has no field id
    refuses("the table has no field id", () => defineStream({ name, table: byNumber, schema: numbered }));
  });

  test("may be fields of the data, which the schema requires", () => {
    const stream = defineStream({ name, table: byNumber, schema: numbered, key: ["orderId"] });
    expect(stream.key).toMatchObject({
      fields: ["orderId"],
      newest: undefined,
      isId: false,
      keepsIds: false,
    });
    const given = { name, table: byNumber };
    const texts = z.strictObject({ orderId: z.string(), sku: z.string() });
    // @ts-expect-error of another type than its column
    defineStream({ ...given, schema: texts, key: ["orderId"], toRow: () => ({ sku: "a" }) });
    // @ts-expect-error no field of the table
    refuses("is no field", () => defineStream({ ...given, schema: numbered, key: ["order_id"] }));
    // @ts-expect-error no field at all
    refuses("at least one field", () => defineStream({ ...given, schema: numbered, key: [] }));
    refuses("each once", () => defineStream({ ...given, schema: numbered, key: ["orderId", "orderId"] }));
    const optional = z.strictObject({ orderId: z.int().optional(), sku: z.string() });
    // @ts-expect-error the field may be absent
    refuses("not required", () => defineStream({ ...given, schema: optional, key: ["orderId"] }));
    const toRow = () => ({ sku: "a" });
    // @ts-expect-error the same with toRow
    refuses("not required", () => defineStream({ ...given, schema: optional, key: ["orderId"], toRow }));
    const nullable = z.strictObject({ orderId: z.int().nullable(), sku: z.string() });
    // @ts-expect-error the field may be null
    refuses("not required", () => defineStream({ ...given, schema: nullable, key: ["orderId"], toRow }));
    // @ts-expect-error the data have no such field
    refuses("not required", () => defineStream({ ...given, schema, key: ["orderId"], toRow }));
    const either = schema.or(numbered);
    // @ts-expect-error one kind of event lacks it
    refuses("not required", () => defineStream({ ...given, schema: either, key: ["orderId"], toRow }));
    const open = schema.catchall(z.string());
    refuses("not required", () => declare({ ...given, schema: open, key: ["orderId"], toRow }));
    // @ts-expect-error Postgres makes it
    refuses("left to Postgres", () => defineStream({ ...given, schema: numbered, key: ["no"] }));
    refuses("may be null", () => declare({ table: byNumber, schema: numbered, key: ["maybe"] }));
  });

  test("is not named twice", () => {
    const latest = { key: ["sku"], newest: "at" } as const;
    const dated = pgTable("orders", {
      ...eventColumns(),
      sku: text("sku").notNull().unique(),
      at: time("at").notNull(),
    });
    const both = z.strictObject({ sku: z.string(), at: timestampText() });
    expect(defineStream({ name, table: dated, schema: both, onConflict: latest }).key).toMatchObject({
      fields: ["sku"],
      newest: "at",
      isId: false,
      keepsIds: false,
    });
    const twice = { key: ["sku"], onConflict: latest } as const;
    // @ts-expect-error a key and a key
    refuses("got both", () => defineStream({ name, table: dated, schema: both, ...twice }));
  });

  test("is made of fields that ingest fixes: no default, no time of storage, no Date", () => {
    const of = (columns: Record<string, never>, key: readonly string[], fields: object = {}) =>
      declare({
        table: pgTable("orders", { ...eventColumns(), ...columns }),
        schema: z.strictObject({ at: timestampText(), ...fields }),
        existing: true,
        toRow: () => ({}),
        key,
      });
    const columns = (more: object) => more as Record<string, never>;
    refuses("storedAt", () => of(columns({}), ["storedAt"]));
    for (const key of [["receivedAt"], ["receivedAt", "at"], ["id", "receivedAt"]])
      refuses("is another with each try of its sender", () => of(columns({ at: time("at").notNull() }), key));
    expect(of(columns({ at: time("at").notNull() }), ["at"]).key.fields).toEqual(["at"]);
    refuses("has a default", () => of(columns({ at: time("at").notNull().defaultNow() }), ["at"]));
    refuses("left to Postgres", () =>
      of(
        columns({
          at: time("at")
            .notNull()
            .$defaultFn(() => ""),
        }),
        ["at"],
      ),
    );
    refuses('mode: "string"', () => of(columns({ at: timestamp("at").notNull() }), ["at"]));
    refuses('mode: "number"', () => of(columns({ at: bigint("at", { mode: "bigint" }).notNull() }), ["at"]));
    refuses("(json)", () => of(columns({ at: jsonColumn("at").notNull() }), ["at"]));
    refuses("(array)", () => of(columns({ at: text("at").array().notNull() }), ["at"]));
    expect(of(columns({ on: boolean("on").notNull() }), ["on"], { on: z.boolean() }).key.fields).toEqual([
      "on",
    ]);
  });

  test("is accepted where nobody can tell what the schema returns: each event is checked", () => {
    const open = schema.transform((order): Record<string, never> => order as never);
    const stream = declare({ table: byNumber, schema: open, key: ["orderId"], toRow: () => ({ sku: "a" }) });
    expect(stream.checkRow(fieldsOf(stream, { orderId: 1 }, 1))).toBeUndefined();
    expect(stream.checkRow(stream.toRow?.({}, 1) ?? {})).toEqual({
      path: "orderId",
      message: "expected a value",
    });
    expect(stream.checkRow(stream.toRow?.({ orderId: null }, 1) ?? {})?.path).toBe("orderId");
    expect(stream.checkRow(stream.toRow?.({ orderId: 0.5 }, 1) ?? {})?.path).toBe("orderId");
  });

  test("comes from the data, whatever toRow says", () => {
    const toRow = () => ({ orderId: 2, sku: "b" });
    // @ts-expect-error toRow makes the key
    const stream = defineStream({ name, table: byNumber, schema: numbered, key: ["orderId"], toRow });
    expect(fieldsOf(stream, { orderId: 1, sku: "a" }, 1)).toEqual({ orderId: 1, sku: "b" });
    expect(fieldsOf(stream, { sku: "a" }, 1)).toEqual({ orderId: undefined, sku: "b" });
  });

  test("comes from the data as it was, whatever toRow and upgrade do to the data", () => {
    const change = (data: { orderId: number }) => {
      data.orderId = 2;
      return { orderId: 3, sku: "b" };
    };
    const given = { name, table: byNumber, schema: numbered, key: ["orderId"] };
    expect(fieldsOf(declare({ ...given, toRow: change }), { orderId: 1, sku: "a" }, 1)).toEqual({
      orderId: 1,
      sku: "b",
    });
    const upgraded = declare({ ...given, v: 2, versions: { 1: numbered }, upgrade: change });
    expect(fieldsOf(upgraded, { orderId: 1, sku: "a" }, 1)).toEqual({ orderId: 1, sku: "b" });
  });
});

describe("the id", () => {
  const of = (id: object) => () =>
    declare({ table: pgTable("orders", { ...sku(), id: id as never }), existing: true });

  test("is uuid, text or varchar, with any default, because it holds the event's id", () => {
    for (const id of [
      uuid("x").defaultRandom(),
      text("id").$defaultFn(() => "cuid"),
      varchar("id"),
      varchar("id", { length: 36 }),
      varchar("id", { length: 100 }),
    ])
      expect(of(id.notNull())().key.isId).toBe(true);
    for (const id of [
      bigint("id", { mode: "number" }),
      varchar("id", { length: 35 }),
      bigserial("id", { mode: "number" }),
    ])
      refuses('(no: bigserial("id"))', of(id.notNull()));
    refuses("may be null", of(uuid("id")));
    refuses("computed by Postgres", of(uuid("id").notNull().generatedAlwaysAs(sql`gen_random_uuid()`)));
  });

  test("is refused with another type, even where it is not the key", () => {
    refuses("field id is integer: expected uuid", () =>
      declare({
        table: pgTable("orders", { id: integer("id").notNull(), sku: text("sku").primaryKey() }),
        key: ["sku"],
      }),
    );
  });
});

describe("newest", () => {
  const data = z.strictObject({ sku: z.string(), at: timestampText() });
  const latest = { key: ["sku"], newest: "at" } as const;
  const columns = { id: uuid("id").notNull(), sku: text("sku").primaryKey() };
  const dated = pgTable("orders", { ...columns, at: time("at").notNull() });

  test("is a field that each event has", () => {
    const given = { name, table: dated };
    defineStream({ ...given, schema: data, onConflict: latest });
    // @ts-expect-error onConflict lacks it
    refuses("names no newest", () => defineStream({ ...given, schema: data, onConflict: { key: ["sku"] } }));
    const wrong = { key: ["sku"], newest: "time" } as const;
    // @ts-expect-error the table lacks it
    refuses("is no field", () => defineStream({ name, table: dated, schema: data, onConflict: wrong }));
    const nullable = pgTable("orders", { ...columns, at: time("at") });
    // @ts-expect-error its column may be null
    refuses("may be null", () => defineStream({ name, table: nullable, schema: data, onConflict: latest }));
    const optional = z.strictObject({ sku: z.string(), at: timestampText().optional() });
    const toRow = () => ({});
    // @ts-expect-error an event may lack it
    refuses("not required", () => defineStream({ ...given, schema: optional, onConflict: latest, toRow }));
    // @ts-expect-error no event has it
    refuses("not required", () => defineStream({ name, table: dated, schema, onConflict: latest, toRow }));
    const now = () => ({ at: "2026-11-21T09:30:00Z" });
    // @ts-expect-error toRow makes it
    const stream = defineStream({ name, table: dated, schema: data, onConflict: latest, toRow: now });
    expect(fieldsOf(stream, { sku: "a", at: "2020" }, 1)).toEqual({ sku: "a", at: "2020" });
  });

  test("is decided by the id where two are equal, so the table has one", () => {
    const noId = pgTable("orders", { sku: text("sku").primaryKey(), at: time("at").notNull() });
    // @ts-expect-error no id
    refuses("newest needs it", () => defineStream({ name, table: noId, schema: data, onConflict: latest }));
    const maybe = pgTable("orders", {
      id: uuid("id"),
      sku: text("sku").primaryKey(),
      at: time("at").notNull(),
    });
    refuses("field id may be null", () => declare({ table: maybe, schema: data, onConflict: latest }));
  });

  test("has an order, and is neither the key nor the id; the time of receipt will do", () => {
    const state = pgEnum("state", ["open", "done"]);
    const of = (at: object, value: z.ZodType = z.string()) =>
      declare({
        table: pgTable("orders", { ...columns, at: at as never }),
        schema: z.strictObject({ sku: z.string(), at: value }),
        onConflict: latest,
      });
    of(bigint("at", { mode: "number" }).notNull(), z.int());
    of(state("at").notNull(), z.enum(["open", "done"]));
    of(text("at").notNull());
    refuses("has an order", () => of(cidr("at").notNull()));
    refuses("mode", () => of(timestamp("at").notNull()));
    const both = pgTable("orders", { ...eventColumns(), sku: text("sku").notNull().unique() });
    refuses("sends again would win", () =>
      declare({ table: both, onConflict: { key: ["sku"], newest: "receivedAt" } }),
    );
    // @ts-expect-error the same
    refuses("is another", () => defineStream({ name, table, schema, key: ["id", "receivedAt"] }));
    for (const newest of ["sku", "id"])
      refuses("is in the key or is the id", () =>
        declare({ table: both, onConflict: { key: ["sku"], newest } }),
      );
    refuses("left to Postgres", () =>
      declare({ table: both, onConflict: { key: ["sku"], newest: "storedAt" } }),
    );
  });
});

describe("the unique index of the key", () => {
  const of = (more: object, constraints?: (own: never) => unknown[]): PgTable =>
    pgTable(
      "orders",
      { id: uuid("id").notNull(), sku: text("sku").notNull(), ...more },
      constraints as never,
    );
  type Own = Record<"id" | "sku", ReturnType<typeof text> & never>;

  test.each<[string, string[], PgTable]>([
    ["a primary key", ["id"], of({ id: uuid("id").primaryKey() })],
    ["a unique column", ["sku"], of({ sku: text("sku").notNull().unique() })],
    [
      "a primary key of two, in any order",
      ["sku", "id"],
      of({}, (own: Own) => [primaryKey({ columns: [own.id, own.sku] })]),
    ],
    ["a unique constraint", ["id", "sku"], of({}, (own: Own) => [unique().on(own.sku, own.id)])],
    ["a unique index", ["sku"], of({}, (own: Own) => [uniqueIndex().on(own.sku)])],
  ])("may be %s", (_, key, declared) => {
    expect(declare({ table: declared, key, schema, existing: false }).key.fields).toEqual(key);
  });

  test("a primary key of two makes both NOT NULL", () => {
    const declared = pgTable("orders", { id: uuid("id"), sku: text("sku") }, (own) => [
      primaryKey({ columns: [own.id, own.sku] }),
    ]);
    expect(defineStream({ name, table: declared, schema, key: ["id", "sku"] }).key.fields).toEqual([
      "id",
      "sku",
    ]);
  });

  test.each<[string, PgTable]>([
    ["none", of({})],
    ["one on fewer columns", of({ sku: text("sku").notNull().unique() })],
    [
      "one on more columns",
      of({ n: integer("n") }, (own: Own) => [unique().on(own.id, own.sku, own["n" as "id"])]),
    ],
    ["one with a condition", of({}, (own: Own) => [uniqueIndex().on(own.id, own.sku).where(sql`true`)])],
    ["one on an expression", of({}, (own: Own) => [uniqueIndex().on(own.id, sql`lower(sku)`)])],
  ])("is not %s, unless the table is there already", (_, declared) => {
    const given = { table: declared, key: ["id", "sku"] };
    refuses("on exactly its key (id, sku)", () => declare(given));
    expect(declare({ ...given, existing: true }).existing).toBe(true);
  });
});

describe("without toRow each field of the schema has a column", () => {
  const extra = z.strictObject({ sku: z.string(), extra: z.string().optional() });
  const hasNone = 'field "extra" of the schema has no column';

  test("one that has none is refused, in every kind of schema", () => {
    // @ts-expect-error an object
    refuses(hasNone, () => defineStream({ name, table, schema: extra }));
    // @ts-expect-error an option of a union
    refuses(hasNone, () => defineStream({ name, table, schema: schema.or(extra) }));
    // @ts-expect-error a part of an intersection
    refuses(hasNone, () => defineStream({ name, table, schema: schema.and(extra) }));
    // @ts-expect-error what a pipe ends with
    refuses(hasNone, () => defineStream({ name, table, schema: z.preprocess((one) => one, extra) }));
    const record = z.record(z.enum(["sku", "extra"]), z.string());
    // @ts-expect-error the keys of a record
    refuses(hasNone, () => defineStream({ name, table, schema: record }));
    // @ts-expect-error any keys of a record
    refuses("takes any field", () => defineStream({ name, table, schema: z.record(z.string(), z.string()) }));
    // @ts-expect-error any keys of an object
    refuses("takes any field", () => defineStream({ name, table, schema: schema.catchall(z.string()) }));
    const loose = z.looseObject({ sku: z.string() });
    // @ts-expect-error any values, too
    refuses("takes any field", () => defineStream({ name, table, schema: loose }));
    refuses(hasNone, () => defineStream({ name, table, schema: z.lazy(() => extra) as z.ZodType<Json> }));
    // @ts-expect-error what a transform returns; nobody sees it at start
    const stream = defineStream({ name, table, schema: extra.transform((one) => ({ ...one, more: 1 })) });
    expect(stream.checkRow({ sku: "a" })).toBeUndefined();
    expect(stream.checkRow({ sku: "a", extra: undefined })).toBeUndefined();
    expect(stream.checkRow({ sku: "a", extra: "b" })).toEqual({
      path: "extra",
      message: "has no column that an event fills",
    });
  });

  test("a schema without fields has a table without columns", () => {
    const empty = pgTable("orders", eventColumns());
    expect(defineStream({ name, table: empty, schema: z.strictObject({}) }).recordset.isPlain).toBe(true);
  });

  test("and a name that Postgres would not cut off: it reads a record's fields by names of 63 bytes", () => {
    const named = (field: string) => () =>
      declare({
        table: pgTable("orders", { ...eventColumns(), [field]: text("sku") }),
        schema: z.strictObject({ [field]: z.string() }),
      });
    expect(named("f".repeat(63))().name).toBe(name);
    for (const field of ["f".repeat(64), "ö".repeat(32), ""])
      refuses("expected a name of 1 to 63 bytes", named(field));
  });

  test("one that ingest or Postgres makes is refused", () => {
    for (const field of ["id", "receivedAt", "storedAt"] as const)
      refuses("is not the data's", () =>
        declare({ schema: z.strictObject({ sku: z.string(), [field]: z.string() }) }),
      );
    const base = z.strictObject({ sku: z.string(), storedAt: timestampText() });
    // @ts-expect-error Postgres makes it
    refuses("is not the data's", () => defineStream({ name, table, schema: base }));
  });

  test("and each column that must have a value has a field, of its type", () => {
    // @ts-expect-error none
    refuses("column sku is NOT NULL", () => defineStream({ name, table, schema: z.strictObject({}) }));
    // @ts-expect-error of another type
    defineStream({ name, table, schema: z.strictObject({ sku: z.int() }) });
    // @ts-expect-error which may be absent
    defineStream({ name, table, schema: extra.partial().omit({ extra: true }) });
    const stored = pgTable("orders", {
      id: uuid("id").primaryKey(),
      ...sku(),
      storedAt: time("stored_at").notNull(),
    });
    refuses("column stored_at is NOT NULL", () => defineStream({ name, table: stored, schema }));
    expect(defineStream({ name, table: stored, schema, existing: true }).recordset.columns).toEqual([
      "id",
      "sku",
    ]);
  });
});

describe("toRow", () => {
  test("returns columns only: what else it returns is refused, for each event", () => {
    const toRow = ({ sku }: { sku: string }) => ({ sku, extra: 1 });
    // @ts-expect-error the table has no such column
    const stream = defineStream({ name, table, schema, toRow });
    expect(stream.checkRow(toRow({ sku: "a" }))).toEqual({
      path: "extra",
      message: "has no column that an event fills",
    });
    // @ts-expect-error in one case of two
    defineStream({ name, table, schema, toRow: ({ sku }) => (sku === "" ? { sku } : { sku, extra: 1 }) });
    // @ts-expect-error ingest makes it
    defineStream({ name, table, schema, toRow: ({ sku }) => ({ sku, id: sku }) });
    // @ts-expect-error Postgres makes it
    const stored = defineStream({ name, table, schema, toRow: ({ sku }) => ({ sku, storedAt: sku }) });
    expect(stored.checkRow({ sku: "a", storedAt: "2020" })?.path).toBe("storedAt");
    const wide = (row: Record<string, unknown>) => row as { sku: string; [field: string]: unknown };
    const unseen = defineStream({ name, table, schema, toRow: wide });
    expect(unseen.checkRow({ sku: "a", extra: 1 })?.path).toBe("extra");
    expect(unseen.checkRow({ sku: "a", extra: undefined })).toBeUndefined();
  });
});

describe("a column that is left to Postgres", () => {
  const columns = {
    serial: serial("serial"),
    identity: integer("identity").generatedByDefaultAsIdentity(),
    always: integer("always").generatedAlwaysAsIdentity(),
    computed: text("computed").generatedAlwaysAs(sql`upper(sku)`),
    code: text("code").$defaultFn(() => "code"),
    touched: text("touched").$onUpdate(() => "now"),
    filled: text("filled")
      .default("x")
      .$onUpdate(() => "now"),
  };
  const full = pgTable("orders", { ...eventColumns(), ...sku(), ...columns });

  test("is not in the insert", () => {
    const { recordset, checkRow } = defineStream({ name, table: full, schema });
    expect(recordset.columns).toEqual(["id", "received_at", "stored_at", "sku", "filled"]);
    expect(checkRow({ sku: "a" })).toBeUndefined();
  });

  test("is in the insert if the schema requires it", () => {
    const given = schema.extend({
      serial: z.int(),
      identity: z.int(),
      code: z.string(),
      touched: z.string(),
    });
    const { recordset, checkRow } = defineStream({ name, table: full, schema: given });
    expect(recordset.columns).toEqual(expect.arrayContaining(["serial", "identity", "code", "touched"]));
    expect(checkRow({ sku: "a", serial: 2 ** 31, identity: 1, code: "", touched: "" })?.path).toBe("serial");
  });

  test("is refused if the schema names it and does not require it, or if Postgres computes it always", () => {
    const serials = schema.extend({ serial: z.int().optional() });
    // @ts-expect-error optional
    refuses("is left to Postgres", () => defineStream({ name, table: full, schema: serials }));
    const codes = schema.extend({ code: z.string().nullish() });
    // @ts-expect-error optional
    refuses("is left to Postgres", () => defineStream({ name, table: full, schema: codes }));
    const touches = schema.extend({ touched: z.string().optional() });
    refuses("is left to Postgres", () => defineStream({ name, table: full, schema: touches }));
    const always = schema.extend({ always: z.int() });
    // @ts-expect-error never taken
    refuses("Postgres computes", () => defineStream({ name, table: full, schema: always }));
    const computed = schema.extend({ computed: z.string() });
    // @ts-expect-error never taken
    refuses("Postgres computes", () => defineStream({ name, table: full, schema: computed }));
  });

  test("is not filled by toRow", () => {
    // @ts-expect-error a serial
    const stream = defineStream({ name, table: full, schema, toRow: ({ sku }) => ({ sku, serial: 1 }) });
    for (const field of ["serial", "identity", "always", "computed", "code", "touched"])
      expect(stream.checkRow({ sku: "a", [field]: 1 })?.path).toBe(field);
    // @ts-expect-error an identity
    defineStream({ name, table: full, schema, toRow: ({ sku }) => ({ sku, identity: 1 }) });
    // @ts-expect-error an identity that Postgres computes always
    defineStream({ name, table: full, schema, toRow: ({ sku }) => ({ sku, always: 1 }) });
    // @ts-expect-error a generated column
    defineStream({ name, table: full, schema, toRow: ({ sku }) => ({ sku, computed: "" }) });
    // @ts-expect-error a default of JavaScript
    defineStream({ name, table: full, schema, toRow: ({ sku }) => ({ sku, code: "" }) });
    defineStream({ name, table: full, schema, toRow: ({ sku }) => ({ sku, filled: "" }) });
  });

  test("is refused if it must have a value and Postgres would have none; an existing table may have a default", () => {
    for (const column of [
      text("code")
        .notNull()
        .$defaultFn(() => ""),
      text("code")
        .notNull()
        .$onUpdate(() => ""),
    ]) {
      const coded = pgTable("orders", { ...eventColumns(), ...sku(), code: column });
      const declared = { table: coded };
      refuses("column code has a default in JavaScript only", () => declare(declared));
      expect(declare({ ...declared, existing: true }).recordset.columns).not.toContain("code");
      const given = schema.extend({ code: z.string() });
      expect(declare({ ...declared, schema: given }).recordset.columns).toContain("code");
    }
  });
});

describe("a table has the names that it has", () => {
  test("of its schema and its columns; received_at and stored_at are optional", () => {
    const mine = pgSchema("my schema").table("My Orders", {
      id: text("Event Id").primaryKey(),
      sku: text("Stock Unit").notNull(),
      payload: text("p"),
    });
    const stream = defineStream({ name, table: mine, schema, existing: true });
    expect(stream.recordset.columns).toEqual(["Event Id", "Stock Unit", "p"]);
    expect(stream.recordset.isPlain).toBe(true);
  });

  test("an event's id and time of receipt are ingest's texts, whatever the columns' types", () => {
    const dated = pgTable("orders", {
      id: text("id").primaryKey(),
      receivedAt: timestamp("received_at").notNull(),
      ...sku(),
    });
    const { recordset } = defineStream({ name, table: dated, schema, existing: true });
    expect(recordset.isPlain).toBe(true);
    const row = { id: "i", receivedAt: "2026-11-21T09:30:00.000Z", sku: "a" };
    expect(JSON.parse(recordset.encode(row))).toEqual(row);
  });
});

test("types that say too little pass, and are checked at start", () => {
  const any = z.strictObject({ sku: z.string(), extra: json() }) as z.ZodType<Json>;
  refuses('field "extra"', () => defineStream({ name, table, schema: any }));
  refuses('field "extra"', () => defineStream({ name, table: table as PgTable, schema: any }));
  defineStream({ name, table, schema: schema as z.ZodType<Json> });
});
