/**
 * Adopting Spillway: a copy of the project gets streams of somebody's own in place of the samples, and later a newer
 * version of ours, without a conflict and with every check passing.
 *
 * It runs checks and tests in the copy and takes minutes, so `npm run check` leaves this test out, and `npm test` has it.
 */
import { execFile } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { chmod } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { findFreePorts } from "../../dev/stack/ports.ts";
import { type PostgresServer, startPostgres } from "../../dev/stack/postgres-server.ts";

const project = fileURLToPath(new URL("../../", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "spillway-adoption-"));
const [ours, newer, fork, own] = ["ours", "ours, newer", "a fork of ämy", "tables of her own"].map((name) =>
  join(folder, name),
) as [string, string, string, string];
let postgres: PostgresServer;

beforeAll(async () => {
  await chmod(folder, 0o755); // Postgres's user has to get through
  const [port = 0] = await findFreePorts(1);
  postgres = await startPostgres({ dir: join(folder, "postgres"), port });
}, 60_000);
afterAll(async () => {
  await postgres?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** Runs a command to its end and returns what it wrote. Throws all of it where it fails. */
function run(cwd: string, command: string, ...args: string[]): Promise<string> {
  const { PATH, HOME, LANG } = process.env; // nothing of the test runner that this one runs in
  const who = { NAME: "somebody", EMAIL: "somebody@example.com" };
  const git = Object.fromEntries(
    Object.entries(who).flatMap(([name, value]) => [
      [`GIT_AUTHOR_${name}`, value],
      [`GIT_COMMITTER_${name}`, value],
    ]),
  );
  const env = { PATH, HOME, LANG, ...git, GIT_CONFIG_GLOBAL: "/dev/null" };
  return new Promise((resolve, reject) => {
    execFile(command, args, { cwd, env, maxBuffer: 2 ** 28 }, (error, out, err) => {
      if (error)
        reject(new Error(`${command} ${args.join(" ")} failed:\n${`${out}\n${err}`.slice(-20_000)}`));
      else resolve(out);
    });
  });
}
const npm = (cwd: string, ...args: string[]) => run(cwd, "npm", "run", "--silent", ...args);

async function commit(cwd: string, message: string): Promise<void> {
  await run(cwd, "git", "add", "--all");
  await run(cwd, "git", "commit", "--quiet", "--message", message);
}

/** Clones, with the project's node_modules in place of an `npm ci`. */
async function clone(from: string, to: string): Promise<void> {
  await run(folder, "git", "clone", "--quiet", from, to);
  symlinkSync(join(project, "node_modules"), join(to, "node_modules"));
  writeFileSync(join(to, ".git/info/exclude"), "/node_modules\n");
}

const write = (path: string, text: string): void => {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
};

/** Changes one place of a file. */
function edit(path: string, from: string, to: string): void {
  const text = readFileSync(path, "utf8");
  expect(text.split(from)).toHaveLength(2);
  writeFileSync(
    path,
    text.replace(from, () => to),
  );
}

/** The columns of every table in the public schema. */
async function columns(): Promise<string[]> {
  const sql = new pg.Client({ connectionString: postgres.url });
  await sql.connect();
  const { rows } = await sql.query(
    "select table_name || '.' || column_name as name from information_schema.columns where table_schema = 'public'",
  );
  await sql.end();
  return rows.map(({ name }) => name);
}

/** What `npm run check` does before its tests. */
async function checks(cwd: string): Promise<void> {
  for (const script of ["typecheck", "lint", "cycles", "unused", "build", "build:test"])
    await npm(cwd, script);
}

/**
 * The integration tests that look at streams and migrations of the adopter's, and those of the table that the newer version
 * changes. The others see the tests' own streams only, so they find the same here as in the project itself.
 */
const OF_WHAT_IS_YOURS = ["streams-contract", "artefact", "start", "migrate", "end-to-end"];
const OF_WHAT_IS_NEWER = ["dead-letters", "held"];

const ORDERS = `/** Orders: an enum, a nested object, a list, a date, and a mapping of its own. */
import { date, jsonb, pgEnum, pgTable, text } from "drizzle-orm/pg-core";
import { z } from "zod";
import { defineStream, eventColumns } from "../schema/stream.ts";

export const orderState = pgEnum("order_state", ["open", "paid"]);

export const orders = pgTable("orders", {
  ...eventColumns(),
  state: orderState("state").notNull(),
  city: text("city").notNull(),
  items: jsonb("items").notNull(),
  dueOn: date("due_on"),
});

export default defineStream({
  name: "orders",
  table: orders,
  schema: z.strictObject({
    state: z.enum(["open", "paid"]),
    address: z.strictObject({ city: z.string().min(1).max(200) }),
    items: z.array(z.strictObject({ sku: z.string().regex(/^[A-Z]{3}-\\d+$/), count: z.int().min(1) })).max(100),
    dueOn: z.iso.date().optional(),
  }),
  examples: [{ state: "open", address: { city: "Rome" }, items: [{ sku: "ABC-1", count: 2 }], dueOn: "2026-12-24" }],
  toRow: ({ address, ...order }) => ({ ...order, city: address.city }),
});
`;

test("whoever deletes the samples, adds a stream and merges a newer version of ours has no conflict, and every check passes", async () => {
  const files = (
    await run(project, "git", "ls-files", "--cached", "--others", "--exclude-standard", "-z")
  ).split("\0");
  for (const file of files.filter(
    (name) => name !== "" && name !== "node_modules" && existsSync(join(project, name)),
  ))
    cpSync(join(project, file), join(ours, file));
  await run(ours, "git", "init", "--quiet", "--initial-branch=main");
  await commit(ours, "A version of ours");

  await clone(ours, fork);
  await run(fork, "git", "rm", "-r", "--quiet", "lib/streams", "drizzle/migrations");
  await commit(fork, "No samples");
  expect(await npm(fork, "db:generate")).toBe("no streams: nothing to generate\n");
  await checks(fork);
  await run(fork, "npx", "vitest", "run", "test/unit", "streams-contract", "artefact");

  write(join(fork, "lib/streams/orders.ts"), ORDERS);
  await npm(fork, "format");
  await npm(fork, "db:generate", "--", "--name", "orders");
  await commit(fork, "Orders");
  await run(fork, "env", `DATABASE_URL=${postgres.url}`, "npm", "run", "--silent", "db:migrate");
  expect(await columns()).toEqual(
    expect.arrayContaining(["orders.city", "orders.due_on", "dead_letters.envelope"]),
  );

  await clone(ours, newer);
  edit(
    join(newer, "lib/store/dead-letters-table.ts"),
    `text("reason").notNull(),`,
    `text("reason").notNull(),\n    note: text("note"),`,
  );
  edit(
    join(newer, "lib/log.ts"),
    "type Fields =",
    "/** What an entry says beside its name. */\ntype Fields =",
  );
  await npm(newer, "db:generate", "--", "--ours", "--name", "note");
  await commit(newer, "A newer version of ours");

  await run(fork, "git", "pull", "--quiet", "--no-rebase", "--no-edit", newer, "main");
  expect(await run(fork, "git", "status", "--porcelain")).toBe("");
  await run(fork, "env", `DATABASE_URL=${postgres.url}`, "npm", "run", "--silent", "db:migrate");
  expect(await columns()).toEqual(expect.arrayContaining(["orders.city", "dead_letters.note"]));
  await checks(fork);
  await run(fork, "npx", "vitest", "run", "test/unit", ...OF_WHAT_IS_YOURS, ...OF_WHAT_IS_NEWER);
}, 900_000);

/** The streams of docs/streams.md on tables of one's own, by their names. */
const ownStreams = new Map(
  [...readFileSync(join(project, "docs/streams.md"), "utf8").matchAll(/^```ts\n(.*?)^```$/gms)]
    .map(([, text = ""]): [string, string] => [/^ {2}name: "(\w+)"/m.exec(text)?.[1] ?? "", text])
    .filter(([, text]) => /existing: true|onConflict/.test(text)),
);

/** What her database has already. */
const EXISTING = `
create schema billing;
create table billing.invoice (
  id serial primary key, event_id uuid not null unique, customer_name text not null, amount integer not null);
create schema shop;
create table shop.shipments (code text primary key, shipped_at timestamptz not null);
create table readings (
  id uuid not null, received_at timestamptz not null, stored_at timestamptz not null default now(),
  sensor text not null, value float8 not null, recorded_at timestamptz not null,
  primary key (id, recorded_at)
) partition by range (recorded_at);
create table readings_all partition of readings for values from (minvalue) to (maxvalue);
`;

test("whoever has no streams but on tables of her own passes every check and the contract tests", async () => {
  expect([...ownStreams.keys()].sort()).toEqual(["devices", "invoices", "readings", "shipments"]);
  await clone(ours, own);
  await run(own, "git", "rm", "-r", "--quiet", "lib/streams", "drizzle/migrations");
  for (const [name, text] of ownStreams) write(join(own, `lib/streams/${name}.ts`), text);
  write(join(own, "drizzle/existing/tables.sql"), EXISTING);
  await npm(own, "format");
  await npm(own, "db:generate", "--", "--name", "devices");
  await commit(own, "Tables of her own");
  await checks(own);
  await run(own, "npx", "vitest", "run", "test/unit", "streams-contract", "artefact", "start");
}, 600_000);
