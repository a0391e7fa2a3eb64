/**
 * Settles a batch: each of its events is stored, or set aside as a letter, held or dead. Only then may the batch be
 * acknowledged. Any stop before that leaves the whole batch in hand, and settling it again does no harm.
 */
import type { Batch } from "../buffer/buffer.ts";
import type { HeldNotes } from "../buffer/held-note.ts";
import { isOfRedis } from "../buffer/redis-errors.ts";
import { fieldsOfPartition, type Partition } from "../buffer/redis-keys.ts";
import type { Log } from "../log.ts";
import type { Stream } from "../schema/stream.ts";
import { type Letter, letterOf } from "../store/letter.ts";
import { logLetters } from "../store/letter-log.ts";
import { FIRST, isProven, pointsAtTable } from "../store/proof.ts";
import { sayStopped } from "../store/say-stopped.ts";
import { setLettersAside } from "../store/set-aside.ts";
import type { Store } from "../store/store.ts";
import type { TableCheck } from "../store/table-check.ts";
import { type WritingStore, writeRows } from "../store/write-rows.ts";
import { type Refused, type Stopped as StoppedWriting, stoppedBy, type Written } from "../store/written.ts";
import { countDiffering } from "./count-differing.ts";
import { type ReadRow, readBatch, type Unmade } from "./read-batch.ts";

/** The failure that stopped a batch, or "abandoned": the time is over or the lease is lost. */
export type Stopped = NonNullable<Written["stopped"]>;

/** The result of settling a batch. If `stopped` is set, some of its events are undecided: settle it again. */
export interface Settled {
  stored: number;
  duplicates: number;
  differing: number;
  /** Events over which a newer one of their key won. */
  superseded: number;
  dead: number;
  held: number;
  /** Whether rows were held because the table seems to be at fault: somebody has to mend it. */
  isTableAtFault: boolean;
  /** When the oldest event of the batch was received; Infinity if the batch held no event. */
  oldestReceivedAtMs: number;
  stopped: Stopped | undefined;
  /** What people who look on are told of. `insertMs`: with all tries. */
  seen: { rows: readonly ReadRow[]; refused: readonly Refused<ReadRow>[]; insertMs: number };
}

/** This release would drop fields that it does not know, so it leaves the batch in hand. */
const BUFFERED_BY_A_NEWER_RELEASE = {
  outcome: "misconfigured",
  sqlstate: undefined,
  reason: "buffered by a newer release",
} as const;

interface Deps {
  store: WritingStore & Pick<Store, "bury" | "differing">;
  tables: Pick<TableCheck, "differencesOf">;
  heldNotes: Pick<HeldNotes, "note">;
  log: Log;
}

interface Options {
  /** Asked before each further insert that looks for refused rows. */
  canContinue(): Promise<boolean>;
}

/** Stores every event of a batch, or sets it aside. Throws what `canContinue` and `heldNotes` throw. */
export async function settleBatch(
  deps: Deps,
  stream: Stream,
  partition: Partition,
  batch: Batch,
  { canContinue }: Options,
): Promise<Settled> {
  const { store, log } = deps;
  const where = fieldsOfPartition(partition);
  if (batch.crashes > 0) log.warn("claim.recovered", { ...where, crashes: batch.crashes });

  const { rows, letters: unreadable, unmade, hasNewer } = readBatch(stream, batch);
  const isSuspected = batch.suspicions > 0;
  const beganMs = performance.now();
  const {
    refused,
    there,
    superseded: lost,
    ...counts
  } = await writeRows({ stream, rows, store, canContinue, isSuspected });
  const written = { ...counts, superseded: lost.length };
  const [oldest] = rows; // rows are in their order
  const oldestReceivedAtMs = oldest ? Date.parse(oldest.receivedAt) : Number.POSITIVE_INFINITY;
  const seen = { rows, refused, insertMs: performance.now() - beganMs };
  const nothingAside = { differing: 0, dead: 0, held: 0, isTableAtFault: false, oldestReceivedAtMs, seen };
  if (written.stopped) {
    if (written.stopped === "abandoned") return { ...written, ...nothingAside };
    const stopped = await sayStopped(deps, stream, where, written.stopped);
    return { ...written, ...nothingAside, stopped };
  }
  const letters = [...unreadable, ...lettersOf(stream, refused, unmade, written.stored > 0)];
  const held = letters.filter(({ tries }) => tries > 0).length;
  const isTableAtFault = await sayTableAtFault(deps, stream, where, refused);
  const stopped = await setAside(deps, stream, letters);
  if (stopped) return { ...written, ...nothingAside, stopped };
  const differing = await countDiffering(deps, stream, where, { ...written, there });
  const aside = { differing, dead: letters.length - held, held, isTableAtFault, oldestReceivedAtMs, seen };
  if (!hasNewer) return { ...written, ...aside };
  await sayStopped(deps, stream, where, BUFFERED_BY_A_NEWER_RELEASE);
  return { ...written, ...aside, stopped: BUFFERED_BY_A_NEWER_RELEASE };
}

/** Letters of the events that were refused, and of those of which `toRow` made no row: dead if that is proven, else held. */
function lettersOf(
  stream: Stream,
  refused: readonly Refused<ReadRow>[],
  unmade: readonly Unmade[],
  isWitnessed: boolean,
): Letter[] {
  const all = [
    ...refused.map(({ row, ...why }) => ({ ...why, envelope: row.envelope })),
    ...unmade.map((one) => ({ ...one, sqlstate: undefined, judgesData: true, isWitnessed })),
  ];
  return all.map(({ envelope, ...why }) =>
    letterOf(stream, envelope, { ...why, isHeld: !isProven(why, FIRST) }),
  );
}

/**
 * Buries letters; returns the failure of Postgres that prevented it. The content of an event cannot make this insert fail, so no
 * event is blamed for it. Throws what `heldNotes` throws.
 */
async function setAside(
  deps: Deps,
  stream: Stream,
  letters: readonly Letter[],
): Promise<StoppedWriting | undefined> {
  if (letters.length === 0) return undefined;
  try {
    await setLettersAside(deps, stream, letters);
  } catch (error) {
    if (isOfRedis(error)) throw error;
    const { sqlstate, ...stopped } = stoppedBy(error);
    // The table of letters refused it, not the stream's.
    return { ...(await sayStopped(deps, stream, {}, { ...stopped, sqlstate: undefined })), sqlstate };
  }
  logLetters(deps.log, stream, letters);
  return undefined;
}

/** Says once a batch that a table refuses rows for no fault of theirs, as far as anybody can tell. */
async function sayTableAtFault(
  deps: Deps,
  stream: Stream,
  where: Record<string, unknown>,
  refused: readonly Refused<ReadRow>[],
): Promise<boolean> {
  const found = refused.find(pointsAtTable);
  if (found === undefined) return false;
  const { sqlstate, reason } = found;
  await sayStopped(deps, stream, where, { outcome: "misconfigured", sqlstate, reason });
  return true;
}
