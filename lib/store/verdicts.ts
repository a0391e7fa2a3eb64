/**
 * Verdicts on rows that an insert did not store: isolates those that may be at fault, and looks up those that may be there.
 * A failure of Postgres in these statements is not a row's fault: it stops the write, or is returned.
 */
import type { Row } from "../schema/json-row.ts";
import type { Stream } from "../schema/stream.ts";
import type { Verdict } from "./isolate.ts";
import { judgesData, POLICY } from "./judge.ts";
import { type Failure, failureOf, reasonOf } from "./postgres-errors.ts";
import type { Store } from "./store.ts";
import { type Refused, type Step, type Stopped, stop } from "./written.ts";

/** The statements that give verdicts. */
export type VerdictStore = Pick<Store, "present" | "isolate">;

/** Gives each row its verdict, in one round trip; or returns the failure of the block itself. */
export async function isolate<R extends Row>(
  store: VerdictStore,
  stream: Stream,
  rows: readonly R[],
  { sqlstate, isRaised }: Failure,
): Promise<Step<R> | Failure> {
  let verdicts: Verdict[];
  try {
    verdicts = await store.isolate(stream, rows, { raised: isRaised ? sqlstate : undefined });
  } catch (error) {
    return failureOf(error, stream.name);
  }
  const stored = verdicts.filter(({ kind }) => kind === "stored").length;
  const refused = rows.flatMap((row, i) => refusedBy(stream, row, verdicts[i]));
  const missing = rows.filter((_, i) => verdicts[i]?.kind === "not-inserted");
  const there = missing.length > 0 ? await resolveMissing(store, stream, missing, 0) : {};
  const looked = there.stopped || refused.length === 0 ? {} : await lookUp(store, stream, refused);
  const stopped =
    there.stopped ?? looked.stopped ?? (stored === 0 ? tableAtFault(looked.refused ?? []) : undefined);
  return {
    stored: stored + (there.stored ?? 0),
    duplicates: (there.duplicates ?? 0) + (looked.duplicates ?? 0),
    refused: [...(there.refused ?? []), ...(looked.refused ?? [])],
    ...(stopped ? { stopped } : {}),
  };
}

/**
 * No row was stored beside these, so nothing proves that a row is at fault. If the code does not judge data, the table is:
 * no partition for today, a sequence that ran out, a new NOT NULL column, a trigger without its table, no policy.
 */
function tableAtFault<R extends Row>(refused: readonly Refused<R>[]): Stopped | undefined {
  const found = refused.find(({ sqlstate, judgesData: isOfData }) => !isOfData || sqlstate === POLICY);
  return found && { outcome: "misconfigured", sqlstate: found.sqlstate, reason: found.reason };
}

function refusedBy<R extends Row>(stream: Stream, row: R, verdict: Verdict | undefined): Refused<R>[] {
  if (verdict?.kind !== "refused") return [];
  const { sqlstate, names } = verdict;
  const reason = reasonOf(sqlstate, { ...names, table: names.table ?? stream.name });
  return [{ row, sqlstate, reason, judgesData: judgesData(stream, sqlstate, names) }];
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
    return { duplicates: refused.length - absent.length, refused: absent };
  } catch (error) {
    return stopAt(stream, error);
  }
}

/**
 * Tells duplicates from rows that the table swallowed. A row that is not found may be hidden by a policy or a view, so it is
 * inserted once more without ON CONFLICT: 23505 says that it is there.
 */
export async function resolveMissing<R extends Row>(
  store: VerdictStore,
  stream: Stream,
  rows: readonly R[],
  inserted: number,
): Promise<Step<R>> {
  try {
    const byId = new Map(rows.map((row) => [row.id, row]));
    const present = await store.present(stream, [...byId.keys()]);
    const absent = [...byId.values()].filter(({ id }) => !present.has(id));
    if (absent.length === 0) return { stored: inserted, duplicates: rows.length - inserted };
    const verdicts = await store.isolate(stream, absent, { isStrict: true });
    const stored = inserted + verdicts.filter(({ kind }) => kind === "stored").length;
    const refused = absent.flatMap((row, i): Refused<R>[] => {
      const verdict = verdicts[i];
      if (verdict?.kind === "not-inserted")
        return [{ row, sqlstate: undefined, reason: "the table swallowed the row", judgesData: false }];
      const isThere = verdict?.kind === "refused" && verdict.sqlstate === "23505";
      return isThere ? [] : refusedBy(stream, row, verdict).map((one) => ({ ...one, judgesData: false }));
    });
    return { stored, duplicates: rows.length - stored - refused.length, refused };
  } catch (error) {
    return stopAt(stream, error);
  }
}

/** A failure of a statement in which no row can be at fault. */
function stopAt(stream: Stream, error: unknown): { stopped: Stopped } {
  const failure = failureOf(error, stream.name);
  if (failure.kind === "no-answer") return stop("unreachable", failure);
  return stop(
    failure.kind === "refused" || failure.kind === "misconfigured" ? "misconfigured" : "busy",
    failure,
  );
}
