/**
 * Writes a batch: one insert when all is well; when Postgres refuses, as many as it takes to land every good
 * row and name each bad one. The drain buries the refused; write-through answers with them.
 *
 *     row's fault  ─▶ bisect at once; a row alone is refused
 *     unclear      ─▶ halve, but only where the same insert with no rows succeeds; a row alone gets three tries
 *     no answer    ─▶ the same when that empty insert succeeds, else stop: nothing is anybody's fault
 *     unreachable  ─▶ stop
 *     misconfigured ─▶ stop
 */

import type { Row } from "../schema/json-row.ts";
import type { Stream } from "../schema/stream.ts";
import {
  type Failure,
  failureOf,
  type StoppingFailure,
  stoppingFailureOf,
  stops,
} from "./postgres-errors.ts";
import type { Store } from "./store.ts";

/** A row that Postgres refused, and why. */
export interface Refused<R extends Row = Row> {
  row: R;
  sqlstate: string | undefined;
  reason: string;
}

/** What became of a batch. Where `stopped` is set, rows not counted are undecided: write them again. */
export interface Written<R extends Row = Row> {
  stored: number;
  duplicates: number;
  refused: Refused<R>[];
  stopped: StoppingFailure | "abandoned" | undefined;
}

/** Tries that a row alone gets when its refusal is unclear. */
const ALONE_TRIES = 3;

interface Options<R extends Row> {
  stream: Stream;
  rows: readonly R[];
  store: Pick<Store, "insert" | "probe">;
  /** Asked before each insert but the first: false abandons the rest (the lease was lost, the deadline is near). */
  canContinue?: () => Promise<boolean>;
}

/** Writes rows in their order; see the module's table. Throws nothing that a store throws. */
export async function writeRows<R extends Row>({
  stream,
  rows,
  store,
  canContinue,
}: Options<R>): Promise<Written<R>> {
  const written: Written<R> = { stored: 0, duplicates: 0, refused: [], stopped: undefined };
  const open = rows.length > 0 ? [{ rows, tries: 0 }] : [];
  let isFirst = true;
  for (let part = open.pop(); part !== undefined; part = open.pop()) {
    if (!isFirst && canContinue && !(await canContinue())) return { ...written, stopped: "abandoned" };
    isFirst = false;
    const failure = await insertOnce(part.rows);
    if (failure === undefined) continue;
    const verdict = await judge(store, stream, failure);
    if (stops(verdict)) return { ...written, stopped: verdict };
    open.push(...next(part, verdict));
  }
  return written;

  async function insertOnce(part: readonly R[]): Promise<Failure | undefined> {
    try {
      const inserted = await store.insert(stream, part);
      written.stored += inserted;
      written.duplicates += part.length - inserted;
      return undefined;
    } catch (error) {
      return failureOf(error);
    }
  }

  /** The parts to write instead of one that failed, the first of them last. */
  function next(part: { rows: readonly R[]; tries: number }, failure: Failure) {
    const [row] = part.rows;
    if (row !== undefined && part.rows.length === 1) {
      if (failure.outcome === "unclear" && part.tries + 1 < ALONE_TRIES)
        return [{ rows: part.rows, tries: part.tries + 1 }];
      written.refused.push({ row, sqlstate: failure.sqlstate, reason: failure.reason });
      return [];
    }
    const half = Math.ceil(part.rows.length / 2);
    return [
      { rows: part.rows.slice(half), tries: 0 },
      { rows: part.rows.slice(0, half), tries: 0 },
    ];
  }
}

/**
 * Whether a failure is the rows' or the time's. Rows are blamed for an unclear failure, or for no answer, only while
 * the same insert with no rows succeeds (it takes the same locks on the same table).
 */
async function judge(store: Pick<Store, "probe">, stream: Stream, failure: Failure): Promise<Failure> {
  const isSaid = failure.outcome !== "unclear" && failure.sqlstate !== undefined;
  if (isSaid) return failure; // Postgres itself said whose fault it is
  try {
    await store.probe(stream);
    return { ...failure, outcome: "unclear" };
  } catch (error) {
    return stoppingFailureOf(error);
  }
}
