/** A stream as it is declared. declaration.test.ts has what its key, table and schema may not say. */
import { integer, pgTable, text, timestamp } from "drizzle-orm/pg-core";
import { expect, test } from "vitest";
import { z } from "zod";
import { registryOf } from "../../lib/schema/registry.ts";
import { defineStream, eventColumns, json } from "../../lib/schema/stream.ts";

const table = pgTable("orders", {
  ...eventColumns(),
  sku: text("sku").notNull(),
  quantity: integer("quantity"),
});
const schema = z.strictObject({ sku: z.string(), quantity: z.int().optional() });

test("a declaration that fits compiles", () => {
  const stream = defineStream({ name: "orders", table, schema, toRow: ({ sku }) => ({ sku }) });
  expect(stream.toRow?.({ sku: "a", quantity: 1 }, 1)).toEqual({ sku: "a" });
  expect(defineStream({ name: "orders", table, schema }).toRow).toBeUndefined();
});

test("what does not fit does not compile", () => {
  // @ts-expect-error a column that must have a value is missing
  defineStream({ name: "orders", table, schema, toRow: ({ quantity }) => ({ quantity }) });
  // @ts-expect-error a column gets a value of another type
  defineStream({ name: "orders", table, schema, toRow: ({ sku }) => ({ sku, quantity: sku }) });
  const dated = pgTable("dated", { ...eventColumns(), at: timestamp("at").notNull() });
  const coerced = z.strictObject({ at: z.coerce.date() });
  // @ts-expect-error a Date does not come through JSON as a Date
  defineStream({ name: "dated", table: dated, schema: coerced, toRow: (one) => one });
});

test("json() takes any JSON but null, json().nullable() null, too, and each says what is missing", () => {
  const messageOf = (field: z.ZodType, value: object) =>
    z.strictObject({ a: field }).safeParse(value).error?.issues[0]?.message;
  for (const a of [0, "", false, [], {}]) expect(messageOf(json(), { a })).toBeUndefined();
  expect(messageOf(json(), { a: null })).toBe("expected a JSON value other than null");
  expect(messageOf(json().nullable(), { a: null })).toBeUndefined();
  expect(messageOf(json(), {})).toBe("expected a JSON value");
  expect(messageOf(json().nullable(), {})).toBe("expected a JSON value");
});

test("a name that could not stand in a URL, and a name that is taken, stop the start", () => {
  const odd = pgTable("Od d", { ...eventColumns() });
  const empty = z.strictObject({});
  expect(() => defineStream({ name: "Od d", table: odd, schema: empty, toRow: () => ({}) })).toThrow("Od d");
  for (const v of [0, 1.5, -1, 1_000_000_000, Number.NaN])
    expect(() => defineStream({ name: "orders", table, schema, v })).toThrow(
      "expected v to be a whole number",
    );
  const stream = defineStream({ name: "orders", table, schema, toRow: (order) => order });
  expect(() => registryOf([stream, stream])).toThrow('two streams are named "orders"');
});
