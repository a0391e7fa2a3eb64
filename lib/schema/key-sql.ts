/**
 * A stream's key in SQL. Events are compared with stored rows by Postgres, never here: `2026-01-01T01:00+01:00` and
 * `2026-01-01T00:00Z` are one key. In all conditions `x` is an event, and `t` a stored row.
 *
 * An event is given as a key record: the JSON of its key, its id and, where the newest wins, of what says how new it is.
 */
import { getTableColumns, type Placeholder, type SQL, sql } from "drizzle-orm";
import type { PgColumn, PgTable } from "drizzle-orm/pg-core";
import { ID, type StreamKey } from "./stream-key.ts";
import { sqlTypeOf } from "./written-columns.ts";

export interface KeySql {
  /** The fields of a key record. */
  fields: readonly string[];
  /** The columns that tell events apart: the key's, and, where the newest wins, those that say how new an event is. */
  rankedColumns: readonly string[];
  /** `x` and `t` have one key. */
  isSameKey: SQL;
  /** Of an `x` and a `t` of one key: `t` is this event. Without `newest` any event of the key is taken for it. */
  isSame: SQL;
  /** Of an `x` and a `t` of one key: `t` is this event, or wins over it. */
  isSettled: SQL;
  /**
   * `select …` of the events that an insert takes, in the order of their keys, so that two inserts never wait for each other. Where the
   * newest wins, it takes one event of each key: a statement can't change a row twice. Rows whose key is their id keep their order.
   */
  selectOf(values: SQL, from: SQL): SQL;
  /** What an insert of these columns into `t` does about a row of the same key. */
  onConflict(columns: readonly string[]): SQL;
  /** Key records, a JSON array in one parameter, as a table `x` with an `ord` from 1. */
  from(records: string | SQL | Placeholder): SQL;
  /** One key record, an SQL expression of type text, as a table `x`. */
  fromOne(record: SQL): SQL;
}

/** Makes the SQL of a key. */
export function makeKeySql(table: PgTable, key: StreamKey): KeySql {
  const columns = getTableColumns(table) as Record<string, PgColumn | undefined>;
  const column = (field: string): PgColumn => {
    const found = columns[field];
    if (found === undefined) throw new Error(`expected a column for the key's field ${field}, got none`);
    return found;
  };
  const given = (field: string) => sql`x.${sql.identifier(field)}`;
  const stored = (field: string) => sql`t.${sql.identifier(column(field).name)}`;
  const named = (fields: readonly string[]) =>
    list(fields.map((field) => sql.identifier(column(field).name)));
  const isSameKey = sql.join(
    key.fields.map((field) => sql`${stored(field)} = ${given(field)}`),
    sql` and `,
  );
  const rank = key.newest === undefined ? [] : [key.newest, ID];
  const [storedRank, givenRank] = [rank.map(stored), rank.map(given)];
  const fields = [...new Set([...key.fields, ...rank, ...(ID in columns ? [ID] : [])])];
  const types = list(fields.map((field) => sql`${sql.identifier(field)} ${sqlTypeOf(column(field))}`));
  const isRanked = rank.length > 0;
  const target = named(key.fields);
  return {
    fields,
    rankedColumns: [...new Set([...key.fields, ...rank])].map((field) => column(field).name),
    isSameKey,
    isSame: isRanked ? sql`(${list(storedRank)}) = (${list(givenRank)})` : sql`true`,
    isSettled: isRanked ? sql`(${list(storedRank)}) >= (${list(givenRank)})` : sql`true`,
    selectOf: (values, from) => {
      const order = list(key.fields.map(given));
      if (key.isId) return sql`select ${values} from ${from}`;
      if (!isRanked) return sql`select ${values} from ${from} order by ${order}`;
      const newestFirst = list(givenRank.map((field) => sql`${field} desc`));
      return sql`select distinct on (${order}) ${values} from ${from} order by ${order}, ${newestFirst}`;
    },
    onConflict: (inserted) => {
      if (!isRanked) return sql`on conflict (${target}) do nothing`;
      const keyColumns = key.fields.map((field) => column(field).name);
      const set = inserted
        .filter((name) => !keyColumns.includes(name))
        .map((name) => sql`${sql.identifier(name)} = excluded.${sql.identifier(name)}`);
      const { storedAt } = columns; // if Postgres fills it, it would stay that of the key's first event
      if (storedAt !== undefined && !inserted.includes(storedAt.name))
        set.push(sql`${sql.identifier(storedAt.name)} = default`);
      const excluded = rank.map((field) => sql`excluded.${sql.identifier(column(field).name)}`);
      return sql`on conflict (${target}) do update set ${list(set)} where (${list(storedRank)}) < (${list(excluded)})`;
    },
    from: (records) =>
      sql`json_array_elements(${records}::json) with ordinality as r(record, ord), json_to_record(r.record) as x(${types})`,
    fromOne: (record) => sql`json_to_record(${record}::json) as x(${types})`,
  };
}

const list = (parts: readonly SQL[] | readonly ReturnType<typeof sql.identifier>[]): SQL =>
  sql.join([...parts] as SQL[], sql`, `);
