/**
 * Makes, in a database of this machine's own, the tables that your database has already. existing/*.sql, beside your migrations, says how they look, as
 * `pg_dump --schema-only --no-owner --no-privileges --table=NAME` writes it. `npm start` and the tests read it; no deployment does.
 *
 * Each file runs once, in one transaction, in the order of the names, before the migrations: those may refer to its tables. A file that
 * is changed afterwards is not run again.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import pg from "pg";
import type { Installation } from "../lib/installation.ts";
import { clientSettingsOf } from "../lib/postgres-url.ts";
import { migrate } from "./migrate.ts";

/** Makes your tables and ours, in an empty database or in one that it made before. Throws what Postgres says of which file. */
export async function migrateWithExisting(databaseUrl: string, installation: Installation): Promise<void> {
  const folder = installation.existing;
  const files = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith(".sql")) : [];
  if (files.length > 0) await makeExisting(databaseUrl, folder, files.sort());
  await migrate(databaseUrl, installation);
}

async function makeExisting(databaseUrl: string, folder: string, files: readonly string[]): Promise<void> {
  const client = new pg.Client(clientSettingsOf(databaseUrl));
  await client.connect();
  try {
    await client.query(
      "create schema if not exists drizzle; create table if not exists drizzle.existing (file text primary key)",
    );
    const { rows } = await client.query<{ file: string }>("select file from drizzle.existing");
    const done = new Set(rows.map(({ file }) => file));
    for (const file of files) if (!done.has(file)) await makeOne(client, folder, file);
  } finally {
    await client.end();
  }
}

async function makeOne(client: pg.Client, folder: string, file: string): Promise<void> {
  try {
    await client.query("begin");
    // Newer versions of pg_dump write commands of psql, too, each on a line of its own.
    await client.query(readFileSync(join(folder, file), "utf8").replaceAll(/^\\.*$/gm, ""));
    await client.query("reset all"); // pg_dump empties the search path
    await client.query("insert into drizzle.existing values ($1)", [file]);
    await client.query("commit");
  } catch (error) {
    const { message, code } = error as Error & { code?: string };
    const cure =
      code === "3F000" ? " (pg_dump --table leaves it out: begin the file with create schema)" : "";
    throw new Error(`Postgres refused drizzle/existing/${file}: ${message}${cure}`);
  }
}
