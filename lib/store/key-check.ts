/**
 * Finds out whether rows get the keys that were given: a trigger may change them, and then the same event would be stored again with
 * each try, and no look-up would find it. Where the newest wins, the same goes for what says how new an event is. The first insert of a
 * stream in a process is tried first, and rolled back.
 */
import type { Row } from "../schema/json-row.ts";
import type { Stream } from "../schema/stream.ts";
import type { Verdict } from "./isolate.ts";
import { failureOf, OtherKeys } from "./postgres-errors.ts";
import { tableNameOf } from "./stream-table.ts";

type Trial = (stream: Stream, rows: readonly Row[]) => Promise<Verdict[]>;

/**
 * Makes the check. It throws OtherKeys if the table changes keys, and what Postgres says if it speaks of the server or the moment. A
 * refusal it leaves to the insert itself. Once a row kept its key, the stream is not checked again.
 */
export function createKeyCheck(trial: Trial) {
  const checked = new Set<string>();
  return async function checkKeys(stream: Stream, rows: readonly Row[]): Promise<void> {
    if (rows.length === 0 || checked.has(stream.name)) return;
    try {
      const verdicts = await trial(stream, rows);
      if (verdicts.some(({ kind }) => kind === "other-key"))
        throw new OtherKeys(tableNameOf(stream), { isRanked: stream.key.newest !== undefined });
      if (verdicts.some(({ kind }) => kind === "stored")) checked.add(stream.name);
    } catch (error) {
      if (error instanceof OtherKeys || failureOf(error).kind !== "refused") throw error;
    }
  };
}
