/**
 * Writes rows: one insert if all is well. If Postgres refuses, as few statements as it takes to land every good row and to
 * name each bad one.
 *
 *     refused       ─▶ is the same insert without rows refused, too? Then stop: no row is at fault.
 *                      Else isolate: each row's verdict, in one round trip
 *     fewer stored  ─▶ look the keys up; insert missing rows once more, without ON CONFLICT
 *     conflict      ─▶ three tries, then stop
 *     too large     ─▶ halve; a row alone is refused
 *     timeout       ─▶ halve, but only if the insert without rows succeeds; a row alone is refused
 *     busy          ─▶ stop; isolate, if one row may have caused it
 *     no answer, misconfigured ─▶ stop
 *
 * Before a row is refused it is looked up by its key: a row that is there was stored, whatever the error said. A refusal is no
 * verdict on the event: proof.ts says what proves it.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Row } from "../schema/json-row.ts";
import type { Stream } from "../schema/stream.ts";
import { judgesData, speaksOfTable } from "./judge.ts";
import { type Failure, failureOf } from "./postgres-errors.ts";
import type { Store } from "./store.ts";
import { tableNameOf } from "./stream-table.ts";
import { isolate, lookUp, resolveMissing } from "./verdicts.ts";
import { type Part, type Step, type Stopped, stop, stoppedBy, type Written } from "./written.ts";

/** Tries of an insert that meets a conflict, and the pause before each further one, at most, in milliseconds. */
const CONFLICT_TRIES = 3;
const CONFLICT_PAUSE_MS = 100;

export type WritingStore = Pick<
  Store,
  "insert" | "probe" | "ping" | "settledAmong" | "isolate" | "sizes" | "times"
>;

interface Options<R extends Row> {
  stream: Stream;
  rows: readonly R[];
  store: WritingStore;
  /** Asked before each insert but the first: false abandons the rest (the lease was lost, the deadline is near). */
  canContinue?: () => Promise<boolean>;
  /** Whether an earlier insert of these rows broke the connection: Postgres is asked before whether it answers. */
  isSuspected?: boolean;
  /** Whether the result tells exactly which rows are duplicates. */
  isNaming?: boolean;
}

/** Writes rows in their order; see the module's head. Throws an error that is neither Postgres's nor the network's. */
export async function writeRows<R extends Row>(options: Options<R>): Promise<Written<R>> {
  const { stream, store, canContinue, isSuspected = false, isNaming = false } = options;
  let written: Written<R> = {
    stored: 0,
    duplicates: 0,
    there: [],
    superseded: [],
    refused: [],
    stopped: undefined,
  };
  const outage = isSuspected ? await findOutage(stream, () => store.ping()) : undefined;
  if (outage) return { ...written, ...outage };
  let open: Part<R>[] = options.rows.length > 0 ? [{ rows: options.rows, tries: 0 }] : [];
  for (let isFirst = true; open.length > 0; isFirst = false) {
    const [part, ...rest] = firstWithin(store.sizes.of(stream.name), open as [Part<R>, ...Part<R>[]]);
    if (!isFirst && canContinue && !(await canContinue())) return { ...written, stopped: "abandoned" };
    const step = await writePart(store, stream, part, isNaming);
    written = sumOf(written, step);
    if (step.stopped) return written;
    open = [...(step.next ?? []), ...rest];
  }
  return written;
}

/** Splits the first part if it has more rows than its stream's inserts may have now. */
function firstWithin<R>(limit: number, [first, ...rest]: [Part<R>, ...Part<R>[]]): [Part<R>, ...Part<R>[]] {
  const { rows, tries } = first;
  if (rows.length <= limit) return [first, ...rest];
  return [{ rows: rows.slice(0, limit), tries }, { rows: rows.slice(limit), tries: 0 }, ...rest];
}

function sumOf<R extends Row>(written: Written<R>, step: Step<R>): Written<R> {
  const { stored = 0, duplicates = 0, there = [], superseded = [], refused = [], stopped } = step;
  return {
    stored: written.stored + stored,
    duplicates: written.duplicates + duplicates,
    there: [...written.there, ...there],
    superseded: [...written.superseded, ...superseded],
    refused: [...written.refused, ...refused],
    stopped,
  };
}

async function writePart<R extends Row>(
  store: WritingStore,
  stream: Stream,
  part: Part<R>,
  isNaming: boolean,
): Promise<Step<R>> {
  const startedAtMs = performance.now();
  try {
    const inserted = await store.insert(stream, part.rows, { isNaming });
    const tookMs = performance.now() - startedAtMs;
    store.times.note(tookMs);
    store.sizes.worked(stream.name, part.rows.length, tookMs);
    if (inserted.count === part.rows.length) return { stored: inserted.count };
    return await resolveMissing(store, stream, part.rows, inserted);
  } catch (error) {
    const failure = failureOf(error, tableNameOf(stream));
    if (failure.kind === "timeout") store.times.note(performance.now() - startedAtMs);
    return afterFailure(store, stream, part, failure);
  }
}

async function afterFailure<R extends Row>(
  store: WritingStore,
  stream: Stream,
  part: Part<R>,
  failure: Failure,
): Promise<Step<R>> {
  switch (failure.kind) {
    case "busy":
      return afterTrouble(store, stream, part, failure);
    case "misconfigured":
      return stop("misconfigured", failure);
    case "conflict":
      if (part.tries + 1 >= CONFLICT_TRIES) return stop("busy", failure);
      await sleep(Math.random() * CONFLICT_PAUSE_MS);
      // In the order of their ids two batches that share rows can't wait for each other.
      return { next: [{ rows: sortById(part.rows), tries: part.tries + 1 }] };
    case "too-large":
      return tellApart(store, stream, part, failure);
    case "no-answer":
      return afterSilence(store, stream, part, failure);
    case "timeout": {
      const outage = await findOutage(stream, () => store.probe(stream));
      if (outage) return outage;
      store.sizes.timedOut(stream.name, part.rows.length);
      return tellApart(store, stream, part, failure);
    }
    case "refused":
      return (
        (await findOutage(stream, () => store.probe(stream))) ?? isolatePart(store, stream, part, failure)
      );
  }
}

/** Codes of the server's that one row can cause: an internal error, a limit of the role, a file that its trigger asks for. */
const MAY_BE_A_ROWS = ["XX000", "53400", "58P01"];

/**
 * The server is in trouble: stop. But if one row may have caused it, and others can be stored, that one is refused, and nothing more is
 * said of it than that.
 */
async function afterTrouble<R extends Row>(
  store: WritingStore,
  stream: Stream,
  part: Part<R>,
  failure: Failure,
): Promise<Step<R>> {
  if (failure.sqlstate === undefined || !MAY_BE_A_ROWS.includes(failure.sqlstate))
    return stop("busy", failure);
  if (part.rows.length === 1) return refuseAlone(store, stream, part, failure);
  const outcome = await isolate(store, stream, part.rows, failure, { isCaught: true });
  return "kind" in outcome || !outcome.stored ? stop("busy", failure) : outcome;
}

/**
 * The connection broke, or nothing came back: an outage, as a rule. But a row that kills its backend looks the same, and it
 * restarts the whole server. So the rows are suspicious, and whoever writes them finds out by trying them last, and alone.
 * If Postgres answers again, all of them may be there: then only the reply was lost.
 */
async function afterSilence<R extends Row>(
  store: WritingStore,
  stream: Stream,
  { rows }: Part<R>,
  failure: Failure,
): Promise<Step<R>> {
  let areThere = false;
  const outage = await findOutage(stream, async () => {
    await store.ping();
    areThere = (await store.settledAmong(stream, rows)).size === rows.length;
  });
  if (areThere) return { duplicates: rows.length }; // most are there since just now, and nobody knows which were before
  const { stopped } = outage ?? stop("busy", failure);
  return { stopped: { ...stopped, isSuspicious: !failure.isThrottled && !failure.isUnsent } };
}

/** Runs a statement that no row can make fail; if it fails, no row is at fault in what failed before, either. */
async function findOutage(
  stream: Stream,
  run: () => Promise<unknown>,
): Promise<{ stopped: Stopped } | undefined> {
  try {
    await run();
    return undefined;
  } catch (error) {
    return { stopped: stoppedBy(error, tableNameOf(stream)) };
  }
}

/** Halves a part; a row alone is refused. */
async function tellApart<R extends Row>(
  store: WritingStore,
  stream: Stream,
  part: Part<R>,
  failure: Failure,
): Promise<Step<R>> {
  return part.rows.length > 1 ? { next: halves(part) } : refuseAlone(store, stream, part, failure);
}

/** The sort is stable: of two rows under one id the first stays the first. */
const sortById = <R extends Row>(rows: readonly R[]): R[] =>
  [...rows].sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));

function halves<R>({ rows }: Part<R>): Part<R>[] {
  const half = Math.ceil(rows.length / 2);
  return [
    { rows: rows.slice(0, half), tries: 0 },
    { rows: rows.slice(half), tries: 0 },
  ];
}

async function refuseAlone<R extends Row>(
  store: WritingStore,
  stream: Stream,
  { rows }: Part<R>,
  { kind, sqlstate, reason, names, isRaised }: Failure,
): Promise<Step<R>> {
  const isItsSize = kind === "too-large";
  const judges = isItsSize || (kind === "refused" && (isRaised || judgesData(stream, sqlstate ?? "", names)));
  return lookUp(
    store,
    stream,
    rows.map((row) => ({
      ...{ row, sqlstate, reason, judgesData: judges, isWitnessed: isItsSize },
      speaksOfTable: !isItsSize && !isRaised && speaksOfTable(sqlstate ?? "", names),
    })),
  );
}

async function isolatePart<R extends Row>(
  store: WritingStore,
  stream: Stream,
  part: Part<R>,
  failure: Failure,
): Promise<Step<R>> {
  const outcome = await isolate(store, stream, part.rows, failure);
  if (!("kind" in outcome)) return outcome;
  // No block may run here (no plpgsql, for instance): halve; a row alone is refused.
  if (outcome.kind === "refused") return tellApart(store, stream, part, failure);
  return afterFailure(store, stream, part, outcome);
}
