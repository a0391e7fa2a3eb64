/** What the store needs to know of a table. */
import { type SQL, sql } from "drizzle-orm";
import { getTableConfig, type PgColumn, type PgTable } from "drizzle-orm/pg-core";
import type { Stream } from "../schema/stream.ts";

/** The columns of a stream's table that Spillway itself reads. */
export const ownColumnsOf = (stream: Stream) =>
  stream.table as PgTable & { id: PgColumn; receivedAt?: PgColumn };

/** The id column of a stream's table, if it has one: its key says so. */
export const idOf = (stream: Stream): PgColumn => ownColumnsOf(stream).id;

/** Names of columns, as an insert lists them. */
export const listOf = (columns: readonly string[]): SQL =>
  sql.join(
    columns.map((name) => sql.identifier(name)),
    sql`, `,
  );

/** The table's name as sentences have it: with its schema, if the declaration names one. */
export function tableNameOf({ table }: Pick<Stream, "table">): string {
  const { schema, name } = getTableConfig(table);
  return schema === undefined ? name : `${schema}.${name}`;
}

/** The table's name as SQL has it. */
export function quotedNameOf({ table }: Pick<Stream, "table">): string {
  const { schema, name } = getTableConfig(table);
  const parts = schema === undefined ? [name] : [schema, name];
  return parts.map((part) => `"${part.replaceAll('"', '""')}"`).join(".");
}
