/** Migrations, ours before yours: run by `npm run db:migrate` in a copy of the project, on empty databases and on others. */
import { execFile } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pgTable } from "drizzle-orm/pg-core";
import pg from "pg";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { registryOf } from "../../lib/schema/registry.ts";
import { defineStream, eventColumns } from "../../lib/schema/stream.ts";
import { readJournal } from "../../lib/store/migration-journal.ts";
import { copyProject } from "./project-copy.ts";
import { createDatabase } from "./test-stack.ts";

const { folder, remove } = copyProject();
let databaseUrl: string;
let sql: pg.Client;

beforeAll(() => rmSync(join(folder, "lib/streams"), { recursive: true, force: true }));
beforeEach(async () => {
  await sql?.end();
  databaseUrl = await createDatabase("migrated");
  sql = new pg.Client({ connectionString: databaseUrl });
  await sql.connect();
  rmSync(join(folder, "drizzle/migrations"), { recursive: true, force: true });
});
afterAll(async () => {
  await sql.end();
  remove();
});

/** Runs the command as people do; without other words, with the database in the environment. */
const migrate = (env: Record<string, string> = { DATABASE_URL: databaseUrl }, args: string[] = []) =>
  new Promise<{ code: number; out: string; err: string }>((resolve) => {
    const empty = { DATABASE_URL: "", UPSTASH_REDIS_REST_URL: "", UPSTASH_REDIS_REST_TOKEN: "" };
    const child = execFile(
      "npm",
      ["run", "--silent", "db:migrate", ...args],
      { cwd: folder, env: { ...process.env, ...empty, ...env } },
      (_, out, err) => resolve({ code: child.exitCode ?? -1, out, err }),
    );
  });

/** Writes yours: one migration for each statement. */
function write(...statements: string[]): void {
  mkdirSync(join(folder, "drizzle/migrations/meta"), { recursive: true });
  const entries = statements.map((_, idx) => ({
    idx,
    version: "7",
    when: 1000 + idx,
    tag: `000${idx}_yours`,
    breakpoints: true,
  }));
  for (const [i, statement] of statements.entries())
    writeFileSync(join(folder, `drizzle/migrations/000${i}_yours.sql`), statement);
  writeFileSync(
    join(folder, "drizzle/migrations/meta/_journal.json"),
    JSON.stringify({ version: "7", dialect: "postgresql", entries }),
  );
}

/** Every table with its number of rows. */
async function tables(): Promise<Record<string, number>> {
  const { rows } = await sql.query(
    `select table_schema || '.' || table_name as name, (xpath('/row/n/text()', query_to_xml(format('select count(*) as n from %I.%I', table_schema, table_name), false, true, '')))[1]::text::int as rows
     from information_schema.tables where table_schema in ('public', 'drizzle') order by 1`,
  );
  return Object.fromEntries(rows.map(({ name, rows: count }) => [name, count]));
}

const OURS = {
  "drizzle.spillway_migrations": readJournal(join(folder, "drizzle/spillway")).entries.length,
  "public.api_keys": 0,
  "public.dead_letters": 0,
  "public.spillway_rollouts": 0,
  "public.spillway_usage": 0,
};

test("without migrations of yours there are our tables; yours come when they are there, and each once", async () => {
  expect(await migrate()).toMatchObject({ code: 0, err: "" });
  expect(await tables()).toEqual(OURS);
  write("create table visits (id uuid)");
  await Promise.all([migrate(), migrate(), migrate()]);
  expect(await tables()).toEqual({ ...OURS, "drizzle.__drizzle_migrations": 1, "public.visits": 0 });
});

test("ours are there when yours run, and yours are all or nothing", async () => {
  write("create table visits as select stream from dead_letters", "create table calls (id nonsense)");
  expect(await migrate()).toMatchObject({ code: 1, err: expect.stringContaining("nonsense") });
  expect(await tables()).toEqual({ ...OURS, "drizzle.__drizzle_migrations": 0 });
  write("create table visits as select stream from dead_letters", "create table calls (id uuid)");
  expect((await migrate()).code).toBe(0);
  expect(await tables()).toMatchObject({
    "drizzle.__drizzle_migrations": 2,
    "public.visits": 0,
    "public.calls": 0,
  });
});

test.each([
  [
    "the first file",
    [],
    ["create table calls (id nonsense)"],
    'type "nonsense"',
    0,
    "create table calls (id nonsense)",
  ],
  [
    "a statement after others, behind a comment",
    ["create table visits (id uuid)"],
    [
      "create table a (id uuid)",
      "-- Custom SQL migration file --\n\ncreate table b (id uuid);--> statement-breakpoint\n-- c\ncreate table c (\n  id nonsense\n);",
      "create table d (id uuid)",
    ],
    'type "nonsense"',
    2,
    "create table c (",
  ],
  [
    "a statement that another file has, too",
    [],
    ["create table visits (id uuid)", "create table calls (id uuid)", "create table visits (id uuid)"],
    'relation "visits" already exists',
    2,
    "create table visits (id uuid)",
  ],
] as [string, string[], string[], string, number, string][])(
  "a migration that Postgres refuses is named with its file, its statement and the reason: %s",
  async (_, applied, more, reason, file, statement) => {
    if (applied.length > 0) write(...applied);
    expect((await migrate()).code).toBe(0);
    write(...applied, ...more);
    const { code, out, err } = await migrate();
    expect([code, out]).toEqual([1, ""]);
    expect(err.trim()).toMatch(/^spillway migrate: Postgres refused a migration: [^\n]+$/);
    expect(err).toContain(reason);
    expect(err).toContain(`(drizzle/migrations/000${file}_yours.sql, at: ${statement})`);
  },
);

test("a database that does not answer is said in one sentence", async () => {
  const { code, out, err } = await migrate({ DATABASE_URL: "postgres://nobody@localhost:1/nothing" });
  expect([code, out]).toEqual([1, ""]);
  expect(err.trim()).toMatch(/^spillway migrate: no connection to Postgres: .*ECONNREFUSED[^\n]*$/);
});

describe("the database is that of the environment, or else of a running npm start", () => {
  const stackFile = join(folder, ".local/stack.json");
  const startOn = (url: string) => {
    mkdirSync(join(folder, ".local"), { recursive: true });
    writeFileSync(stackFile, JSON.stringify({ databaseUrl: url }));
  };
  afterEach(() => rmSync(stackFile, { force: true }));

  test("an empty environment means the running npm start", async () => {
    startOn(databaseUrl);
    const { code, out } = await migrate({});
    expect([code, out]).toEqual([0, "migrations applied to the running spillway start\n"]);
    expect(await tables()).toEqual(OURS);
  });

  test("DATABASE_URL wins", async () => {
    startOn("postgres://nobody@127.0.0.1:1/nothing");
    expect(await migrate()).toMatchObject({ code: 0, out: expect.stringMatching(/\/migrated\n$/) });
    expect(await tables()).toEqual(OURS);
  });

  test("servers in the environment, but no database: nothing is migrated", async () => {
    startOn(databaseUrl);
    const { code, err } = await migrate({ UPSTASH_REDIS_REST_URL: "https://eu1.upstash.io" });
    expect([code, err.trim().split("\n").length]).toEqual([1, 1]);
    expect(err).toContain("DATABASE_URL");
    expect(await tables()).toEqual({});
  });

  test("neither: it is said in one sentence", async () => {
    const { code, err } = await migrate({});
    expect([code, err.trim().split("\n").length]).toEqual([1, 1]);
    expect(err).toMatch(/set DATABASE_URL in the environment, or run npx spillway start/);
  });

  test("a word that it does not know is wrong usage, and nothing is migrated", async () => {
    expect(await migrate({ DATABASE_URL: databaseUrl }, ["--", "--nonsense"])).toMatchObject({ code: 2 });
    expect(await migrate({ DATABASE_URL: databaseUrl }, ["--", "nonsense"])).toMatchObject({ code: 2 });
    expect(await tables()).toEqual({});
  });
});

test("a database whose dead_letters our migrations did not make is refused in one sentence, and stays as it is", async () => {
  await sql.query("create table dead_letters (id uuid); insert into dead_letters values (gen_random_uuid())");
  const was = await tables();
  write("create table visits (id uuid)");
  const { code, out, err } = await migrate();
  expect([code, out, err.trim().split("\n").length]).toEqual([1, "", 1]);
  expect(err).toContain("This database holds dead_letters from an earlier layout");
  expect(err).toContain("delete the folder .local/");
  expect(await tables()).toEqual(was);
});

test("a foreign api_keys is refused in one sentence, on a new database and on one that an earlier release migrated", async () => {
  const theirs = "create table api_keys (id uuid); insert into api_keys values (gen_random_uuid())";
  await sql.query(theirs);
  const refuse = async () => {
    const was = await tables();
    const { code, out, err } = await migrate();
    expect([code, out, err.trim().split("\n").length]).toEqual([1, "", 1]);
    expect(err).toContain("This database holds api_keys from");
    expect(await tables()).toEqual(was);
  };
  await refuse();
  await sql.query("drop table api_keys");
  const file = join(folder, "drizzle/spillway/meta/_journal.json");
  const journal = readFileSync(file, "utf8");
  const entries = readJournal(join(folder, "drizzle/spillway")).entries.slice(0, 3);
  writeFileSync(file, JSON.stringify({ ...JSON.parse(journal), entries })); // that of a release without api_keys
  expect(await migrate()).toMatchObject({ code: 0, err: "" });
  writeFileSync(file, journal);
  await sql.query(theirs);
  await refuse();
  await sql.query("drop table api_keys");
  expect(await migrate()).toMatchObject({ code: 0, err: "" });
  expect(await tables()).toMatchObject({ "public.api_keys": 0 });
});

test("another program's journal of Drizzle's is left alone: yours has one of its own, from the first run on", async () => {
  // Its last migration is newer than any of ours: in one journal, ours would be passed over.
  await sql.query(
    `create schema drizzle; create table drizzle.__drizzle_migrations (id serial primary key, hash text not null, created_at bigint);
     insert into drizzle.__drizzle_migrations (hash, created_at) values ('theirs', 9999999999999)`,
  );
  expect(await migrate()).toMatchObject({ code: 0, err: "" });
  write("create table visits (id uuid)");
  await Promise.all([migrate(), migrate()]);
  write("create table visits (id uuid)", "create table calls (id uuid)");
  expect(await migrate()).toMatchObject({ code: 0, err: "" });
  expect(await tables()).toEqual({
    ...OURS,
    "drizzle.__drizzle_migrations": 1,
    "drizzle.spillway_stream_migrations": 2,
    "public.visits": 0,
    "public.calls": 0,
  });
});

test("every table of ours has a name that no stream's table may have", async () => {
  await migrate();
  const { rows } = await sql.query(
    "select relname as name from pg_class where relnamespace = 'public'::regnamespace",
  );
  expect(rows.length).toBeGreaterThan(0);
  for (const { name } of rows) {
    const stream = defineStream({
      name: "a",
      table: pgTable(name, eventColumns()),
      schema: z.strictObject({}),
    });
    expect(() => registryOf([stream]), name).toThrow(`got ${name}`);
  }
});
