/** `npm run db:generate`, in a copy of the project: what it writes, what it refuses, and that a refusal changes nothing. */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { copyProject } from "./project-copy.ts";

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

/** Declares a stream with these columns of text. */
function declare(name: string, columns: readonly string[], { isExported = true, head = "" } = {}): void {
  const fields = (make: (column: string) => string) =>
    columns.map((one) => `${one}: ${make(one)}`).join(", ");
  const source = `import { pgTable, text } from "drizzle-orm/pg-core";
    import { z } from "zod";
    import { defineStream, eventColumns } from "../schema/stream.ts";
    ${head}
    ${isExported ? "export " : ""}const table = pgTable("${name}", { ...eventColumns(), ${fields((one) => `text("${one}").notNull()`)} });
    export default defineStream({ name: "${name}", table, schema: z.strictObject({ ${fields(() => "z.string()")} }) });\n`;
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
      /^db:generate: the migration would drop visits .* retired: true.*--allow-drop visits\n$/,
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

test("what Drizzle Kit does not understand is exit 1; --ours is about our own tables", () => {
  begin();
  const ours = migrations("drizzle/spillway");
  expect(generate("--bogus")).toMatchObject({ status: 1, err: expect.stringContaining("--bogus") });
  expect(generate("--allow-drop")).toMatchObject({
    status: 1,
    err: expect.stringContaining("expected a table"),
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
