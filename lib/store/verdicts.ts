/**
 * Verdicts on rows that an insert did not store: isolates those that may be at fault, and looks up those that may be there.
 * A failure of Postgres in these statements is not a row's fault: it stops the write, or is returned.
 */
import type { Row } from "../schema/json-row.ts";
import type { Stream } from "../schema/stream.ts";
import type { Verdict } from "./isolate.ts";
import { judgesData, speaksOfTable } from "./judge.ts";
import { type Failure, failureOf, reasonOf } from "./postgres-errors.ts";
import type { Store } from "./store.ts";
import { type Refused, type Step, stoppedBy } from "./written.ts";

/** The statements that give verdicts. */
export type VerdictStore = Pick<Store, "present" | "isolate">;

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
    return failureOf(error, stream.name);
  }
  const stored = verdicts.filter(({ kind }) => kind === "stored").length;
  const refused = rows.flatMap((row, i) =>
    refusedBy(stream, row, verdicts[i], isRaised ? sqlstate : undefined),
  );
  const missing = rows.filter((_, i) => verdicts[i]?.kind === "not-inserted");
  const there = missing.length > 0 ? await resolveMissing(store, stream, missing, 0) : {};
  const looked = there.stopped || refused.length === 0 ? {} : await lookUp(store, stream, refused);
  const stopped = there.stopped ?? looked.stopped;
  return {
    stored: stored + (there.stored ?? 0),
    duplicates: (there.duplicates ?? 0) + (looked.duplicates ?? 0),
    there: [...(there.there ?? []), ...(looked.there ?? [])],
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
  const reason = reasonOf(sqlstate, names, stream.name);
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
    const present = await store.present(
      stream,
      refused.map(({ row }) => row.id),
    );
    const absent = refused.filter(({ row }) => !present.has(row.id));
    const there = refused.flatMap(({ row }) => (present.has(row.id) ? [row] : []));
    return { duplicates: there.length, there, refused: absent };
  } catch (error) {
    return { stopped: stoppedBy(error, stream.name) };
  }
}

/**
 * Tells duplicates from rows that the table swallowed. A row that is not found may be hidden by a policy or a view, so the first
 * of its copies is inserted once more without ON CONFLICT: 23505 says that it is there. A refusal is every copy's. `inserted`: how many
 * rows were new, or their ids.
 */
export async function resolveMissing<R extends Row>(
  store: VerdictStore,
  stream: Stream,
  rows: readonly R[],
  inserted: number | ReadonlySet<string>,
): Promise<Step<R>> {
  try {
    const count = typeof inserted === "number" ? inserted : inserted.size;
    const firstById = new Map<string, R>();
    for (const row of rows) if (!firstById.has(row.id)) firstById.set(row.id, row);
    const present = await store.present(stream, [...firstById.keys()]);
    const absent = [...firstById.values()].filter(({ id }) => !present.has(id));
    /** Of the copies of a row that was new, the first is the one that is stored. */
    const isNew = (row: R) =>
      typeof inserted !== "number" && inserted.has(row.id) && firstById.get(row.id) === row;
    const there = rows.filter((row) => !isNew(row));
    if (absent.length === 0) return { stored: count, duplicates: rows.length - count, there };
    const verdicts = await store.isolate(stream, absent, { isStrict: true });
    const storedNow = new Set(absent.filter((_, i) => verdicts[i]?.kind === "stored"));
    const stored = count + storedNow.size;
    const refusedById = new Map(
      absent.flatMap((row, i) => notThere(stream, row, verdicts[i]).map((one) => [row.id, one])),
    );
    const refused = rows.flatMap((row) => {
      const one = refusedById.get(row.id);
      return one === undefined ? [] : [{ ...one, row }];
    });
    return {
      stored,
      duplicates: rows.length - stored - refused.length,
      there: there.filter((row) => !storedNow.has(row) && !refusedById.has(row.id)),
      refused: besideStored(stored, refused),
    };
  } catch (error) {
    return { stopped: stoppedBy(error, stream.name) };
  }
}

/** The insert succeeded, and the row is nowhere. */
export const SWALLOWED = { sqlstate: undefined, reason: "the table swallowed the row" };

/** The refusal of a row by the strict insert; none if it was stored now, or is there (23505). */
function notThere<R extends Row>(stream: Stream, row: R, verdict: Verdict | undefined): Refused<R>[] {
  if (verdict?.kind === "not-inserted") return [{ row, ...SWALLOWED, judgesData: false, isWitnessed: false }];
  const isThere = verdict?.kind === "refused" && verdict.sqlstate === "23505";
  return isThere ? [] : refusedBy(stream, row, verdict).map((one) => ({ ...one, judgesData: false }));
}
