/**
 * What the compiler says of a declaration that can't work. Each mistake is a file of its own, and the last line of its error is the
 * sentence of declared-types.ts or versions.ts: it never speaks of another mistake.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";

const project = fileURLToPath(new URL("../../", import.meta.url));

const VERSIONS = "versions: { 1: z.strictObject({ code: z.string(), seconds: z.int() }) }";

/** By what is declared of the table of `fileOf`: what the last line says. */
const mistakes = [
  {
    mistake: "a field without a column",
    declaration: "schema: schema.extend({ note: z.string() })",
    says: "the table has no column for note: declare the column, or leave the field out of the schema, or declare toRow",
  },
  {
    mistake: "a column that nothing fills",
    declaration: "schema: schema.omit({ length: true })",
    says: "the schema has no length, and its column must have a value",
  },
  {
    mistake: "a field of another type",
    declaration: "schema: schema.extend({ length: z.string() })",
    says: "the schema's length does not fit its column: it is of another type, or it may be absent or null",
  },
  {
    mistake: "a table without a field id",
    declaration: "schema, table: byCode",
    says: "the table has no field id: declare a key of fields of the data, or spread ...eventColumns() into the table",
  },
  {
    mistake: "a key that the schema does not require",
    declaration: 'schema: schema.partial({ code: true }), key: ["code"]',
    says: "the schema does not require code, which is in the key or is newest: it may be neither absent nor null",
  },
  {
    mistake: "the newest by a column that may be null",
    declaration:
      'schema: schema.extend({ at: timestampText() }), onConflict: { key: ["code"], newest: "at" }',
    says: "the column of newest may be null: declare at with .notNull()",
  },
  {
    mistake: "the newest, beside an id that may be null",
    declaration:
      'schema: schema.extend({ at: timestampText() }), table: nullableId, onConflict: { key: ["code"], newest: "at" }',
    says: "field id may be null: declare it with .notNull(), because newest needs it where two events are equally new",
  },
  {
    mistake: "an earlier version that nothing upgrades",
    declaration: `v: 2, schema, ${VERSIONS}`,
    says: "the data of version 1 are not the columns: declare upgrade, or toRow",
  },
  {
    mistake: "an upgrade that leaves a field out",
    declaration: `v: 2, schema, ${VERSIONS}, upgrade: (data) => ({ code: data.code })`,
    says: "Property 'length' is missing in type '{ code: string; }'",
  },
  {
    mistake: "a field without a column, beside an upgrade",
    declaration: `v: 2, schema: schema.extend({ note: z.string() }), ${VERSIONS}, upgrade: (data) => ({ code: data.code, length: data.seconds, note: "" })`,
    says: "the table has no column for note: declare the column, or leave the field out of the schema, or declare toRow",
  },
];

const fileOf = (declaration: string) => `
import { integer, pgTable, text, timestamp, uuid } from "drizzle-orm/pg-core";
import { z } from "zod";
import { defineStream, timestampText } from "../schema/stream.ts";

const calls = pgTable("calls", {
  id: uuid("id").notNull(),
  code: text("code").primaryKey(),
  length: integer("length").notNull(),
  at: timestamp("at", { withTimezone: true, mode: "string" }),
});
export const byCode = pgTable("by_code", { code: text("code").primaryKey(), length: integer("length").notNull() });
export const nullableId = pgTable("nullable_id", {
  id: uuid("id"),
  code: text("code").primaryKey(),
  length: integer("length").notNull(),
  at: timestamp("at", { withTimezone: true, mode: "string" }).notNull(),
});
export const time = timestampText();
const schema = z.strictObject({ code: z.string(), length: z.int() });
const table = calls;

export default defineStream({ ...{ name: "calls", table, existing: true }, ${declaration} });
`;

let folder: string;
let said: string;
beforeAll(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), "spillway-mistakes-")));
  mkdirSync(join(folder, "lib/streams"), { recursive: true });
  for (const shared of ["node_modules", "lib/schema"])
    symlinkSync(join(project, shared), join(folder, shared));
  const config = { extends: join(project, "tsconfig.json"), include: ["lib/streams"] };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config));
  writeFileSync(join(folder, "package.json"), '{"type":"module"}');
  for (const [i, { declaration }] of mistakes.entries())
    writeFileSync(join(folder, `lib/streams/mistake-${i}.ts`), fileOf(declaration));
  said = compile();
}, 120_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Compiles all of them, and returns what the compiler says. */
function compile(): string {
  const tsc = join(project, "node_modules/typescript/bin/tsc");
  try {
    return execFileSync(process.execPath, [tsc, "-p", "."], { cwd: folder, encoding: "utf8" });
  } catch (error) {
    return (error as { stdout: string }).stdout;
  }
}

test.each(mistakes.map((one, i) => ({ ...one, file: `lib/streams/mistake-${i}.ts` })))(
  "$mistake",
  ({ file, says }) => {
    const errors = said.split(/^(?=lib\/streams\/)/m).filter((error) => error.startsWith(file));
    expect(errors.at(-1)?.trimEnd().split("\n").at(-1)).toContain(says);
  },
);
