/**
 * Applies the migrations: ours (drizzle/spillway/) before yours (the installation's). Each folder has one transaction (the
 * node-postgres migrator's) and a journal table of its own. One advisory lock covers both, so that two deployments at once
 * apply each migration once. May be repeated. It uses TCP, because Neon's HTTP migrator is not atomic.
 */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { drizzle } from "drizzle-orm/node-postgres";
import { migrate as applyMigrations } from "drizzle-orm/node-postgres/migrator";
import pg from "pg";
import { type Installation, installationAt } from "../lib/installation.ts";
import { clientSettingsOf } from "../lib/postgres-url.ts";
import { JOURNALS } from "../lib/store/applied-migrations.ts";
import { readJournal } from "../lib/store/migration-journal.ts";
import { hasMigrations } from "./journal.ts";

/** Any constant will do, as long as every version of Spillway uses the same. */
const LOCK = 7_365_001;

interface Folder {
  /** As people write it. */
  name: string;
  migrationsFolder: string;
  /** In the schema `drizzle`, as Drizzle's own default is. */
  migrationsTable: string;
}

const OURS: Folder = {
  name: "drizzle/spillway/",
  migrationsFolder: fileURLToPath(new URL("spillway", import.meta.url)),
  migrationsTable: JOURNALS.ours,
};

/** Yours. `yoursBeside`: beside another program's journal of Drizzle's default name, because its entries would pass for ours. */
const yoursOf = ({ migrations, names }: Installation, journal: "yours" | "yoursBeside"): Folder => ({
  name: names.migrations,
  migrationsFolder: migrations,
  migrationsTable: JOURNALS[journal],
});

/**
 * Brings the database at `databaseUrl` to the newest migrations: ours, and those of the installation. Throws what Postgres says, or why it
 * refuses the database.
 */
export const migrate = (databaseUrl: string, installation: Installation): Promise<void> =>
  apply(databaseUrl, installation);

/** Makes our tables only. */
export const migrateOurs = (databaseUrl: string): Promise<void> => apply(databaseUrl, undefined);

async function apply(databaseUrl: string, installation: Installation | undefined): Promise<void> {
  const client = new pg.Client({ ...clientSettingsOf(databaseUrl), application_name: "spillway-migrate" });
  await client.connect().catch(tellNoConnection);
  try {
    await client.query("select pg_advisory_lock($1)", [LOCK]);
    await refuseForeignTables(client);
    const folders = installation ? [OURS, await findYours(client, installation)] : [OURS];
    // Whoever has no stream has no migration either.
    for (const folder of folders)
      if (hasMigrations(folder.migrationsFolder)) await applyFolder(client, folder);
  } finally {
    await client.end(); // ends the session, and so the lock
  }
}

/** Several addresses of one host make an error without a message. */
function tellNoConnection(error: Error & { code?: string }): never {
  throw new Error(`no connection to Postgres: ${error.message || error.code}`);
}

async function applyFolder(client: pg.Client, folder: Folder): Promise<void> {
  let done = 0;
  /** The migrator notes each migration in its journal after the migration's last statement. */
  const logQuery = (query: string) => {
    if (query.startsWith(`insert into "drizzle"."${folder.migrationsTable}"`)) done += 1;
  };
  try {
    await applyMigrations(drizzle(client, { logger: { logQuery } }), folder);
  } catch (error) {
    throw await reasonOf(client, folder, done, error as Error);
  }
}

/** Drizzle's message is the whole statement; Postgres's own reason is its cause. */
async function reasonOf(client: pg.Client, folder: Folder, done: number, error: Error): Promise<Error> {
  if (!(error.cause instanceof Error)) return error;
  const statement = error.message.replace(/^Failed query: /, "").replace(/\nparams: [^\n]*$/, "");
  const file = await fileOf(client, folder, done, statement).catch(() => undefined);
  const lines = statement.split("\n").map((line) => line.trim());
  const first = lines.find((line) => line !== "" && !line.startsWith("--")) ?? "";
  const place = file === undefined ? "at: " : `${file}, at: `;
  return new Error(`Postgres refused a migration: ${error.cause.message} (${place}${first})`);
}

/** The file of the statement: that of the migration after the `done` ones, unless it does not hold the statement. */
async function fileOf(client: pg.Client, folder: Folder, done: number, statement: string) {
  const { rows } = await client.query<{ last: number }>(
    `select coalesce(max(created_at), 0)::float8 as last from drizzle."${folder.migrationsTable}"`,
  );
  const last = rows[0]?.last ?? 0; // the folder's transaction is rolled back by now
  const tag = readJournal(folder.migrationsFolder).entries.filter(({ when }) => when > last)[done]?.tag;
  const isThere = readFileSync(join(folder.migrationsFolder, `${tag}.sql`), "utf8").includes(statement);
  return isThere ? `${folder.name}${tag}.sql` : undefined;
}

/** Your migrations with their journal: Drizzle's default, unless another program had one here before our first migration. */
async function findYours(client: pg.Client, installation: Installation): Promise<Folder> {
  const [yours, beside] = [yoursOf(installation, "yours"), yoursOf(installation, "yoursBeside")];
  const { rows } = await client.query<{ beside: boolean }>(
    `select to_regclass($1) is not null
       or (to_regclass($2) is null and to_regclass($3) is not null) as beside`,
    [beside, OURS, yours].map(({ migrationsTable }) => `drizzle.${migrationsTable}`),
  );
  if (!rows[0]?.beside) return yours;
  // As Drizzle makes it. It is there from the first run on, also if that has no migration of yours: so the next run finds it.
  await client.query(
    `create table if not exists drizzle."${beside.migrationsTable}" (id serial primary key, hash text not null, created_at bigint)`,
  );
  return beside;
}

/** Our tables whose names another program may have taken, and the migration that makes each. */
const OUR_TABLES = [
  { table: "dead_letters", tag: "0000_dead_letters" },
  { table: "api_keys", tag: "0003_api_keys" },
  { table: "spillway_usage", tag: "0004_usage" },
  { table: "spillway_rollouts", tag: "0005_rollouts" },
];

/** Throws where a table stands in the way that our migrations did not make: Drizzle would fail half-way with "already exists". */
async function refuseForeignTables(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ table: string }>(
    `select name as "table" from unnest($1::text[]) name where to_regclass(name) is not null`,
    [OUR_TABLES.map(({ table }) => table)],
  );
  const last = await lastAppliedOfOurs(client);
  const { entries } = readJournal(OURS.migrationsFolder);
  const isMade = (tag: string) => entries.some((entry) => entry.tag === tag && entry.when <= last);
  const foreign = OUR_TABLES.find(
    ({ table, tag }) => rows.some((row) => row.table === table) && !isMade(tag),
  );
  if (foreign)
    throw new Error(
      `This database holds ${foreign.table} from an earlier layout of Spillway or from another program: use a database without it (for npm start, delete the folder .local/ with the events in it).`,
    );
}

/** The date of the newest of our migrations that this database has; 0: it has none. */
async function lastAppliedOfOurs(client: pg.Client): Promise<number> {
  const journal = `drizzle."${OURS.migrationsTable}"`;
  const { rows: found } = await client.query("select to_regclass($1) is not null as is_there", [journal]);
  if (!found[0]?.is_there) return 0;
  const { rows } = await client.query(`select coalesce(max(created_at), 0)::float8 as last from ${journal}`);
  return rows[0]?.last ?? 0;
}

// The image has no dev/operate/: the build runs this file, with the database in the environment.
if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    const url = process.env.DATABASE_URL;
    if (!url) throw new Error("expected DATABASE_URL in the environment");
    await migrate(url, installationAt(dirname(fileURLToPath(import.meta.url))));
    console.log("migrations applied");
  } catch (error) {
    console.error(`db:migrate: ${(error as Error).message}`);
    process.exitCode = 1;
  }
}
