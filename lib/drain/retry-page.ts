/**
 * One page of held letters: written like a batch, and each letter's verdict noted in `dead_letters`. A letter that may break the
 * connection is a page of its own.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { decodeEnvelope } from "../schema/envelope.ts";
import { type Row, rowOf } from "../schema/json-row.ts";
import type { Stream } from "../schema/stream.ts";
import type { HeldLetter, HeldVerdict } from "../store/held-letters.ts";
import { BREAKS, isLetterOf } from "../store/letter.ts";
import { isProven, pointsAtTable } from "../store/proof.ts";
import { sayStopped } from "../store/say-stopped.ts";
import { writeRows } from "../store/write-rows.ts";
import { isBlockedBy, type Refused, type Stopped, stoppedBy } from "../store/written.ts";
import type { DrainCall, DrainDeps } from "./drain-call.ts";
import type { DrainOutcome } from "./drain-report.ts";

/** If a letter is held for longer, and nothing witnesses against it, its table is said to be at fault. In milliseconds. */
const DOUBTED_AFTER_MS = 600_000;

/** Postgres needs a second or two to start again after a crash. */
const NOTE_TRIES = 6;
const NOTE_PAUSE_MS = 1000;

type Why = Omit<Refused, "row">;

export interface PageResult {
  stored: number;
  dead: number;
  outcome: DrainOutcome;
  /** Whether Postgres or the table has to be waited for. */
  isStopped: boolean;
  /** For the slots. */
  isBlocked: boolean | undefined;
  refusedIds: string[];
  /** The reasons for which the letters had been held that are stored now. */
  mendedReasons: string[];
}

/** The result if no letter is due. */
export const NO_LETTER: PageResult = {
  ...{ stored: 0, dead: 0, outcome: "empty", isStopped: false, isBlocked: undefined },
  ...{ refusedIds: [], mendedReasons: [] },
};

/** Tries letters that were taken up, and settles them. Throws what the store throws while it notes the verdicts. */
export async function retryPage(
  deps: DrainDeps,
  call: DrainCall,
  stream: Stream,
  letters: readonly HeldLetter[],
  { isAlone }: { isAlone: boolean },
): Promise<PageResult> {
  const { store, monotonicMs, witnesses } = deps;
  const takenAtMs = monotonicMs();
  const { rows, refused: unmade } = rowsOf(stream, letters);
  const startedAtMs = monotonicMs();
  const written = await writeRows({ stream, rows, store, canContinue: async () => !call.isOver });
  if (written.stored > 0) witnesses.note(stream.name, startedAtMs);

  const whys = new Map<string, Why>(unmade);
  for (const { row, ...why } of written.refused) whys.set(row.letterId, why);
  const judged = await judge(deps, stream, letters, whys, { takenAtMs, isAlone });
  const verdicts = judged.map(({ letter: { id, tries }, why, isDead }): HeldVerdict => {
    const { sqlstate, reason } = why;
    return { id, sqlstate, reason, isDead, tries: isAlone ? tries : tries + 1 };
  });
  // Of a page that stopped it is not known which rows are stored: they are found in their table at the next try.
  const undecided = letters.filter(({ id }) => !whys.has(id));
  const tried = new Set(written.stopped ? [] : rows.map(({ letterId }) => letterId));
  const stored = undecided.filter(({ id }) => tried.has(id));
  const all = [...verdicts, ...afterStop(written.stopped, isAlone, undecided)];
  const storedIds = stored.map(({ id }) => id);
  await patiently(() => store.settleHeld(stream, storedIds, all));
  logVerdicts(deps, stream, verdicts);
  const outcome = await outcomeOf(deps, call, stream, written.stopped, judged);
  return {
    ...{ stored: written.stored, outcome, isStopped: written.stopped !== undefined },
    isBlocked: isBlockedBy(written.stopped),
    dead: verdicts.filter(({ isDead }) => isDead).length,
    refusedIds: verdicts.map(({ id }) => id),
    mendedReasons: isAlone ? [] : [...new Set(stored.map(({ reason }) => reason))],
  };
}

interface Judged {
  letter: HeldLetter;
  why: Why;
  isDead: boolean;
}

/**
 * Judges the letters that were refused. The strong witness is in their own statement: a table that took rows between two refusals may
 * be at fault again. A row that it took since the letter was set aside is a weak one, and six refusals in half an hour are wanted
 * beside it. This process remembers it; else Postgres is asked, because ingest stores rows, too.
 */
async function judge(
  { store, witnesses }: DrainDeps,
  stream: Stream,
  letters: readonly HeldLetter[],
  whys: ReadonlyMap<string, Why>,
  { takenAtMs, isAlone }: { takenAtMs: number; isAlone: boolean },
): Promise<Judged[]> {
  const refused = letters.flatMap((letter) => {
    const why = whys.get(letter.id);
    return why ? [{ letter, why }] : [];
  });
  const tookRows = ({ heldForMs }: HeldLetter) => witnesses.hasSince(stream.name, takenAtMs - heldForMs);
  const open = refused.filter(({ letter, why }) => !why.isWitnessed && !tookRows(letter));
  const leastMs = Math.min(...open.map(({ letter }) => letter.heldForMs));
  const isTaken = open.length > 0 && (await store.tookRowWithin(stream, leastMs));
  return refused.map(({ letter, why: { judgesData, ...found } }) => {
    const isStrong = found.isWitnessed;
    const why = { ...found, judgesData, isWitnessed: isStrong || isTaken || tookRows(letter) };
    const { tries, heldForMs } = letter;
    const history = { tries: isAlone ? tries : tries + 1, heldForMs };
    return { letter, why, isDead: isProven({ ...why, judgesData: judgesData && isStrong }, history) };
  });
}

/**
 * What is noted of letters that a stop left undecided. If the connection broke, any of them may have done it: from now on they
 * are tried alone, and only the times that one broke it alone are counted. Else a try that was counted beforehand is taken
 * back.
 */
function afterStop(
  stopped: Stopped | "abandoned" | undefined,
  isAlone: boolean,
  undecided: readonly HeldLetter[],
): HeldVerdict[] {
  if (stopped === undefined) return [];
  if (stopped !== "abandoned" && stopped.isSuspicious)
    return undecided.map(({ id, tries, reason }) => ({
      tries: reason === BREAKS ? tries : Number(isAlone),
      ...{ id, sqlstate: undefined, reason: BREAKS, isDead: false },
    }));
  if (!isAlone) return [];
  return undecided.map(({ id, tries, sqlstate, reason }) => ({
    ...{ id, tries: tries - 1, sqlstate: sqlstate ?? undefined, reason, isDead: false },
  }));
}

/** Once more, a few times, if Postgres does not answer: a row that broke its connection may have restarted it. */
async function patiently(note: () => Promise<void>): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      return await note();
    } catch (error) {
      if (tries === NOTE_TRIES || stoppedBy(error).outcome !== "unreachable") throw error;
      await sleep(NOTE_PAUSE_MS);
    }
  }
}

/** A row, and the id of its letter, which may be another than its own. */
interface LetterRow extends Row {
  letterId: string;
}

/** The letters' rows, and the refusals of those of which no row can be made. Those of a newer release are in neither. */
function rowsOf(stream: Stream, letters: readonly HeldLetter[]) {
  const rows: LetterRow[] = [];
  const refused = new Map<string, Why>();
  for (const letter of letters) {
    const envelope = decodeEnvelope(letter.envelope);
    if (envelope !== undefined && envelope.v > stream.v) continue;
    const isItsEnvelope = envelope !== undefined && isLetterOf(stream, letter.id, envelope);
    const row = isItsEnvelope ? rowOf(stream, envelope) : undefined;
    if (row !== undefined && !("reason" in row)) rows.push({ ...row, letterId: letter.id });
    else {
      const { reason, isProven: isItsOwn } = row ?? { reason: "its envelope is not its own", isProven: true };
      refused.set(letter.id, { sqlstate: undefined, reason, judgesData: true, isWitnessed: isItsOwn });
    }
  }
  return { rows, refused };
}

function logVerdicts({ log }: DrainDeps, { name: stream }: Stream, verdicts: readonly HeldVerdict[]): void {
  for (const { id, sqlstate, reason, isDead } of verdicts)
    if (isDead) log.warn("event.buried", { stream, id, sqlstate, reason });
}

/** How the page ended; says why if somebody has to mend something. */
async function outcomeOf(
  deps: DrainDeps,
  call: DrainCall,
  stream: Stream,
  stopped: Stopped | "abandoned" | undefined,
  judged: readonly Judged[],
): Promise<DrainOutcome> {
  if (stopped === "abandoned") return "deadline";
  if (stopped) {
    await sayStopped(deps, stream, {}, stopped);
    return call.noteStop(stream.name, stopped);
  }
  const doubted = judged.filter(
    ({ why, letter }) => pointsAtTable(why) || (!why.isWitnessed && letter.heldForMs > DOUBTED_AFTER_MS),
  );
  const [first] = doubted;
  if (first === undefined) return "empty";
  const heldForSeconds = Math.round(Math.max(...doubted.map(({ letter }) => letter.heldForMs)) / 1000);
  const { sqlstate, reason } = first.why;
  const where = { letters: doubted.length, heldForSeconds };
  await sayStopped(deps, stream, where, { outcome: "misconfigured", sqlstate, reason });
  return "misconfigured";
}
