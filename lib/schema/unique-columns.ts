/** Which columns of a table are unique together, as its declaration says. */
import { is } from "drizzle-orm";
import { getTableConfig, IndexedColumn, type PgTable } from "drizzle-orm/pg-core";

/** Lists the column names of each primary key, unique constraint and unique index. An index with a condition or an expression is none. */
export function uniqueColumns(table: PgTable): string[][] {
  const { columns, primaryKeys, uniqueConstraints, indexes } = getTableConfig(table);
  const alone = columns.filter(({ primary, isUnique }) => primary || isUnique);
  const whole = indexes.filter(({ config }) => config.unique && config.where === undefined);
  return [
    ...alone.map(({ name }) => [name]),
    ...[...primaryKeys, ...uniqueConstraints].map((one) => one.columns.map(({ name }) => name)),
    ...whole.map(({ config }) => config.columns.map(nameOfIndexed)).filter((names) => !names.includes("")),
  ];
}

const nameOfIndexed = (column: object): string => (is(column, IndexedColumn) ? (column.name ?? "") : "");

/** Lists the columns of primary keys: Postgres makes them NOT NULL. */
export const primaryColumns = (table: PgTable): string[] => {
  const { columns, primaryKeys } = getTableConfig(table);
  return [...columns.filter(({ primary }) => primary), ...primaryKeys.flatMap((one) => one.columns)].map(
    ({ name }) => name,
  );
};
