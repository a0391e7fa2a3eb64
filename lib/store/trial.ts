/**
 * Tries rows: finds out what an insert would do with each, and changes nothing. Rows that end the whole statement (by a
 * timeout, or by a RAISE of a server's SQLSTATE) are halved. A row that is there counts as there, whatever the error said.
 */
import type { Row } from "../schema/json-row.ts";
import type { Stream } from "../schema/stream.ts";
import type { Verdict } from "./isolate.ts";
import { type Failure, failureOf, reasonOf } from "./postgres-errors.ts";
import type { Store } from "./store.ts";
import { tableNameOf } from "./stream-table.ts";
import { SWALLOWED } from "./verdicts.ts";

/** What would become of a row. */
export type TrialOutcome =
  | { kind: "stored" }
  /** It is there, or a newer event of its key. */
  | { kind: "there" }
  /** A trigger changes its key, so Spillway would not find it again. */
  | { kind: "other-key" }
  | { kind: "refused"; sqlstate: string | undefined; reason: string };

type TrialStore = Pick<Store, "trial" | "settledAmong">;

/**
 * Returns what would become of each row, in their order; rows that are tried together meet each other's keys. May be repeated.
 * Throws Postgres's answer if it speaks of the server or of the table: then no row is at fault.
 */
export async function tryRows(
  store: TrialStore,
  stream: Stream,
  rows: readonly Row[],
): Promise<TrialOutcome[]> {
  const outcomes = await tryPart(store, stream, rows);
  const unstored = rows.filter((_, i) => outcomes[i]?.kind === "refused");
  if (unstored.length === 0) return outcomes;
  const settled = await store.settledAmong(stream, unstored);
  return outcomes.map((outcome, i) => (settled.has(rows[i] as Row) ? { kind: "there" } : outcome));
}

async function tryPart(store: TrialStore, stream: Stream, rows: readonly Row[]): Promise<TrialOutcome[]> {
  try {
    const verdicts = await store.trial(stream, rows);
    return verdicts.map((verdict) => outcomeOf(stream, verdict));
  } catch (error) {
    const failure = failureOf(error, tableNameOf(stream));
    if (!mayBeOfARow(failure)) throw error;
    await store.trial(stream, []); // throws, too, if the table is at fault
    const { sqlstate, reason } = failure;
    if (rows.length <= 1) return rows.map(() => ({ kind: "refused", sqlstate, reason }));
    const half = Math.ceil(rows.length / 2);
    const first = await tryPart(store, stream, rows.slice(0, half));
    return [...first, ...(await tryPart(store, stream, rows.slice(half)))];
  }
}

const mayBeOfARow = ({ kind, isRaised }: Failure): boolean =>
  isRaised || kind === "timeout" || kind === "too-large";

function outcomeOf(stream: Stream, verdict: Verdict): TrialOutcome {
  if (verdict.kind === "not-inserted") return { kind: "refused", ...SWALLOWED };
  if (verdict.kind !== "refused") return verdict;
  const { sqlstate, names } = verdict;
  return { kind: "refused", sqlstate, reason: reasonOf(sqlstate, names, tableNameOf(stream)) };
}
