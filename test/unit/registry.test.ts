/** Which streams can stand beside each other. */
import { pgSchema, pgTable } from "drizzle-orm/pg-core";
import { expect, test } from "vitest";
import { z } from "zod";
import { registryOf } from "../../lib/schema/registry.ts";
import { defineStream, eventColumns } from "../../lib/schema/stream.ts";

const schema = z.strictObject({});
const ofTable = (name: string, table: string, { existing = false, of = "" } = {}) =>
  defineStream({
    name,
    table: of === "" ? pgTable(table, eventColumns()) : pgSchema(of).table(table, eventColumns()),
    schema,
    existing,
  });

test("a table's name may be any but those of Spillway's and Postgres's own tables, a stream's name may", () => {
  for (const table of [
    ...["dead_letters", "dead_letters_x", "spillway", "spillway_migrations", "pg_class"],
    ...["api_keys", "api_keys_version"],
  ]) {
    expect(() => registryOf([ofTable("orders", table)])).toThrow(`got ${table}`);
    expect(() => registryOf([ofTable("orders", table, { existing: true })])).toThrow(`got ${table}`);
    expect(registryOf([ofTable("orders", table, { of: "shop" })]).size).toBe(1);
    expect(registryOf([ofTable(table, "orders")]).size).toBe(1);
  }
  for (const table of [
    "dead_letter",
    "deadletters",
    "spillways",
    "api_key",
    "apikeys",
    "Orders",
    "orders of today",
  ])
    expect(registryOf([ofTable("orders", table)]).size).toBe(1);
});

test("no stream has the name of Spillway's own, whatever its table is", () => {
  for (const of of ["", "shop"])
    expect(() => registryOf([ofTable("spillway_usage", "orders", { of })])).toThrow(
      'stream "spillway_usage": expected another name',
    );
});

test("two streams share no name", () => {
  expect(() => registryOf([ofTable("orders", "a"), ofTable("orders", "b")])).toThrow(
    'two streams are named "orders"',
  );
});

test("two streams share a table only if it is somebody else's to both", () => {
  const [own, theirs] = [ofTable("a", "orders"), ofTable("b", "orders", { existing: true })];
  const alsoTheirs = ofTable("c", "orders", { existing: true });
  for (const pair of [
    [own, theirs],
    [theirs, own],
    [own, ofTable("d", "orders")],
  ])
    expect(() => registryOf(pair)).toThrow("share the table orders");
  expect(registryOf([theirs, alsoTheirs]).size).toBe(2);
  expect(registryOf([own, ofTable("d", "orders", { of: "shop" })]).size).toBe(2);
});
