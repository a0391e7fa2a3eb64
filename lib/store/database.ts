/**
 * The database: Drizzle on one of two ways to Postgres, and the bounds of every statement. The store does not know which way it is.
 *
 * Postgres ends a statement (statement_timeout), and its wait for a lock (lock_timeout), before the client gives up on
 * it, so that retries never pile up behind a lock.
 */
import type { NeonQueryFunction } from "@neondatabase/serverless";
import { sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/neon-http";
import { isOverHttp } from "../postgres-url.ts";
import { overHttp } from "./over-http.ts";
import { overTcp } from "./over-tcp.ts";
import { type PoolOptions, PostgresPool } from "./postgres-pool.ts";

/** What a way to Postgres does for Drizzle: `query` makes a statement, `transaction` runs some as one transaction in one round trip. */
type Client = NeonQueryFunction<false, false>;

const databaseOn = (client: Client) => drizzle(client);

export type Database = ReturnType<typeof databaseOn>;

/** Where Postgres is. */
export interface PostgresPlace {
  databaseUrl: string;
  neonHttpUrl: string | undefined;
}

/** One Postgres, opened once for a process. */
export interface Postgres {
  /** The database, for callers who wait `timeoutMs` at most, for a connection and an answer together. */
  within(timeoutMs: number): Database;
  /** Closes its connections. */
  close(): Promise<void>;
}

/** Opens a Postgres; it is not asked before the first statement. Connections are bounded over TCP only. */
export function openPostgres({ databaseUrl, neonHttpUrl }: PostgresPlace, options: PoolOptions): Postgres {
  if (isOverHttp(databaseUrl, neonHttpUrl))
    return {
      within: (timeoutMs) => databaseOn(overHttp(databaseUrl, timeoutMs, neonHttpUrl)),
      close: async () => {},
    };
  const pool = new PostgresPool(databaseUrl, options);
  // Drizzle uses these two functions of Neon's client, and no other part of it.
  const within = (timeoutMs: number) => databaseOn(overTcp(pool, timeoutMs) as unknown as Client);
  return { within, close: () => pool.close() };
}

/** Opens a Postgres for one caller, with few connections of its own: for what is no process of Spillway's. */
export const connect = (databaseUrl: string, timeoutMs: number, neonHttpUrl?: string): Database =>
  openPostgres({ databaseUrl, neonHttpUrl }, { connections: 4, monotonicMs: () => performance.now() }).within(
    timeoutMs,
  );

/** The part of the client's patience after which Postgres ends a statement, and its wait for a lock. */
const STATEMENT_PART = 0.9;
const LOCK_PART = 0.3;

/** The first statement of each transaction: bounds those that follow by parts of `timeoutMs`, the time that the client waits. */
export const statementBound = (db: Database, timeoutMs: number) => {
  const within = (part: number) => String(Math.floor(timeoutMs * part));
  return db.execute(
    sql`select set_config('statement_timeout', ${within(STATEMENT_PART)}, true), set_config('lock_timeout', ${within(LOCK_PART)}, true)`,
  );
};
