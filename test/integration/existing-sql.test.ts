/** drizzle/existing/*.sql: tables that a database has already, as pg_dump writes them, on this machine. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { afterEach, beforeEach, expect, test } from "vitest";
import { migrateWithExisting } from "../../drizzle/existing.ts";
import { ownInstallation } from "../own-installation.ts";
import { createDatabase } from "./test-stack.ts";

let folder: string;
let databaseUrl: string;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "spillway-existing-"));
  databaseUrl = await createDatabase("existing");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const withExisting = (existing: string) => ({ ...ownInstallation, existing });

const write = (name: string, text: string) => writeFileSync(join(folder, name), text);

async function tables(): Promise<string[]> {
  const sql = new pg.Client({ connectionString: databaseUrl });
  await sql.connect();
  const { rows } = await sql.query(
    "select table_schema || '.' || table_name as name from information_schema.tables where table_schema in ('shop', 'public')",
  );
  await sql.end();
  return rows.map(({ name }) => name);
}

const DUMP = `--
-- PostgreSQL database dump
--
\\restrict abc
SET statement_timeout = 0;
SELECT pg_catalog.set_config('search_path', '', false);
CREATE SCHEMA shop;
CREATE TABLE shop.orders (order_key text NOT NULL);
ALTER TABLE ONLY shop.orders ADD CONSTRAINT orders_pkey PRIMARY KEY (order_key);
\\unrestrict abc
`;

test("a dump is made once, beside our own tables, and files that come later are made, too", async () => {
  write("orders.sql", DUMP);
  await migrateWithExisting(databaseUrl, withExisting(folder));
  write("users.sql", "create table users (id bigint primary key)");
  await migrateWithExisting(databaseUrl, withExisting(folder));
  expect(await tables()).toEqual(
    expect.arrayContaining(["shop.orders", "public.users", "public.dead_letters"]),
  );
});

test("a file that Postgres refuses is named, and leaves nothing", async () => {
  write("orders.sql", "create table half (id integer); create table broken (id nonsense);");
  await expect(migrateWithExisting(databaseUrl, withExisting(folder))).rejects.toThrow(
    /drizzle\/existing\/orders\.sql: .*nonsense/,
  );
  expect(await tables()).toEqual([]);
});

test("a dump of one table lacks the table's schema, and that is said", async () => {
  write("orders.sql", DUMP.replace("CREATE SCHEMA shop;\n", ""));
  await expect(migrateWithExisting(databaseUrl, withExisting(folder))).rejects.toThrow(
    'drizzle/existing/orders.sql: schema "shop" does not exist (pg_dump --table leaves it out: begin the file with create schema)',
  );
});
