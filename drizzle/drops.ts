/** Finds the tables, columns and schemas that a migration of Drizzle Kit's drops, and whose data it would lose. */

const NAME = String.raw`(?:"[^"]+"|\w+)`;
const PATH = `${NAME}(?:\\.${NAME})*`;
const IF_EXISTS = String.raw`(?:if\s+exists\s+)?`;
/** A statement begins a line. Views, types and sequences hold no rows. */
const DROP = new RegExp(
  [
    `^\\s*drop\\s+(?:table|schema)\\s+${IF_EXISTS}(?<whole>${PATH})`,
    `^\\s*alter\\s+table\\s+${IF_EXISTS}(?<table>${PATH})\\s+drop\\s+column\\s+${IF_EXISTS}(?<column>${NAME})`,
  ].join("|"),
  "gim",
);

/** Names what the SQL drops, as `table`, `table.column`, or `schema`; each once, in its order. */
export function dropsIn(sql: string): string[] {
  const names = [...sql.matchAll(DROP)].map(({ groups: { whole, table, column } = {} }) =>
    (whole ?? `${table}.${column}`).replaceAll('"', ""),
  );
  return [...new Set(names)];
}
