/**
 * What tests, the simulation and the benchmark use in place of lib/streams/: streams of their own (test/streams/),
 * the tables that those declare, and functions that serve them.
 */
import { readdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import pg from "pg";
import { migrateOurs } from "../../../drizzle/migrate.ts";
import { loadStreams, type Registry } from "../../../lib/schema/registry.ts";

const TEST_STREAMS = new URL("../", import.meta.url);

/** Loads every stream of test/streams/. */
export const loadTestStreams = (): Promise<Registry> => loadStreams(TEST_STREAMS);

/** Makes our tables, and those that the streams of test/streams/ declare, in an empty database. */
export async function migrateForTests(databaseUrl: string): Promise<void> {
  await migrateOurs(databaseUrl);
  // Imported here, because it takes a second that whoever only wants the streams need not wait.
  const { generateDrizzleJson, generateMigration } = await import("drizzle-kit/api");
  const streams = [...(await loadTestStreams()).values()].filter(({ existing }) => !existing);
  const tables = Object.fromEntries(streams.map(({ name, table }) => [name, table]));
  const statements = await generateMigration(generateDrizzleJson({}), generateDrizzleJson(tables));
  await runSql(databaseUrl, [...statements, ...(await readDdl())]);
}

/** The SQL that the files export as `ddl`: it makes the table of an `existing` stream, or what a table does that Drizzle can't say. */
async function readDdl(): Promise<string[]> {
  const files = (await readdir(TEST_STREAMS)).filter((file) => /\.[jt]s$/.test(file)).sort();
  const modules = await Promise.all(files.map((file) => import(new URL(file, TEST_STREAMS).href)));
  return (modules as { ddl?: string }[]).flatMap(({ ddl }) => ddl ?? []);
}

async function runSql(databaseUrl: string, statements: readonly string[]): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    for (const statement of statements) await client.query(statement);
  } finally {
    await client.end();
  }
}

/** For startStack: functions.ts as `npm run build:test` compiles it, and its tables. */
export const testStreams = {
  source: fileURLToPath(new URL("../../../dist-test/test/streams/run/functions.js", import.meta.url)),
  migrate: migrateForTests,
};
