/**
 * Writes rows: one insert if all is well. If Postgres refuses, as few statements as it takes to land every good row and to
 * name each bad one.
 *
 *     refused       ─▶ is the same insert without rows refused, too? Then stop: no row is at fault.
 *                      Else isolate: each row's verdict, in one round trip
 *     fewer stored  ─▶ look the ids up; insert missing rows once more, without ON CONFLICT
 *     conflict      ─▶ three tries, then stop
 *     too large     ─▶ halve; a row alone is refused
 *     timeout       ─▶ halve, but only if the insert without rows succeeds; a row alone gets three tries
 *     no answer     ─▶ the same, if Postgres answers at all; else stop
 *     busy, misconfigured ─▶ stop
 *
 * Before a row is refused it is looked up by its key: a row that is there was stored, whatever the error said.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Row } from "../schema/json-row.ts";
import type { Stream } from "../schema/stream.ts";
import { type Failure, failureOf } from "./postgres-errors.ts";
import type { Store } from "./store.ts";
import { isolate, lookUp, resolveMissing } from "./verdicts.ts";
import { type Part, type Step, type Stopped, stop, stoppedBy, type Written } from "./written.ts";

/** Tries that a row alone gets if it is unclear who is at fault. */
const ALONE_TRIES = 3;
/** Tries of an insert that meets a conflict, and the pause before each further one, at most, in milliseconds. */
const CONFLICT_TRIES = 3;
const CONFLICT_PAUSE_MS = 100;

type WritingStore = Pick<Store, "insert" | "probe" | "ping" | "present" | "isolate">;

interface Options<R extends Row> {
  stream: Stream;
  rows: readonly R[];
  store: WritingStore;
  /** Asked before each insert but the first: false abandons the rest (the lease was lost, the deadline is near). */
  canContinue?: () => Promise<boolean>;
}

/** Writes rows in their order; see the module's head. Throws an error that is neither Postgres's nor the network's. */
export async function writeRows<R extends Row>(options: Options<R>): Promise<Written<R>> {
  const { stream, store, canContinue } = options;
  let written: Written<R> = { stored: 0, duplicates: 0, refused: [], stopped: undefined };
  let open: Part<R>[] = options.rows.length > 0 ? [{ rows: options.rows, tries: 0 }] : [];
  for (let isFirst = true; open.length > 0; isFirst = false) {
    const [part, ...rest] = open as [Part<R>, ...Part<R>[]];
    if (!isFirst && canContinue && !(await canContinue())) return { ...written, stopped: "abandoned" };
    const step = await writePart(store, stream, part);
    written = {
      stored: written.stored + (step.stored ?? 0),
      duplicates: written.duplicates + (step.duplicates ?? 0),
      refused: [...written.refused, ...(step.refused ?? [])],
      stopped: step.stopped,
    };
    if (step.stopped) return written;
    open = [...(step.next ?? []), ...rest];
  }
  return written;
}

async function writePart<R extends Row>(
  store: WritingStore,
  stream: Stream,
  part: Part<R>,
): Promise<Step<R>> {
  try {
    const inserted = await store.insert(stream, part.rows);
    if (inserted === part.rows.length) return { stored: inserted };
    return await resolveMissing(store, stream, part.rows, inserted);
  } catch (error) {
    return afterFailure(store, stream, part, failureOf(error, stream.name));
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
    case "misconfigured":
      return stop(failure.kind, failure);
    case "conflict":
      if (part.tries + 1 >= CONFLICT_TRIES) return stop("busy", failure);
      await sleep(Math.random() * CONFLICT_PAUSE_MS);
      return { next: [{ ...part, tries: part.tries + 1 }] };
    case "too-large":
      return part.rows.length > 1 ? { next: halves(part) } : refuseAlone(store, stream, part, failure, true);
    case "no-answer": {
      const outage = await findOutage(stream, () => store.ping());
      // Postgres itself ended the connection (57P01, for instance): that is nobody's fault, even if it answers again.
      return outage ?? (failure.sqlstate ? stop("busy", failure) : tellApart(store, stream, part, failure));
    }
    case "timeout":
      return (await findOutage(stream, () => store.probe(stream))) ?? tellApart(store, stream, part, failure);
    case "refused":
      return (
        (await findOutage(stream, () => store.probe(stream))) ?? isolatePart(store, stream, part, failure)
      );
  }
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
    return { stopped: stoppedBy(error, stream.name) };
  }
}

/** Halves a part; a row alone gets some tries, and is then refused without proof. */
async function tellApart<R extends Row>(
  store: WritingStore,
  stream: Stream,
  part: Part<R>,
  failure: Failure,
): Promise<Step<R>> {
  if (part.rows.length > 1) return { next: halves(part) };
  if (part.tries + 1 < ALONE_TRIES) return { next: [{ ...part, tries: part.tries + 1 }] };
  return refuseAlone(store, stream, part, failure, false);
}

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
  { sqlstate, reason }: Failure,
  judgesItsData: boolean,
): Promise<Step<R>> {
  return lookUp(
    store,
    stream,
    rows.map((row) => ({ row, sqlstate, reason, judgesData: judgesItsData })),
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
  if (outcome.kind === "refused") return tellApart(store, stream, { ...part, tries: ALONE_TRIES }, failure);
  return afterFailure(store, stream, part, outcome);
}
