/**
 * Applies the migrations: ours (drizzle/spillway/) before yours (drizzle/migrations/). Each folder has one transaction (the
 * node-postgres migrator's) and a journal table of its own. One advisory lock covers both, so that two deployments at once
 * apply each migration once. May be repeated. It uses TCP, because Neon's HTTP migrator is not atomic.
 */
import { fileURLToPath, pathToFileURL } from "node:url";
import { drizzle } from "drizzle-orm/node-postgres";
import { migrate as applyMigrations } from "drizzle-orm/node-postgres/migrator";
import pg from "pg";
import { hasMigrations } from "./journal.ts";

/** Any constant will do, as long as every version of Spillway uses the same. */
const LOCK = 7_365_001;

interface Folder {
  migrationsFolder: string;
  /** In the schema `drizzle`, as Drizzle's own default is. */
  migrationsTable: string;
}

const folderOf = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const OURS: Folder = { migrationsFolder: folderOf("spillway"), migrationsTable: "spillway_migrations" };
const YOURS: Folder = { migrationsFolder: folderOf("migrations"), migrationsTable: "__drizzle_migrations" };

/** Brings the database at `databaseUrl` to the newest migrations. Throws what Postgres says, or why it refuses the database. */
export const migrate = (databaseUrl: string): Promise<void> => apply(databaseUrl, [OURS, YOURS]);

/** Makes our tables only. */
export const migrateOurs = (databaseUrl: string): Promise<void> => apply(databaseUrl, [OURS]);

async function apply(databaseUrl: string, folders: readonly Folder[]): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl, application_name: "spillway-migrate" });
  await client.connect();
  try {
    await client.query("select pg_advisory_lock($1)", [LOCK]);
    await refuseForeignTables(client);
    // Whoever has no stream has no migration either.
    for (const folder of folders)
      if (hasMigrations(folder.migrationsFolder))
        await applyMigrations(drizzle(client), folder).catch(tellReason);
  } finally {
    await client.end(); // ends the session, and so the lock
  }
}

/** Drizzle's message is the whole statement; Postgres's own reason is its cause. */
function tellReason(error: Error): never {
  if (!(error.cause instanceof Error)) throw error;
  const statement = error.message.replace(/^Failed query: /, "").split("\n")[0];
  throw new Error(`Postgres refused a migration: ${error.cause.message} (at: ${statement})`);
}

/**
 * Throws where a table or a journal stands in the way that our migrations did not make. Drizzle compares nothing but
 * the journal's newest time: it would pass over migrations that are older, or fail half-way with "already exists".
 */
async function refuseForeignTables(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ name: string }>(
    `select name from unnest(array['dead_letters', 'drizzle.__drizzle_migrations']) as name
     where to_regclass(name) is not null and to_regclass($1) is null`,
    [`drizzle.${OURS.migrationsTable}`],
  );
  const names = rows.map(({ name }) => name).join(" and ");
  if (names !== "")
    throw new Error(
      `This database holds ${names} from an earlier layout of Spillway or from another program: use an empty database (for npm start, delete the folder .local/ with the events in it).`,
    );
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    const url = process.env.DATABASE_URL;
    if (!url) throw new Error("expected DATABASE_URL in the environment");
    await migrate(url);
    console.log("migrations applied");
  } catch (error) {
    console.error(`db:migrate: ${(error as Error).message}`);
    process.exitCode = 1;
  }
}
