/**
 * Settles a batch: each of its events is stored or becomes a dead letter. Only then may the batch be acknowledged.
 * Any stop before that leaves the whole batch in hand, and settling it again does no harm.
 */
import type { Batch } from "../buffer/buffer.ts";
import { fieldsOfPartition, type Partition } from "../buffer/redis-keys.ts";
import type { Log } from "../log.ts";
import type { Stream } from "../schema/stream.ts";
import type { Letter, Store } from "../store/store.ts";
import { writeRows } from "../store/write-rows.ts";
import { type Stopped as StoppedWriting, stoppedBy, type Written } from "../store/written.ts";
import { letterOf, readBatch } from "./read-batch.ts";

/** The failure that stopped a batch, or "abandoned": the time is over or the lease is lost. */
export type Stopped = NonNullable<Written["stopped"]>;

/** The result of settling a batch. If `stopped` is set, some of its events are undecided: settle it again. */
export interface Settled {
  stored: number;
  duplicates: number;
  dead: number;
  /** When the oldest event of the batch was received; Infinity if the batch held no event. */
  oldestReceivedAtMs: number;
  stopped: Stopped | undefined;
}

/** This release would drop fields that it does not know, so it leaves the batch in hand. */
const BUFFERED_BY_A_NEWER_RELEASE = {
  outcome: "misconfigured",
  sqlstate: undefined,
  reason: "buffered by a newer release",
} as const;

interface Deps {
  store: Pick<Store, "bury" | "insert" | "isolate" | "ping" | "present" | "probe">;
  log: Log;
}

interface Options {
  /** Asked before each further insert that looks for refused rows. */
  canContinue(): Promise<boolean>;
}

/** Stores or buries every event of a batch. Throws what `canContinue` throws. */
export async function settleBatch(
  { store, log }: Deps,
  stream: Stream,
  partition: Partition,
  batch: Batch,
  { canContinue }: Options,
): Promise<Settled> {
  const where = fieldsOfPartition(partition);
  if (batch.crashes > 0) log.warn("claim.recovered", { ...where, crashes: batch.crashes });

  const { rows, letters, hasNewer } = readBatch(stream, batch);
  const { refused, ...written } = await writeRows({ stream, rows, store, canContinue });
  const [oldest] = rows; // rows are in their order
  const oldestReceivedAtMs = oldest ? Date.parse(oldest.receivedAt) : Number.POSITIVE_INFINITY;
  if (written.stopped) {
    if (written.stopped !== "abandoned") logStopped(log, where, written.stopped);
    return { ...written, dead: 0, oldestReceivedAtMs };
  }
  for (const { row, sqlstate, reason } of refused)
    letters.push(letterOf(stream, row.envelope, { sqlstate, reason }));
  const stopped = letters.length > 0 ? await bury({ store, log }, stream, letters) : undefined;
  const dead = stopped ? 0 : letters.length;
  if (stopped || !hasNewer) return { ...written, dead, oldestReceivedAtMs, stopped };
  logStopped(log, where, BUFFERED_BY_A_NEWER_RELEASE);
  return { ...written, dead, oldestReceivedAtMs, stopped: BUFFERED_BY_A_NEWER_RELEASE };
}

/**
 * Buries letters; returns the failure that prevented it. The content of an event cannot make this insert fail, so no event
 * is blamed for it.
 */
async function bury(
  { store, log }: Deps,
  stream: Stream,
  letters: readonly Letter[],
): Promise<StoppedWriting | undefined> {
  try {
    await store.bury(stream, letters);
  } catch (error) {
    const stopped = stoppedBy(error);
    logStopped(log, { stream: stream.name }, stopped);
    return stopped;
  }
  for (const { id, sqlstate, reason } of letters)
    log.warn("event.buried", { stream: stream.name, id, sqlstate, reason });
  return undefined;
}

function logStopped(log: Log, where: Record<string, unknown>, { outcome, sqlstate, reason }: StoppedWriting) {
  const fields = { ...where, sqlstate, reason };
  if (outcome === "misconfigured") log.error("store.misconfigured", fields);
  else log.warn("store.unavailable", fields);
}
