/**
 * Versions of a stream's data: what a declaration may not say is a compile error, which `npm run typecheck` proves, or a sentence when
 * the process starts.
 */
import { integer, pgTable, serial, text } from "drizzle-orm/pg-core";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { fieldsOf, rowOf } from "../../lib/schema/json-row.ts";
import { defineStream, eventColumns } from "../../lib/schema/stream.ts";

const table = pgTable("orders", {
  ...eventColumns(),
  sku: text("sku").notNull(),
  quantity: integer("quantity"),
  note: text("note"),
});
const v1 = z.strictObject({ article: z.string() });
const v2 = z.strictObject({ sku: z.string(), amount: z.int() });
const schema = z.strictObject({ sku: z.string(), quantity: z.int() });
const versions = { 1: v1, 2: v2 };
/** Versions whose fields are columns. */
const narrow = { 1: z.strictObject({ sku: z.string() }) };
const base = { name: "orders", table, schema, v: 3 } as const;
const envelopeOf = (v: number, data: object) => ({
  ...{ v, id: "01940000-0000-7000-8000-000000000001", receivedAt: "2026-11-21T00:00:00.000Z" },
  dataJson: JSON.stringify(data),
});
const storedBy = (stream: Parameters<typeof rowOf>[0], v: number, data: object) => {
  const row = rowOf(stream, envelopeOf(v, data));
  if (!("json" in row)) return row;
  const { id: _, receivedAt: __, ...rest } = JSON.parse(row.json) as Record<string, unknown>;
  return rest;
};

describe("types", () => {
  test("upgrade gets each earlier version's data, and v tells which", () => {
    const stream = defineStream({
      ...base,
      versions,
      upgrade: (data, v) =>
        v === 1
          ? { sku: data.article satisfies string, quantity: 1 }
          : { sku: data.sku, quantity: data.amount satisfies number },
    });
    expect(storedBy(stream, 1, { article: "a" })).toEqual({ sku: "a", quantity: 1 });
    expect(storedBy(stream, 2, { sku: "b", amount: 2 })).toEqual({ sku: "b", quantity: 2 });
    expect(storedBy(stream, 3, { sku: "c", quantity: 3 })).toEqual({ sku: "c", quantity: 3 });
  });

  test("with upgrade, toRow gets today's data", () => {
    const stream = defineStream({
      ...base,
      versions,
      upgrade(data, v) {
        return v === 1 ? { sku: data.article, quantity: 1 } : { sku: data.sku, quantity: data.amount };
      },
      toRow: ({ sku, quantity }, v) => ({ sku, quantity, note: `v${v satisfies 3}` }),
    });
    expect(storedBy(stream, 1, { article: "a" })).toEqual({ sku: "a", quantity: 1, note: "v3" });
    expect(storedBy(stream, 3, { sku: "c", quantity: 3 })).toEqual({ sku: "c", quantity: 3, note: "v3" });
  });

  test("without it, toRow gets each version's data, today's too", () => {
    const stream = defineStream({
      ...base,
      versions,
      toRow: (data, v) => {
        if (v === 1) return { sku: data.article };
        return v === 2 ? { sku: data.sku, quantity: data.amount } : data;
      },
    });
    expect(storedBy(stream, 1, { article: "a" })).toEqual({ sku: "a" });
    expect(storedBy(stream, 2, { sku: "b", amount: 2 })).toEqual({ sku: "b", quantity: 2 });
    expect(storedBy(stream, 3, { sku: "c", quantity: 3 })).toEqual({ sku: "c", quantity: 3 });
  });

  test("without either, earlier data whose fields are columns are stored as they are", () => {
    const stream = defineStream({ ...base, v: 2, versions: narrow });
    expect(storedBy(stream, 1, { sku: "a" })).toEqual({ sku: "a" });
  });

  test("what does not fit does not compile", () => {
    const two = { ...base, v: 2 } as const;
    const made = { sku: "", quantity: 1 };
    const sized = z.strictObject({ sku: z.string(), size: z.int() });
    const dated = z.strictObject({ at: z.date() });
    const compileOnly = () => {
      // @ts-expect-error what upgrade returns lacks a field of today
      defineStream({ ...two, versions: { 1: v1 }, upgrade: ({ article }) => ({ sku: article }) });
      // @ts-expect-error it is a field of version 2
      defineStream({ ...base, versions, upgrade: ({ amount }) => ({ sku: "", quantity: amount }) });
      // @ts-expect-error upgrade gets no data of today
      defineStream({ ...two, versions: { 1: v1 }, upgrade: (_, v) => (v === 2 ? made : made) });
      // @ts-expect-error it is a field of version 1 only
      defineStream({ ...base, versions, toRow: ({ article }) => ({ sku: article }) });
      // @ts-expect-error with upgrade, toRow never gets version 1
      defineStream({ ...two, versions: narrow, upgrade: () => made, toRow: (d, v) => (v === 1 ? made : d) });
      // @ts-expect-error nothing is there to upgrade
      defineStream({ ...base, upgrade: () => made });
      // @ts-expect-error version 1 has a field that is no column
      defineStream({ ...two, versions: { 1: sized } });
      // @ts-expect-error version 1 lacks a column that must have a value
      defineStream({ ...two, versions: { 1: z.strictObject({ quantity: z.int() }) } });
      // @ts-expect-error version 1 has another type in a column
      defineStream({ ...two, versions: { 1: z.strictObject({ sku: z.int() }) } });
      // @ts-expect-error a schema may return nothing that JSON has not
      defineStream({ ...two, versions: { 1: dated }, toRow: () => made });
    };
    expect(compileOnly).toBeTypeOf("function");
  });
});

describe("at start", () => {
  const toRow = () => ({ sku: "" });
  const start = (more: object) => () => defineStream({ ...base, toRow, ...more } as typeof base);

  test.each([
    ["a version that is not named", { versions: { 1: v1 } }, "version 2 is missing: declare the schema"],
    ["none of them", {}, "version 1 is missing"],
    ["a high v", { v: 999_999_999, versions: { 1: v1 } }, "version 2 is missing"],
    [
      "today's schema among the earlier",
      { versions: { ...versions, 3: schema } },
      "version 3 is not earlier",
    ],
    ["version 0", { versions: { ...versions, 0: v1 } }, "version 0 is not earlier than its v, 3"],
    ["a later one dropped", { versions, droppedVersions: [4] }, "version 4 is not earlier"],
    ["one of no number", { versions: { ...versions, one: v1 } }, "version NaN is not earlier"],
    [
      "one declared and dropped",
      { versions, droppedVersions: [2] },
      "version 2 is in versions and in dropped",
    ],
    [
      "a field that is no column",
      { toRow: undefined, versions },
      'field "article" of version 1 is no column',
    ],
  ])("%s is a sentence", (_, more, says) => {
    expect(start(more)).toThrow(`stream "orders": `);
    expect(start(more)).toThrow(says);
  });

  test("declared or dropped, in any order, it starts", () => {
    expect(start({ versions, droppedVersions: [] })).not.toThrow();
    expect(start({ versions: { 2: v2 }, droppedVersions: [1] })).not.toThrow();
    expect(start({ droppedVersions: [2, 1, 1] })).not.toThrow();
    expect(start({ toRow: undefined, upgrade: () => ({}), versions })).not.toThrow();
  });

  test("a version that takes any field is a sentence, if its data are the row", () => {
    const open = { v: 2, versions: { 1: z.looseObject({ sku: z.string() }) } };
    expect(start({ ...open, toRow: undefined })).toThrow("any field of version 1 is no column");
    expect(start(open)).not.toThrow();
    expect(start({ ...open, toRow: undefined, upgrade: () => ({}) })).not.toThrow();
  });

  test("a column that is left to Postgres is in the insert if every version that is the row gives it", () => {
    const coded = pgTable("orders", { ...eventColumns(), sku: text("sku").notNull(), no: serial("no") });
    const today = z.strictObject({ sku: z.string(), no: z.int() });
    const of = (more: object) => defineStream({ name: "orders", table: coded, schema: today, v: 2, ...more });
    expect(of({ versions: { 1: today } }).recordset.columns).toContain("no");
    expect(of({ versions: narrow, upgrade: () => ({}) }).recordset.columns).toContain("no");
    expect(() => of({ versions: narrow })).toThrow("the schema of every version to require it");
  });

  test("a version must require the fields of the key, whatever upgrade and toRow make", () => {
    const keyed = { v: 2, existing: true, key: ["sku"], upgrade: () => ({}) };
    expect(start({ ...keyed, versions: { 1: v1 } })).toThrow(
      'version 1 does not require the key\'s field "sku"',
    );
    const loose = { 1: z.strictObject({ sku: z.string().optional() }) };
    expect(start({ ...keyed, versions: loose })).toThrow('version 1 does not require the key\'s field "sku"');
    expect(start({ ...keyed, versions: narrow })).not.toThrow();
    expect(start({ ...keyed, key: ["id"], versions: { 1: v1 } })).not.toThrow();
  });
});

describe("rows of an earlier version", () => {
  test("the key's fields are those of the data, whatever upgrade and toRow make of them", () => {
    const keyed = defineStream({
      ...{ name: "orders", table, existing: true, schema, v: 2, key: ["sku"], versions: narrow },
      upgrade: ({ sku }) => ({ sku: `${sku} upgraded`, quantity: 1 }),
    });
    expect(storedBy(keyed, 1, { sku: "a" })).toEqual({ sku: "a", quantity: 1 });
    const mapped = defineStream({
      ...{ name: "orders", table, existing: true, schema, v: 2, key: ["sku"], versions: narrow },
      upgrade: ({ sku }) => ({ sku: `${sku} upgraded`, quantity: 1 }),
      toRow: ({ sku }) => ({ note: sku }),
    });
    expect(storedBy(mapped, 1, { sku: "a" })).toEqual({ sku: "a", note: "a" });
    expect(fieldsOf(mapped, { sku: "b", quantity: 1 }, 2)).toEqual({ sku: "b", note: "b" });
  });

  test("a dropped version makes none, which is proven; an upgrade that throws may be mended", () => {
    const stream = defineStream({
      ...{ ...base, droppedVersions: [1], versions: { 2: v2 } },
      upgrade: () => {
        throw new RangeError("on purpose");
      },
    });
    expect(storedBy(stream, 1, {})).toEqual({
      reason: "its data has version 1, which is in droppedVersions",
      isProven: true,
    });
    expect(storedBy(stream, 2, {})).toEqual({ reason: "upgrade threw RangeError", isProven: false });
    expect(storedBy(stream, 3, { sku: "c" })).toEqual({ sku: "c" });
  });
});
