/**
 * What tests, the simulation and the benchmark use in place of lib/streams/: streams of their own (test/streams/),
 * the tables that those declare, and functions that serve them.
 */
import { fileURLToPath } from "node:url";
import pg from "pg";
import { migrateOurs } from "../../../drizzle/migrate.ts";
import { loadStreams, type Registry } from "../../../lib/schema/registry.ts";
import { CHECKED_TRIGGER } from "../checked.ts";

/** Loads every stream of test/streams/. */
export const loadTestStreams = (): Promise<Registry> => loadStreams(new URL("../", import.meta.url));

/** Makes our tables, and those that the streams of test/streams/ declare, in an empty database. */
export async function migrateForTests(databaseUrl: string): Promise<void> {
  await migrateOurs(databaseUrl);
  // Imported here, because it takes a second that whoever only wants the streams need not wait.
  const { generateDrizzleJson, generateMigration } = await import("drizzle-kit/api");
  const tables = Object.fromEntries([...(await loadTestStreams())].map(([name, { table }]) => [name, table]));
  const statements = await generateMigration(generateDrizzleJson({}), generateDrizzleJson(tables));
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    for (const statement of [...statements, CHECKED_TRIGGER]) await client.query(statement);
  } finally {
    await client.end();
  }
}

/** For startStack: functions.ts as `npm run build:test` compiles it, and its tables. */
export const testStreams = {
  source: fileURLToPath(new URL("../../../dist-test/test/streams/run/functions.js", import.meta.url)),
  migrate: migrateForTests,
};
