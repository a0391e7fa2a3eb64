/**
 * The database: Drizzle on Neon's HTTP driver, and the bound of every statement.
 *
 * Postgres ends a statement (statement_timeout) before the client gives up on it, so that retries never pile up
 * behind a lock.
 */
import { neon, neonConfig } from "@neondatabase/serverless";
import { sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/neon-http";
import { type Post, sendPost } from "../http-post.ts";

export type Database = ReturnType<typeof connect>;

/** Opens the database. Every request gives up after `timeoutMs`. */
export function connect(databaseUrl: string, timeoutMs: number, neonHttpUrl?: string) {
  if (neonHttpUrl !== undefined) neonConfig.fetchEndpoint = neonHttpUrl;
  neonConfig.fetchFunction = postAsFetch;
  return drizzle(neon(databaseUrl, { fetchOptions: { timeoutMs } }));
}

/** As much of fetch as Neon's driver uses; it passes `fetchOptions` on. */
async function postAsFetch(url: string, init: Post) {
  const { ok, status, text } = await sendPost(url, init);
  return { ok, status, text: async () => text, json: async () => JSON.parse(text) };
}

/**
 * The first statement of each transaction: Postgres ends what follows after nine tenths of `timeoutMs`, the time that
 * the client waits.
 */
export const statementBound = (db: Database, timeoutMs: number) =>
  db.execute(sql`select set_config('statement_timeout', ${String(Math.floor(timeoutMs * 0.9))}, true)`);
