/**
 * The insert: all rows of a part in one statement. Its text is written once for each stream and number of parameters, with a
 * placeholder for each.
 */
import { fillPlaceholders, type SQL, sql } from "drizzle-orm";
import { PgDialect } from "drizzle-orm/pg-core";
import type { Row } from "../schema/json-row.ts";
import { keyRecordsOf } from "../schema/key-record.ts";
import type { Stream } from "../schema/stream.ts";
import { type Database, statementBound } from "./database.ts";
import { type SettledRows, selectSettled, settledRowsOf } from "./find-settled.ts";
import { insertOf } from "./insert-sql.ts";

/** What an insert did. */
export interface Inserted<R extends Row = Row> {
  /** Rows that were written. */
  count: number;
  /** Which rows those are. Only if it was asked for, or where the newest wins. */
  written?: ReadonlySet<R>;
  /** What is settled since. Only where the newest wins: there, rows often do without being written. */
  settled?: SettledRows<R>;
}

export interface Options {
  /** Whether it says which rows were written; that takes a third longer. */
  isNaming?: boolean;
}

/** Parameters up to which an insert's text is kept. */
const KEPT_MAX = 500;
const dialect = new PgDialect();

interface Statement {
  text: string;
  params: unknown[];
}

/** Makes the insert. `checkKeys` throws if the table changes keys. */
export function createInsert(
  db: Database,
  timeoutMs: number,
  checkKeys: (stream: Stream, rows: readonly Row[]) => Promise<void>,
) {
  const bound = statementBound(db, timeoutMs).getQuery();
  const kept = new Map<string, Statement>();

  function statementOf(stream: Stream, count: number, isNaming: boolean): Statement {
    const name = `${stream.name}:${count}:${isNaming}`;
    const known = kept.get(name);
    if (known !== undefined) return known;
    const { sql: text, params } = dialect.sqlToQuery(isNaming ? naming(stream, count) : plain(stream, count));
    const made = { text, params };
    if (count <= KEPT_MAX) kept.set(name, made);
    return made;
  }

  /**
   * Inserts rows with one statement: a row whose key is there already is left as it is, or, where the newest wins, replaced by a newer
   * one. All or nothing. May be repeated. Throws OtherKeys if the table changes their keys.
   */
  return async function insert<R extends Row>(
    stream: Stream,
    rows: readonly R[],
    { isNaming = false }: Options = {},
  ): Promise<Inserted<R>> {
    await checkKeys(stream, rows);
    const { query, transaction } = db.$client;
    const isRanked = stream.key.newest !== undefined;
    const parameters = stream.recordset.parametersOf(rows.map(({ json }) => json));
    const isNamed = isNaming || isRanked;
    const { text, params } = statementOf(stream, parameters.length, isNamed);
    const keys = isNamed ? keyRecordsOf(stream, rows) : "";
    const settled = isRanked ? [settling(stream, keys)] : [];
    const [, result, found] = await transaction(
      [
        query(bound.sql, bound.params),
        query(text, fillPlaceholders(params, { ...parameters, keys })),
        ...settled.map((one) => query(one.text, one.params)),
      ],
      { fullResults: true },
    );
    const count = result?.rowCount ?? 0;
    if (!isNamed) return { count };
    const ords = (result?.rows ?? []) as { ord: number }[];
    const written = new Set(ords.map(({ ord }) => rows[ord - 1] as R));
    if (!isRanked) return { count, written };
    return {
      count,
      written,
      settled: settledRowsOf(rows, (found?.rows ?? []) as { ord: number; same: boolean }[]),
    };
  };
}

const selectOf = ({ recordset, keySql }: Stream, count: number): SQL =>
  keySql.selectOf(
    recordset.values,
    recordset.from(Array.from({ length: count }, (_, i) => sql.placeholder(String(i)))),
  );

const plain = (stream: Stream, count: number): SQL => insertOf(stream, selectOf(stream, count));

/** Returns the number of each row that was written: of rows that are alike, of the first. */
function naming(stream: Stream, count: number): SQL {
  const { keySql } = stream;
  const columns = sql.join(
    keySql.rankedColumns.map((name) => sql`t.${sql.identifier(name)}`),
    sql`, `,
  );
  return sql`with t as (${plain(stream, count)} returning ${columns})
    select min(r.ord)::int as ord from ${keySql.from(sql.placeholder("keys"))}, t
    where ${keySql.isSameKey} and ${keySql.isSame} group by ${columns}`;
}

function settling(stream: Stream, keys: string): Statement {
  const { sql: text, params } = dialect.sqlToQuery(selectSettled(stream, sql`${keys}`));
  return { text, params };
}
