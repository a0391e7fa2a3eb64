/** `npm run db:generate`, in a copy of the project: what it writes, what it refuses, and that a refusal changes nothing. */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import pg from "pg";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { copyProject } from "./project-copy.ts";
import { createDatabase } from "./test-stack.ts";

let folder: string;
let remove: () => void;
const at = (path: string) => join(folder, path);

beforeEach(() => {
  ({ folder, remove } = copyProject());
  rmSync(at("lib/streams"), { recursive: true, force: true });
  rmSync(at("drizzle/migrations"), { recursive: true, force: true });
});
afterEach(() => remove());

function generate(...args: string[]) {
  const command = ["run", "--silent", "db:generate", "--", ...args];
  const { status, stdout, stderr } = spawnSync("npm", command, { cwd: folder, encoding: "utf8", input: "" });
  return { status, out: stdout, err: stderr };
}

interface Declared {
  isExported?: boolean;
  head?: string;
  /** The table's name. @default the stream's */
  table?: string;
  /** The table's schema; the file exports it, as Drizzle Kit wants it. */
  schema?: string;
  isExisting?: boolean;
}

/** Declares a stream with these columns of text. */
function declare(name: string, columns: readonly string[], declared: Declared = {}): void {
  const { isExported = true, head = "", table = name, schema, isExisting = false } = declared;
  const fields = (make: (column: string) => string) =>
    columns.map((one) => `${one}: ${make(one)}`).join(", ");
  const make = schema === undefined ? "pgTable" : "place.table";
  const source = `import { pgSchema, pgTable, text } from "drizzle-orm/pg-core";
    import { z } from "zod";
    import { defineStream, eventColumns } from "../schema/stream.ts";
    ${head}
    ${schema === undefined ? "" : `const place = pgSchema("${schema}");`}
    ${isExported ? "export " : ""}const table = ${make}("${table}", { ...eventColumns(), ${fields((one) => `text("${one}").notNull()`)} });
    export default defineStream({ name: "${name}", table, existing: ${isExisting}, schema: z.strictObject({ ${fields(() => "z.string()")} }) });\n`;
  writeFileSync(at(`lib/streams/${name}.ts`), source);
}

/** Every file of the folder of migrations with its content. */
function migrations(where = "drizzle/migrations"): Record<string, string> {
  if (!existsSync(at(where))) return {};
  const files = readdirSync(at(where), { recursive: true, encoding: "utf8" }).filter((file) =>
    file.includes("."),
  );
  return Object.fromEntries(files.sort().map((file) => [file, readFileSync(at(`${where}/${file}`), "utf8")]));
}

let begun: Record<string, string> | undefined;

/** A project with the streams `visits` and `calls`, and the migration that makes their tables: generated once. */
function begin(): Record<string, string> {
  mkdirSync(at("lib/streams")); // it may be missing: git keeps no empty folder
  declare("visits", ["page", "note"]);
  declare("calls", ["number"]);
  if (begun === undefined) {
    expect(generate("--name", "begin")).toMatchObject({ status: 0, err: "" });
    begun = migrations();
  }
  mkdirSync(at("drizzle/migrations/meta"), { recursive: true });
  for (const [file, text] of Object.entries(begun)) writeFileSync(at(`drizzle/migrations/${file}`), text);
  return begun;
}

/** The SQL of the migration of this name. */
const sqlOf = (name: string) =>
  Object.entries(migrations()).find(([file]) => file.endsWith(`_${name}.sql`))?.[1] ?? "";

/** Applies the folder to an empty database, and shows its tables and one table's columns. */
async function expectApplied(tables: string[], table: string, columns: string[]): Promise<void> {
  const databaseUrl = await createDatabase("generated");
  const env = { ...process.env, DATABASE_URL: databaseUrl };
  const migrate = ["--import", "tsx", "drizzle/migrate.ts"];
  const { status, stderr } = spawnSync(process.execPath, migrate, { cwd: folder, encoding: "utf8", env });
  expect([status, stderr]).toEqual([0, ""]);
  const sql = new pg.Client({ connectionString: databaseUrl });
  await sql.connect();
  const names = async (query: string) => (await sql.query(query)).rows.map(({ name }) => name);
  const found = await names(
    "select table_name::text as name from information_schema.tables where table_schema not in ('pg_catalog', 'information_schema', 'drizzle') and table_name not in ('api_keys', 'dead_letters', 'spillway_rollouts', 'spillway_usage') order by 1",
  );
  const own = await names(
    `select column_name::text as name from information_schema.columns where table_name = '${table}' order by 1`,
  );
  await sql.end();
  expect([found, own]).toEqual([tables, columns]);
}

/** Runs it in a terminal, and presses the keys once it asks. */
function answer(keys: string): Promise<{ status: number | null; said: string }> {
  const child = spawn("script", ["-qec", "npm run --silent db:generate", "/dev/null"], { cwd: folder });
  let said = "";
  child.stdout.on("data", (chunk) => {
    const before = said;
    said += String(chunk);
    if (said.includes("rename column") && !before.includes("rename column")) child.stdin.write(keys);
  });
  return new Promise((resolve) => child.once("close", (status) => resolve({ status, said })));
}

test("a stream's file becomes a migration; without a change there is nothing to generate", () => {
  const made = begin();
  expect(Object.keys(made)).toEqual(["0000_begin.sql", "meta/0000_snapshot.json", "meta/_journal.json"]);
  expect(made["0000_begin.sql"]).toContain('CREATE TABLE "visits"');
  expect(made["0000_begin.sql"]).not.toContain("dead_letters");
  expect(generate()).toMatchObject({
    status: 0,
    out: expect.stringContaining("nothing to generate"),
    err: "",
  });
  expect(migrations()).toEqual(made);

  const journal = JSON.parse(made["meta/_journal.json"] ?? "");
  journal.entries[0].when = 4_000_000_000_000; // made where the clock goes fast
  writeFileSync(at("drizzle/migrations/meta/_journal.json"), JSON.stringify(journal));
  expect(generate("--custom", "--name", "by_hand").out).toContain("drizzle/migrations/0001_by_hand.sql");
  const { entries } = JSON.parse(migrations()["meta/_journal.json"] ?? "");
  expect(entries.map(({ when }: { when: number }) => when)).toEqual([4_000_000_000_000, 4_000_000_000_001]);
});

test("no streams: nothing to generate", () => {
  expect(generate()).toEqual({ status: 0, out: "no streams: nothing to generate\n", err: "" });
  expect(existsSync(at("drizzle/migrations"))).toBe(false);
});

test("a stream that was taken away is no DROP TABLE: refused each time, until the table is named", () => {
  const made = begin();
  rmSync(at("lib/streams/visits.ts"));
  for (const _ of [1, 2]) {
    const { status, out, err } = generate();
    expect([status, out]).toEqual([1, ""]);
    expect(err).toMatch(
      /^spillway db-generate: the migration would drop visits .* retired: true.*--allow-drop visits\n$/,
    );
    expect(migrations()).toEqual(made);
  }
  expect(generate("--allow-drop", "calls").status).toBe(1);
  expect(migrations()).toEqual(made);
  expect(generate("--allow-drop=visits", "--name", "no_visits")).toMatchObject({ status: 0, err: "" });
  expect(migrations()["0001_no_visits.sql"]).toContain('DROP TABLE "visits"');
  expect(generate().out).toContain("nothing to generate");
});

test("all streams that were taken away are refused too, with the folder or without it", () => {
  const made = begin();
  rmSync(at("lib/streams"), { recursive: true });
  expect(generate()).toMatchObject({ status: 1, err: expect.stringContaining("would drop calls, visits") });
  expect(migrations()).toEqual(made);
});

test("a column that was taken away is refused until it is named", () => {
  const made = begin();
  declare("visits", ["page"]);
  expect(generate()).toMatchObject({ status: 1, err: expect.stringContaining("would drop visits.note") });
  expect(migrations()).toEqual(made);
  expect(generate("--allow-drop", "visits.note")).toMatchObject({ status: 0, err: "" });
});

test("a question without a terminal is exit 1 and a sentence; with one it is asked, and an answer that drops is refused", async () => {
  const made = begin();
  declare("visits", ["page", "remark"]);
  expect(generate()).toMatchObject({
    status: 1,
    out: "",
    err: expect.stringContaining("there is no terminal"),
  });
  expect(migrations()).toEqual(made);

  const dropped = await answer("\r"); // the first choice: a new column, and the old one goes
  expect(dropped).toEqual({ status: 1, said: expect.stringContaining("would drop visits.note") });
  expect(migrations()).toEqual(made);
  const renamed = await answer("\x1b[B\r"); // the second: renamed
  expect(renamed).toEqual({ status: 0, said: expect.stringContaining("drizzle/migrations/0001_") });
  const [, sql] = Object.entries(migrations()).find(([file]) => file.startsWith("0001")) ?? [];
  expect(sql).toBe('ALTER TABLE "visits" RENAME COLUMN "note" TO "remark";');
});

test.each([
  ["throws", () => declare("bad", ["a"], { head: 'throw new Error("on purpose");' }), "on purpose"],
  [
    "declares no stream",
    () => writeFileSync(at("lib/streams/bad.ts"), "export const x = 1;\n"),
    "default export made by defineStream",
  ],
  [
    "has a name of ours",
    () => declare("dead_letters", ["a"]),
    'stream "dead_letters": expected a table whose name',
  ],
  [
    "keeps its table to itself",
    () => declare("bad", ["a"], { isExported: false }),
    'stream "bad": expected its file to export its table',
  ],
])("a stream's file that %s is exit 1 and a sentence", (_, spoil, sentence) => {
  const made = begin();
  spoil();
  expect(generate()).toMatchObject({ status: 1, out: "", err: expect.stringContaining(sentence) });
  expect(migrations()).toEqual(made);
});

describe("a table that is there already", () => {
  test("is in no migration, nor are the types and schemas that its file exports", () => {
    const made = begin();
    const head =
      'import { pgEnum, pgSchema as ps } from "drizzle-orm/pg-core"; export const mood = pgEnum("mood", ["a"]); export const shop = ps("shop");';
    declare("orders", ["a"], { isExisting: true, table: "Old orders", schema: "shop", head });
    expect(generate()).toMatchObject({
      status: 0,
      out: expect.stringContaining("nothing to generate"),
      err: "",
    });
    declare("orders", ["b"], { isExisting: true, isExported: false });
    expect(generate()).toMatchObject({
      status: 0,
      out: expect.stringContaining("nothing to generate"),
      err: "",
    });
    expect(migrations()).toEqual(made);
  });

  test("alone: nothing to generate", () => {
    mkdirSync(at("lib/streams"));
    declare("orders", ["a"], { isExisting: true });
    expect(generate()).toMatchObject({
      status: 0,
      out: expect.stringContaining("nothing to generate"),
      err: "",
    });
    expect(existsSync(at("drizzle/migrations"))).toBe(false);
  });

  test("and was made by a migration is not dropped; as ours again, what changed since is altered", async () => {
    const made = begin();
    declare("visits", ["page", "note"], { isExisting: true });
    declare("calls", ["number", "line"]);
    const given = generate("--name", "line");
    expect(given).toMatchObject({ status: 0, err: "" });
    expect(given.out).toContain(
      "visits is left to its owner from now on: nothing of it is dropped or changed",
    );
    expect(sqlOf("line")).toBe('ALTER TABLE "calls" ADD COLUMN "line" text NOT NULL;');
    const between = Object.entries(migrations()).filter(
      ([file]) => file.endsWith(".sql") && !file.includes("begin") && !file.includes("line"),
    );
    expect(between.map(([, sql]) => sql)).toEqual([expect.stringMatching(/^--.*visits.*\n$/)]);
    expect(migrations()).toMatchObject({
      "0000_begin.sql": made["0000_begin.sql"],
      "meta/0000_snapshot.json": made["meta/0000_snapshot.json"],
    });
    expect(generate().out).toContain("nothing to generate");

    declare("visits", ["page", "note", "more"]);
    const taken = generate("--name", "back");
    expect(taken).toMatchObject({ status: 0, err: "" });
    expect(taken.out).toContain("visits is ours again, as your migrations knew it");
    expect(sqlOf("back")).toBe('ALTER TABLE "visits" ADD COLUMN "more" text NOT NULL;');
    expect(generate().out).toContain("nothing to generate");
    await expectApplied(["calls", "visits"], "visits", [
      "id",
      "more",
      "note",
      "page",
      "received_at",
      "stored_at",
    ]);
  });

  test("was made in a schema and with a type, which stay, too", () => {
    begin();
    const head =
      'import { pgEnum, pgSchema as ps } from "drizzle-orm/pg-core"; export const mood = pgEnum("mood", ["a"]); export const shop = ps("shop");';
    declare("orders", ["a"], { schema: "shop", head });
    expect(generate("--name", "orders")).toMatchObject({ status: 0, err: "" });
    declare("orders", ["a"], { isExisting: true, schema: "shop", head });
    const given = generate();
    expect(given).toMatchObject({
      status: 0,
      err: "",
      out: expect.stringContaining("shop.orders is left to its owner"),
    });
    const [last] = Object.entries(migrations()).filter(([file]) => file.startsWith("0002"));
    expect(last?.[1]).toMatch(/^--[^\n]*\n$/);
    expect(generate().out).toContain("nothing to generate");
    declare("orders", ["a"], { schema: "shop", head });
    expect(generate()).toMatchObject({
      status: 0,
      err: "",
      out: expect.stringContaining("shop.orders is ours again"),
    });
    expect(generate().out).toContain("nothing to generate");
  });

  test("becomes ours, and no migration made it: the migration makes it", () => {
    begin();
    declare("orders", ["a"], { isExisting: true });
    expect(generate().out).toContain("nothing to generate");
    declare("orders", ["a"]);
    expect(generate("--name", "orders")).toMatchObject({ status: 0, err: "" });
    expect(sqlOf("orders")).toContain('CREATE TABLE "orders"');
  });

  test("was dropped once and is declared anew: the migration makes it", () => {
    begin();
    rmSync(at("lib/streams/visits.ts"));
    expect(generate("--allow-drop=visits")).toMatchObject({ status: 0, err: "" });
    declare("visits", ["page"]);
    expect(generate("--name", "anew")).toMatchObject({ status: 0, err: "" });
    expect(sqlOf("anew")).toContain('CREATE TABLE "visits"');
  });

  test("a refused migration leaves it as it was", () => {
    const made = begin();
    declare("visits", ["page", "note"], { isExisting: true });
    rmSync(at("lib/streams/calls.ts"));
    expect(generate()).toMatchObject({
      status: 1,
      out: "",
      err: expect.stringContaining("would drop calls with all data"),
    });
    expect(migrations()).toEqual(made);
  });
});

describe("a table of ours in another schema", () => {
  test("is made there, and so is its schema, whether its file exports that or not", async () => {
    begin();
    declare("orders", ["a"], { schema: "shop floor", table: "All orders" });
    declare("offers", ["a"], { schema: "shop floor" });
    expect(generate("--name", "shop")).toMatchObject({ status: 0, err: "" });
    expect(sqlOf("shop").match(/CREATE SCHEMA.*/g)).toEqual(['CREATE SCHEMA IF NOT EXISTS "shop floor";']);
    expect(sqlOf("shop")).toContain('CREATE TABLE "shop floor"."All orders"');
    expect(generate().out).toContain("nothing to generate");
    await expectApplied(["All orders", "calls", "offers", "visits"], "All orders", [
      "a",
      "id",
      "received_at",
      "stored_at",
    ]);
    rmSync(at("lib/streams/offers.ts"));
    expect(generate()).toMatchObject({
      status: 1,
      err: expect.stringContaining("would drop shop floor.offers with all data"),
    });
  });

  test("that its file keeps to itself is exit 1, though another schema has a table of its name", () => {
    begin();
    declare("orders", ["a"]);
    expect(generate()).toMatchObject({ status: 0, err: "" });
    declare("others", ["a"], { schema: "shop", table: "orders", isExported: false });
    expect(generate()).toMatchObject({
      status: 1,
      err: expect.stringContaining('stream "others": expected its file to export its table'),
    });
  });
});

test("an option that nobody knows is wrong usage, exit 2; --ours is about our own tables", () => {
  begin();
  const ours = migrations("drizzle/spillway");
  expect(generate("--bogus")).toMatchObject({ status: 2, err: expect.stringContaining("--bogus") });
  expect(generate("--allow-drop")).toMatchObject({
    status: 2,
    err: expect.stringContaining("'--allow-drop <value>' argument missing"),
  });
  expect(generate("--ours")).toMatchObject({
    status: 0,
    out: expect.stringContaining("drizzle/spillway/ has every table"),
  });
  renameSync(at("lib/store/dead-letters-table.ts"), at("lib/store/gone.ts"));
  writeFileSync(at("lib/store/dead-letters-table.ts"), "export {};\n");
  expect(generate("--ours")).toMatchObject({
    status: 1,
    err: expect.stringContaining("would drop dead_letters"),
  });
  expect(migrations("drizzle/spillway")).toEqual(ours);
});
