/** Two copies of Drizzle or of zod in one process: a stream of the second one is refused in one sentence. */
import { cpSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { is } from "drizzle-orm";
import { PgTable, pgTable } from "drizzle-orm/pg-core";
import { afterAll, expect, test } from "vitest";
import { z } from "zod";
import { registryOf } from "../../lib/schema/registry.ts";
import { defineStream, eventColumns } from "../../lib/schema/stream.ts";

/** Copies of whole packages are made. */
const TIMEOUT_MS = 60_000;

const folder = mkdtempSync(join(tmpdir(), "spillway-copies-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const schema = z.strictObject({});
const table = pgTable("orders", eventColumns());

/** A second copy of an installed package, with another version in place of `text`, and what a module of it exports. */
async function secondCopy<T>(
  name: string,
  module: string,
  change?: { file: string; from: RegExp; to: string },
) {
  const own = realpathSync(fileURLToPath(new URL(`../../node_modules/${name}`, import.meta.url)));
  const copy = join(folder, name);
  cpSync(own, copy, { recursive: true });
  if (change) {
    const file = join(copy, change.file);
    const text = readFileSync(file, "utf8");
    expect(text).toMatch(change.from);
    writeFileSync(file, text.replace(change.from, change.to));
  }
  return (await import(pathToFileURL(join(copy, module)).href)) as T;
}

test("a table of another copy of Drizzle is refused with the stream's name and the cure", {
  timeout: TIMEOUT_MS,
}, async () => {
  const other = await secondCopy<typeof import("drizzle-orm/pg-core")>("drizzle-orm", "pg-core/index.js");
  const theirs = other.pgTable("orders", eventColumns());
  expect([is(theirs, PgTable), theirs instanceof PgTable]).toEqual([true, false]); // Drizzle itself does not notice
  const stream = defineStream({ name: "orders", table: theirs, schema });
  expect(() => registryOf([stream])).toThrow(
    /^stream "orders": its table was made by another copy of drizzle-orm than Spillway's: install one for both: npm ls drizzle-orm shows them/,
  );
  expect(registryOf([defineStream({ name: "orders", table, schema })]).size).toBe(1);
});

test("a schema of another version of zod is refused, also one of an earlier version of the stream", {
  timeout: TIMEOUT_MS,
}, async () => {
  const version = /minor: \d+/;
  const { z: other } = await secondCopy<typeof import("zod")>("zod", "index.js", {
    ...{ file: "v4/core/versions.js", from: version, to: "minor: 999" },
  });
  const theirs = other.strictObject({});
  const says =
    /^stream "orders": its schema was made by zod 4\.999\.\d+, and Spillway runs zod 4\.\d+\.\d+: install one for both/;
  expect(() => defineStream({ name: "orders", table, schema: theirs })).toThrow(says);
  expect(() =>
    defineStream({ name: "orders", table, schema, v: 2, versions: { 1: theirs }, toRow: () => ({}) }),
  ).toThrow(says);
});

test("a schema that is not of zod 4 is refused as such", () => {
  const { z: three } = createRequire(import.meta.url)("zod/v3") as { z: { object(shape: object): unknown } };
  const schema = three.object({}) as never;
  expect(() => defineStream({ name: "orders", table, schema })).toThrow("was made by zod 3 or earlier");
});
