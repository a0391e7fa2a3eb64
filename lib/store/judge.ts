/** Whether a refusal judges the data of a row, or may be the table's fault (docs/design.md, "Whose fault an error is"). */
import { getTableColumns } from "drizzle-orm";
import type { Stream } from "../schema/stream.ts";
import type { Names } from "./postgres-errors.ts";
import { isOfPostgres } from "./sqlstates.ts";

/** Classes that judge data: 22 data, 23 integrity, 44 check option, 45 user-defined, 54 limits, P0 PL/pgSQL's RAISE. */
const OF_DATA = ["22", "23", "44", "45", "54", "P0"];
/** A sequence that ran out is the table's fault. */
const SEQUENCE_EXHAUSTED = "2200H";
/** Permission denied: a row's policy, or a right that is missing for every row. */
export const POLICY = "42501";

/** Whether the code, and the names beside it, speak of the row's data. */
export function judgesData(stream: Stream, sqlstate: string, names: Names): boolean {
  if (sqlstate === SEQUENCE_EXHAUSTED) return false;
  if (sqlstate === POLICY) return true;
  if (sqlstate === "23502") return isDeclaredNotNull(stream, names);
  if (sqlstate.startsWith("23")) return names.constraint !== undefined;
  // A class that Postgres itself does not have is one of the user's own RAISE.
  return OF_DATA.some((prefix) => sqlstate.startsWith(prefix)) || !isOfPostgres(sqlstate);
}

/** Only a check of a table has a constraint's name: a partition that is missing has none, nor has a user's RAISE. */
const CHECK = "23514";

/** Whether the table can't take rows such as this one, until somebody mends it: no partition for it, a sequence that ran out. */
export const isForSomebodyToMend = ({
  sqlstate,
  speaksOfTable,
}: {
  sqlstate?: string | undefined;
  speaksOfTable?: boolean;
}) => speaksOfTable === true && (sqlstate === CHECK || sqlstate === SEQUENCE_EXHAUSTED);

/**
 * Whether the code speaks of the table, or of the server, even while other rows are stored: no partition for this row (23514 without a
 * constraint), a sequence that ran out, no room, an internal error. However often it comes, it proves nothing.
 */
export const speaksOfTable = (sqlstate: string, { constraint }: Names): boolean =>
  sqlstate === SEQUENCE_EXHAUSTED ||
  (sqlstate === CHECK && constraint === undefined) ||
  ["08", "53", "58", "XX"].includes(sqlstate.slice(0, 2));

/**
 * A column that only the actual table knows as NOT NULL is the table's fault. So is one of another table, into which a trigger writes,
 * though it may have the name of one of ours.
 */
function isDeclaredNotNull({ table: own }: Stream, { table, column }: Names): boolean {
  if (table !== undefined) return false;
  return Object.values(getTableColumns(own)).some(({ name, notNull }) => name === column && notNull);
}
