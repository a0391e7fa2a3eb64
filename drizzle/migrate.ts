/**
 * Applies the migrations: in one transaction (the node-postgres migrator's), under an advisory lock, so that two
 * deployments at once apply them once. May be repeated. Speaks TCP, as Neon's HTTP migrator is not atomic.
 */
import { pathToFileURL } from "node:url";
import { drizzle } from "drizzle-orm/node-postgres";
import { migrate as applyMigrations } from "drizzle-orm/node-postgres/migrator";
import pg from "pg";

/** Any constant will do, as long as every version of Spillway uses the same. */
const LOCK = 7_365_001;

/** Brings the database at `databaseUrl` to the newest migration. Throws what Postgres says. */
export async function migrate(databaseUrl: string): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl, application_name: "spillway-migrate" });
  await client.connect();
  try {
    await client.query("select pg_advisory_lock($1)", [LOCK]);
    await applyMigrations(drizzle(client), {
      migrationsFolder: new URL("./migrations", import.meta.url).pathname,
    });
  } finally {
    await client.end(); // ends the session, and so the lock
  }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const url = process.env.DATABASE_URL;
  if (!url) {
    console.error("db:migrate: expected DATABASE_URL in the environment");
    process.exit(1);
  }
  await migrate(url);
  console.log("migrations applied");
}
