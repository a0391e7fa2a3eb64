/** The journals of migrations in the database (drizzle/migrate.ts writes them), and which migration each had last. */
import { sql } from "drizzle-orm";
import { type Database, statementBound } from "./database.ts";

/** The journals' tables, in the schema `drizzle`. */
export const JOURNALS = {
  ours: "spillway_migrations",
  /** Drizzle's own default. */
  yours: "__drizzle_migrations",
  /** The same beside another program's journal of Drizzle's default name. */
  yoursBeside: "spillway_stream_migrations",
} as const;

/** When the last applied migration of each folder was made, in milliseconds; 0: none is applied. */
export interface AppliedMigrations {
  ours: number;
  yours: number;
}

/** Two queries. Throws Postgres's refusal if this role may not read the journals. */
export async function readAppliedMigrations(db: Database, timeoutMs: number): Promise<AppliedMigrations> {
  const [, { rows: found }] = await db.batch([
    statementBound(db, timeoutMs),
    db.execute(sql`select c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where n.nspname = 'drizzle' and c.relname in (${JOURNALS.ours}, ${JOURNALS.yours}, ${JOURNALS.yoursBeside})`),
  ]);
  const names = new Set(found.map(({ name }) => name));
  const yours = names.has(JOURNALS.yoursBeside) ? JOURNALS.yoursBeside : JOURNALS.yours;
  const lastOf = (name: string) =>
    names.has(name)
      ? sql`(select coalesce(max(created_at), 0)::float8 from drizzle.${sql.identifier(name)})`
      : sql`0::float8`;
  const [, { rows }] = await db.batch([
    statementBound(db, timeoutMs),
    db.execute(sql`select ${lastOf(JOURNALS.ours)} as ours, ${lastOf(yours)} as yours`),
  ]);
  return rows[0] as unknown as AppliedMigrations;
}
