/**
 * Tries held letters again, after the buffer was drained: they are in nobody's way. A letter whose row is stored is gone; one
 * that is refused with proof is dead; any other stays held, with a longer pause.
 *
 * If a page of letters settles none, the stream's other letters are left for the next call: the table is probably still at
 * fault. If one stores something, the letters that were held for the same reasons are tried at once.
 */
import type { HeldNote } from "../buffer/held-note.ts";
import type { Stream } from "../schema/stream.ts";
import { stoppedBy } from "../store/written.ts";
import type { DrainCall, DrainDeps } from "./drain-call.ts";
import type { DrainOutcome } from "./drain-report.ts";
import { retryAlone } from "./retry-alone.ts";
import { retryPage } from "./retry-page.ts";

/** Letters of streams that are not drained now are looked at again after so many milliseconds. */
const LOOK_AGAIN_MS = 3_600_000;

/** What became of a stream's held letters in one drain call. */
export interface RetryReport {
  stream: string;
  stored: number;
  dead: number;
  outcome: DrainOutcome;
}

/**
 * Tries the held letters that are due, of the streams named, and says when the next one is. Throws what Redis's client throws,
 * and errors of our own.
 */
export async function retryHeld(
  deps: DrainDeps,
  call: DrainCall,
  names: readonly string[],
  note: HeldNote,
): Promise<RetryReport[]> {
  const { heldNotes, store, streams, now, release, paused } = deps;
  const isNewRelease = note.release !== undefined && note.release !== release;
  if (!isNewRelease && note.dueAtMs > now()) return [];
  const all = [...streams.keys()];
  const drained = all.filter((name) => !paused.has(name));
  try {
    if (isNewRelease) for (const name of drained) await store.hastenHeld(name);
    const asked = names.flatMap((name) => streams.get(name) ?? []);
    const together = await Promise.all(asked.map((stream) => retryStream(deps, call, stream)));
    const alone: RetryReport[] = [];
    for (const stream of asked) alone.push(await retryAlone(deps, call, stream));
    const reports = [...together, ...alone];
    const inMs = await store.nextHeldInMs(drained);
    const laterMs = inMs === undefined && (await store.nextHeldInMs(all)) !== undefined;
    await heldNotes.settle(note, laterMs ? LOOK_AGAIN_MS : inMs, release);
    return reports;
  } catch (error) {
    stoppedBy(error); // Postgres gave no answer: the note stays as it is, and the next call tries again
    return [];
  }
}

/** Tries a stream's held letters, page by page. */
async function retryStream(deps: DrainDeps, call: DrainCall, stream: Stream): Promise<RetryReport> {
  const { store, slots, batchMaxRows } = deps;
  const { name } = stream;
  const report: RetryReport = { stream: name, stored: 0, dead: 0, outcome: "empty" };
  const refusedIds: string[] = [];
  for (;;) {
    if (call.isUnreachable || call.isWaiting(name) || call.isStopping) return report;
    const letters = await store.takeHeld(stream, batchMaxRows);
    if (letters.length === 0) return report;
    const page = await slots.run(name, () => retryPage(deps, call, stream, letters, { isAlone: false }));
    if (page === "blocked") return report;
    report.stored += page.stored;
    report.dead += page.dead;
    if (page.outcome !== "empty") report.outcome = page.outcome;
    refusedIds.push(...page.refusedIds);
    if (page.isStopped || page.stored + page.dead === 0 || call.isOver) return report;
    if (page.mendedReasons.length > 0)
      await store.hastenHeld(name, { reasons: page.mendedReasons, except: refusedIds });
  }
}
