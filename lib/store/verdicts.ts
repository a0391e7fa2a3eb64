/**
 * Verdicts on rows that an insert did not store: isolates those that may be at fault, and looks up those that may be there.
 * A failure of Postgres in these statements is not a row's fault: it stops the write, or is returned.
 */
import type { Row } from "../schema/json-row.ts";
import { keyRecordOf } from "../schema/key-record.ts";
import type { Stream } from "../schema/stream.ts";
import type { Inserted } from "./insert.ts";
import type { Verdict } from "./isolate.ts";
import { judgesData, speaksOfTable } from "./judge.ts";
import { type Failure, failureOf, reasonOf } from "./postgres-errors.ts";
import type { Store } from "./store.ts";
import { tableNameOf } from "./stream-table.ts";
import { type Refused, type Step, stoppedBy } from "./written.ts";

/** The statements that give verdicts. */
export type VerdictStore = Pick<Store, "settledAmong" | "isolate">;

/**
 * Gives each row its verdict, in one round trip; or returns the failure of the block itself. `sqlstate` is a verdict on a row, too, if
 * a RAISE of the user's gave it, or with `isCaught`.
 */
export async function isolate<R extends Row>(
  store: VerdictStore,
  stream: Stream,
  rows: readonly R[],
  { sqlstate, isRaised }: Failure,
  { isCaught = false } = {},
): Promise<Step<R> | Failure> {
  let verdicts: Verdict[];
  try {
    verdicts = await store.isolate(stream, rows, { caught: isRaised || isCaught ? sqlstate : undefined });
  } catch (error) {
    return failureOf(error, tableNameOf(stream));
  }
  const stored = verdicts.filter(({ kind }) => kind === "stored").length;
  const refused = rows.flatMap((row, i) =>
    refusedBy(stream, row, verdicts[i], isRaised ? sqlstate : undefined),
  );
  const missing = rows.filter((_, i) => verdicts[i]?.kind === "not-inserted");
  const there = missing.length > 0 ? await resolveMissing(store, stream, missing, { count: 0 }) : {};
  const looked = there.stopped || refused.length === 0 ? {} : await lookUp(store, stream, refused);
  const stopped = there.stopped ?? looked.stopped;
  return {
    stored: stored + (there.stored ?? 0),
    duplicates: (there.duplicates ?? 0) + (looked.duplicates ?? 0),
    there: [...(there.there ?? []), ...(looked.there ?? [])],
    superseded: [...(there.superseded ?? []), ...(looked.superseded ?? [])],
    refused: [...besideStored(stored, there.refused ?? []), ...(looked.refused ?? [])],
    ...(stopped ? { stopped } : {}),
  };
}

/**
 * Rows that were stored beside those that the table swallowed. They are weak witnesses, because they were stored by another statement, or
 * before: nothing that is swallowed counts as its data's fault.
 */
const besideStored = <R extends Row>(stored: number, swallowed: readonly Refused<R>[]): Refused<R>[] =>
  swallowed.map((one) => ({ ...one, isWitnessed: one.isWitnessed || stored > 0 }));

/** The refusal of a row. `raised`: a SQLSTATE that a RAISE of the user's gave, which judges data whatever its class. */
function refusedBy<R extends Row>(
  stream: Stream,
  row: R,
  verdict: Verdict | undefined,
  raised?: string,
): Refused<R>[] {
  if (verdict?.kind !== "refused") return [];
  const { sqlstate, names, isWitnessed } = verdict;
  const reason = reasonOf(sqlstate, names, tableNameOf(stream));
  const isRaised = sqlstate === raised;
  return [
    {
      ...{ row, sqlstate, reason, isWitnessed },
      judgesData: isRaised || judgesData(stream, sqlstate, names),
      speaksOfTable: !isRaised && speaksOfTable(sqlstate, names),
    },
  ];
}

/** A refused row that is there was stored by an earlier try: it is a duplicate, whatever the error said. */
export async function lookUp<R extends Row>(
  store: VerdictStore,
  stream: Stream,
  refused: readonly Refused<R>[],
): Promise<Step<R>> {
  try {
    const rows = refused.map(({ row }) => row);
    const settled = await store.settledAmong(stream, rows);
    const there = rows.filter((row) => settled.get(row) === "stored");
    const superseded = rows.filter((row) => settled.get(row) === "superseded");
    const open = refused.filter(({ row }) => !settled.has(row));
    return { duplicates: there.length, there, superseded, refused: open };
  } catch (error) {
    return { stopped: stoppedBy(error, tableNameOf(stream)) };
  }
}

/**
 * Tells duplicates from rows that the table swallowed. A row that is not found may be hidden by a policy or a view, so the first
 * of its copies is inserted once more without ON CONFLICT: 23505 of its own table says that it is there. A refusal is every copy's.
 */
export async function resolveMissing<R extends Row>(
  store: VerdictStore,
  stream: Stream,
  rows: readonly R[],
  { count, written, settled: known }: Inserted<R>,
): Promise<Step<R>> {
  try {
    const settled = known ?? (await store.settledAmong(stream, rows));
    const superseded = rows.filter((row) => settled.get(row) === "superseded" && !written?.has(row));
    const missing = rows.filter((row) => !settled.has(row) && !written?.has(row));
    const firstOf = firstCopies(stream, missing);
    const absent = [...new Set(firstOf.values())];
    const there = rows.filter((row) => settled.get(row) !== "superseded" && !written?.has(row));
    if (absent.length === 0)
      return { stored: count, duplicates: rows.length - count - superseded.length, there, superseded };
    const verdicts = await store.isolate(stream, absent, { isStrict: true });
    const storedNow = new Set(absent.filter((_, i) => verdicts[i]?.kind === "stored"));
    const stored = count + storedNow.size;
    const notStored = new Map(
      absent.flatMap((row, i) => notThere(stream, row, verdicts[i]).map((one) => [row, one])),
    );
    const refused = missing.flatMap((row) => {
      const one = notStored.get(firstOf.get(row) as R);
      return one === undefined ? [] : [{ ...one, row }];
    });
    const isRefused = new Set(refused.map(({ row }) => row));
    return {
      stored,
      duplicates: rows.length - stored - superseded.length - refused.length,
      there: there.filter((row) => !storedNow.has(row) && !isRefused.has(row)),
      superseded,
      refused: besideStored(stored, refused),
    };
  } catch (error) {
    return { stopped: stoppedBy(error, tableNameOf(stream)) };
  }
}

/** The first copy of each row's event. Under one id there may be two events, if they have two keys. */
function firstCopies<R extends Row>(stream: Stream, rows: readonly R[]): Map<R, R> {
  const first = new Map<string, R>();
  return new Map(
    rows.map((row) => {
      const event = `${row.id} ${keyRecordOf(stream, row)}`;
      const copy = first.get(event) ?? row;
      first.set(event, copy);
      return [row, copy];
    }),
  );
}

/** The insert succeeded, and the row is nowhere. */
export const SWALLOWED = { sqlstate: undefined, reason: "the table swallowed the row" };

/** The refusal of a row by the strict insert; none if it was stored now, or is there (23505). */
function notThere<R extends Row>(stream: Stream, row: R, verdict: Verdict | undefined): Refused<R>[] {
  if (verdict?.kind === "not-inserted") return [{ row, ...SWALLOWED, judgesData: false, isWitnessed: false }];
  // A key of another table, into which a trigger writes, says nothing of this one.
  const isThere =
    verdict?.kind === "refused" && verdict.sqlstate === "23505" && verdict.names.table === undefined;
  // Where the newest wins, an older event of the key is there, and the table does not let it be replaced.
  if (isThere && stream.key.newest !== undefined)
    return [{ row, ...SWALLOWED, judgesData: false, isWitnessed: false }];
  return isThere ? [] : refusedBy(stream, row, verdict).map((one) => ({ ...one, judgesData: false }));
}
