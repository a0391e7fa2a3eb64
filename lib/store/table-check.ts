/**
 * The table check: compares the tables that streams declare with those that Postgres has, in one query on the catalog. Postgres gives no
 * column's name with SQLSTATE 42703, so whoever was refused asks here what differs.
 *
 * A difference is a plain sentence with names of the schema, and never data. A difference that is not certain is not told.
 */
import { getTableColumns } from "drizzle-orm";
import { getTableConfig, type PgColumn } from "drizzle-orm/pg-core";
import type { Stream } from "../schema/stream.ts";
import { ID } from "../schema/stream-key.ts";
import { isSameType } from "./column-types.ts";
import type { Database } from "./database.ts";
import { failureOf } from "./postgres-errors.ts";
import { tableNameOf } from "./stream-table.ts";
import { type ActualTable, readTables } from "./table-catalog.ts";

/** How long an answer is kept, in milliseconds: a refusal comes from many partitions at once, and with each tick again. */
const KEPT_MS = 60_000;

export type TableCheck = ReturnType<typeof createTableCheck>;

/** How a table differs, in sentences; undefined: Postgres gave no answer. */
type Differences = readonly string[] | undefined;

/** Makes a table check on an open database whose client gives up after `timeoutMs`. `monotonicMs`: a clock that is never set back. */
export function createTableCheck(db: Database, timeoutMs: number, monotonicMs: () => number) {
  const kept = new Map<Stream, { atMs: number; differences: Promise<Differences> }>();

  /** Throws an error that is neither Postgres's nor the network's. */
  async function compare(streams: readonly Stream[]): Promise<Differences[]> {
    try {
      const tables = await readTables(
        db,
        timeoutMs,
        streams.map(({ table }) => table),
      );
      return streams.map((stream, i) => differencesBetween(stream, tables[i] ?? null));
    } catch (error) {
      failureOf(error);
      return streams.map(() => undefined);
    }
  }

  /**
   * Returns how each stream's table differs from its declaration; first the differences that make Postgres refuse every row. Asks Postgres
   * once, and at most once a minute for each stream. A stream of which Postgres gives no answer is undefined: a check is never a second
   * failure. Throws an error that is neither Postgres's nor the network's.
   */
  function differencesOfAll(streams: readonly Stream[]): Promise<Differences[]> {
    const atMs = monotonicMs();
    const isFresh = (stream: Stream) => atMs < (kept.get(stream)?.atMs ?? Number.NEGATIVE_INFINITY) + KEPT_MS;
    const asked = [...new Set(streams)].filter((stream) => !isFresh(stream));
    const answers = asked.length > 0 ? compare(asked) : Promise.resolve([]);
    for (const [i, stream] of asked.entries())
      kept.set(stream, { atMs, differences: answers.then((all) => all[i]) });
    return Promise.all(streams.map((stream) => kept.get(stream)?.differences));
  }

  /** The same for one stream; none if Postgres gives no answer. */
  async function differencesOf(stream: Stream): Promise<readonly string[]> {
    const [differences] = await differencesOfAll([stream]);
    return differences ?? [];
  }

  return { differencesOf, differencesOfAll };
}

type ActualColumn = ActualTable["columns"][number];

/** A column that both have. */
interface Pair {
  column: PgColumn;
  found: ActualColumn;
  /** As a sentence names it. */
  named: string;
}

function differencesBetween(stream: Stream, actual: ActualTable | null): string[] {
  const table = `table ${tableNameOf(stream)}`;
  if (actual === null) return [`${table} is missing`];
  const { columns: declared } = getTableConfig(stream.table);
  const byName = new Map(actual.columns.map((column) => [column.name, column]));
  const pairs = declared.flatMap((column): Pair[] => {
    const found = byName.get(column.name);
    return found === undefined ? [] : [{ column, found, named: `column ${column.name} of ${table}` }];
  });
  const inserted = new Set(stream.recordset.columns);
  return [
    ...missingRights(stream, actual).map((right) => `this role may not ${right} ${table}`),
    ...declared.filter(({ name }) => !byName.has(name)).map(({ name }) => `${table} lacks column ${name}`),
    ...pairs
      .filter(({ column, found }) => found.isGeneratedAlways && inserted.has(column.name))
      .map(({ named }) => `${named} is GENERATED ALWAYS, and the insert names it`),
    ...differencesOfKey(stream, actual, table),
    ...unfilled(stream, actual, table),
    ...pairs
      .filter(({ column, found }) => found.type !== null && !isSameType(column.getSQLType(), found.type))
      .map(
        ({ column, found, named }) =>
          `${named} is ${found.type}, and the stream declares ${column.getSQLType()}`,
      ),
    ...pairs
      .filter(({ column, found }) => inserted.has(column.name) && found.isNotNull && mayBeNull(column))
      .map(({ named }) => `${named} is NOT NULL, and a row may lack it`),
    ...pairs
      .filter(
        ({ column, found }) =>
          actual.isTable && !inserted.has(column.name) && !found.isFilled && !found.isNotNull,
      )
      .map(({ named }) => `${named} has no default, and the stream leaves it to Postgres`),
  ];
}

/** ON CONFLICT reads the columns of the key, and rows are looked up by them. */
const missingRights = ({ key }: Stream, { mayInsert, maySelect, mayUpdate }: ActualTable): string[] => [
  ...(mayInsert ? [] : ["insert into"]),
  ...(maySelect ? [] : ["select from"]),
  ...(mayUpdate || key.newest === undefined ? [] : ["update"]),
];

/** Through a view ON CONFLICT takes the index of the table behind, so only tables are asked for theirs. */
function differencesOfKey({ table: declared, key }: Stream, actual: ActualTable, table: string): string[] {
  const columns = getTableColumns(declared);
  const namesOf = (fields: readonly string[]) =>
    fields.flatMap((field) => (columns[field] === undefined ? [] : [columns[field].name]));
  const wanted = new Set(namesOf(key.fields));
  const isKey = (names: readonly string[]) =>
    new Set(names).size === wanted.size && names.every((name) => wanted.has(name));
  const hasIndex = !actual.isTable || actual.uniqueKeys.some(isKey);
  const noun = wanted.size === 1 ? "column" : "columns";
  const ranks = key.newest === undefined ? [] : namesOf([key.newest, ID]);
  return [
    ...(hasIndex ? [] : [`${table} has no unique index on exactly its ${noun} ${[...wanted].join(", ")}`]),
    ...actual.columns
      .filter(({ name, isNotNull }) => actual.isTable && ranks.includes(name) && !isNotNull)
      .map(
        ({ name }) =>
          `column ${name} of ${table} may be null, and it says which event is the newest: a row in which it is null is never replaced`,
      ),
  ];
}

/** Columns that nobody fills, and that must not be null. */
function unfilled(stream: Stream, actual: ActualTable, table: string): string[] {
  const inserted = new Set(stream.recordset.columns);
  const declared = new Set(getTableConfig(stream.table).columns.map(({ name }) => name));
  return actual.columns
    .filter(({ name, isNotNull, isFilled }) => isNotNull && !isFilled && !inserted.has(name))
    .map(({ name }) => {
      const why = declared.has(name) ? "leaves it to Postgres" : "does not declare it";
      return `column ${name} of ${table} is NOT NULL without a default, and the stream ${why}`;
    });
}

/** Whether the insert may give null: a declared default takes its place (insert-from-json.ts). */
const mayBeNull = ({ notNull, hasDefault, generated, generatedIdentity }: PgColumn): boolean =>
  !notNull && !hasDefault && generated === undefined && generatedIdentity === undefined;
