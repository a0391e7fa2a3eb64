/** Whether an event that was set aside is stored: its letter needs nobody's attention then. */
import { type SQL, sql } from "drizzle-orm";
import type { Stream } from "../schema/stream.ts";
import { idOf } from "./stream-table.ts";

/** An event that was set aside, in SQL. `key` is null, or its key record as text. */
interface SetAside {
  id: SQL;
  key: SQL;
}

/** The condition that the stream's table has the event, or one that wins over it. */
export function isStored(stream: Stream, { id, key }: SetAside): SQL {
  const { table, keySql } = stream;
  if (stream.key.isId) {
    const type = sql.raw(idOf(stream).getSQLType());
    return sql`exists (select 1 from ${table} as t where t.${sql.identifier(idOf(stream).name)} = ${id}::${type})`;
  }
  return sql`exists (select 1 from ${keySql.fromOne(key)}, ${table} as t where ${keySql.isSameKey} and ${keySql.isSettled})`;
}
