/**
 * Tries held letters again, after the buffer was drained: they are in nobody's way. A letter whose row is stored is gone; one
 * that is refused with proof is dead; any other stays held, with a longer pause.
 *
 * If a page of letters settles none, the stream's other letters are left for the next call: the table is probably still at
 * fault. If one stores something, the letters that were held for the same reasons are tried at once.
 */
import type { HeldNote } from "../buffer/held-note.ts";
import type { Pause } from "../buffer/pauses.ts";
import type { Stream } from "../schema/stream.ts";
import { sayStopped } from "../store/say-stopped.ts";
import { stoppedBy } from "../store/written.ts";
import type { DrainCall, DrainDeps } from "./drain-call.ts";
import { type DrainOutcome, outcomeOfStop } from "./drain-report.ts";
import { retryNextAlone } from "./retry-alone.ts";
import { NO_LETTER, type PageResult, retryPage } from "./retry-page.ts";

/** Letters of streams that are not drained now are looked at again after so many milliseconds. */
const LOOK_AGAIN_MS = 3_600_000;
/** No pause is longer: a note of a later time is not ours, or of a clock that was wrong. */
const PAUSE_MAX_MS = 3_600_000;

/** What became of a stream's held letters in one drain call. */
export interface RetryReport {
  stream: string;
  stored: number;
  dead: number;
  outcome: DrainOutcome;
}

/**
 * Tries the held letters that are due, of the streams named, and notes in Redis when the next one is. Those of a paused stream are left
 * alone: the pauses are read before the letters are tried, before they are tried alone, and after each page of a stream. A failure of Postgres is
 * an outcome of its stream, and the next call tries again. Throws what Redis's client throws, and errors of our own.
 */
export async function retryHeld(
  deps: DrainDeps,
  call: DrainCall,
  names: readonly string[],
  note: HeldNote,
): Promise<RetryReport[]> {
  const { store, streams, now, release, pauses } = deps;
  const isNewRelease = note.release !== undefined && note.release !== release;
  const isLater = note.dueAtMs > now() && note.dueAtMs <= now() + LOOK_AGAIN_MS + PAUSE_MAX_MS;
  if (!isNewRelease && isLater) return [];
  const drained = [...streams.values()].filter(({ name }) => !deps.paused.has(name));
  const asked = drained.filter(({ name }) => names.includes(name));
  const paused = await pauses.find(drained.map(({ name }) => name));
  const hastened = isNewRelease
    ? await Promise.all(drained.map((one) => attempt(deps, one, () => store.hastenHeld(one.name))))
    : [];
  const together = await Promise.all(
    without(asked, paused).map((one) =>
      attempt(deps, one, () => retryStream(deps, call, one, retryNextPage)),
    ),
  );
  const alone: (RetryReport | undefined)[] = [];
  for (const one of await stillDrained(deps, asked))
    alone.push(await attempt(deps, one, () => retryStream(deps, call, one, retryNextAlone)));
  const reports = [...hastened, ...together, ...alone].filter((one) => one !== undefined);
  const isAnswered = reports.every(({ outcome }) => outcome !== "unavailable");
  const [first] = drained;
  if (isAnswered && first) await attempt(deps, first, () => noteNext(deps, note, drained, paused));
  return reports;
}

/** Those that are not paused by now; none if Redis does not say, and the next call goes on. */
async function stillDrained({ pauses }: DrainDeps, streams: readonly Stream[]): Promise<Stream[]> {
  const paused = await pauses.find(streams.map(({ name }) => name)).catch(() => undefined);
  return paused === undefined ? [] : without(streams, paused);
}

const without = (streams: readonly Stream[], paused: ReadonlyMap<string, Pause>): Stream[] =>
  streams.filter(({ name }) => !paused.has(name));

/** Runs work on a stream's letters; if Postgres fails, says why, and makes a report of it. */
async function attempt(
  deps: DrainDeps,
  stream: Stream,
  // biome-ignore lint/suspicious/noConfusingVoidType: a statement that reports nothing is work, too
  work: () => Promise<RetryReport | void>,
): Promise<RetryReport | undefined> {
  try {
    return (await work()) ?? undefined;
  } catch (error) {
    const { sqlstate: _ofLetters, ...stopped } = stoppedBy(error);
    const { outcome } = await sayStopped(deps, stream, {}, { ...stopped, sqlstate: undefined });
    return { stream: stream.name, stored: 0, dead: 0, outcome: outcomeOfStop(outcome) };
  }
}

/** Notes when the next letter is due. Letters of paused streams alone are looked at once an hour, and when a pause ends. */
async function noteNext(
  { heldNotes, store, streams, release }: DrainDeps,
  note: HeldNote,
  drained: readonly Stream[],
  paused: ReadonlyMap<string, Pause>,
): Promise<void> {
  const inMs = await store.nextHeldInMs(without(drained, paused).map(({ name }) => name));
  const isHeldElsewhere = inMs === undefined && (await store.nextHeldInMs([...streams.keys()])) !== undefined;
  const nextInMs = isHeldElsewhere ? LOOK_AGAIN_MS : inMs;
  const endsInMs = [...paused.values()].map((pause) => pause.endsInMs ?? LOOK_AGAIN_MS);
  const dueInMs = nextInMs === undefined ? undefined : Math.min(nextInMs, ...endsInMs);
  await heldNotes.settle(note, dueInMs, release);
}

/** Tries a stream's held letters, page by page, each in the stream's turn. */
async function retryStream(
  deps: DrainDeps,
  call: DrainCall,
  stream: Stream,
  retryNext: typeof retryNextAlone,
): Promise<RetryReport> {
  const { name } = stream;
  const report: RetryReport = { stream: name, stored: 0, dead: 0, outcome: "empty" };
  const refusedIds: string[] = [];
  for (;;) {
    if (call.isUnreachable || call.isWaiting(name) || call.isStopping) return report;
    const page = await deps.slots.run(name, () => retryNext(deps, call, stream));
    if (page === "blocked") return report;
    report.stored += page.stored;
    report.dead += page.dead;
    if (page.stored + page.dead > 0)
      deps.live?.note({ kind: "retried", stream: name, stored: page.stored, dead: page.dead });
    if (page.outcome !== "empty") report.outcome = page.outcome;
    refusedIds.push(...page.refusedIds);
    if (page.isStopped || page.stored + page.dead === 0 || call.isOver) return report;
    if ((await stillDrained(deps, [stream])).length === 0) return report;
    if (page.mendedReasons.length > 0)
      await deps.store.hastenHeld(name, { reasons: page.mendedReasons, except: refusedIds });
  }
}

/** Takes the next page of letters, and tries them together. */
async function retryNextPage(deps: DrainDeps, call: DrainCall, stream: Stream): Promise<PageResult> {
  const letters = await deps.store.takeHeld(stream, deps.batchMaxRows);
  return letters.length === 0 ? NO_LETTER : retryPage(deps, call, stream, letters, { isAlone: false });
}
