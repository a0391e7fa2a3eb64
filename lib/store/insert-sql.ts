/** The insert into a stream's table, in SQL: what is written, in which order, and what becomes of a row whose key is there. */
import { type SQL, sql } from "drizzle-orm";
import type { Stream } from "../schema/stream.ts";
import { listOf } from "./stream-table.ts";

interface Options {
  /** Without `on conflict`: a key that is there already is an error. */
  isStrict?: boolean;
}

/** The insert of what `select` returns, in the order of the recordset's columns. */
export function insertOf(stream: Stream, select: SQL, { isStrict = false }: Options = {}): SQL {
  const { table, recordset, keySql } = stream;
  const conflict = isStrict ? sql`` : keySql.onConflict(recordset.columns);
  return sql`insert into ${table} as t (${listOf(recordset.columns)}) ${select} ${conflict}`;
}
