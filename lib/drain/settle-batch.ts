/**
 * Settles a batch: each of its events is stored or becomes a dead letter. Only then may the batch be acknowledged.
 * Any stop before that leaves the whole batch in hand, and settling it again does no harm.
 */
import type { Batch } from "../buffer/buffer.ts";
import { fieldsOfPartition, type Partition } from "../buffer/redis-keys.ts";
import type { Log } from "../log.ts";
import type { Stream } from "../schema/stream.ts";
import { type Written, writeRows } from "../store/bisect.ts";
import { type StoppingFailure, stoppingFailureOf } from "../store/postgres-errors.ts";
import type { Letter, Store } from "../store/store.ts";
import { letterOf, readBatch } from "./read-batch.ts";

/** The failure that stopped a batch, or "abandoned": the time is over or the lease is lost. */
export type Stopped = NonNullable<Written["stopped"]>;

/** What became of a batch. If `stopped` is set, some of its events are undecided: settle it again. */
export interface Settled {
  stored: number;
  duplicates: number;
  dead: number;
  /** When the oldest event of the batch was received; Infinity if the batch held no event. */
  oldestReceivedAtMs: number;
  stopped: Stopped | undefined;
}

interface Deps {
  store: Pick<Store, "bury" | "insert" | "probe">;
  log: Log;
}

interface Options {
  /** Asked before each further insert of a bisect. */
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

  const { rows, letters } = readBatch(stream, batch);
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
  return { ...written, dead: stopped ? 0 : letters.length, oldestReceivedAtMs, stopped };
}

/**
 * Buries letters; returns the failure that prevented it. The content of an event cannot make this insert fail, so any
 * error that is not a configuration error is treated as an outage.
 */
async function bury(
  { store, log }: Deps,
  stream: Stream,
  letters: readonly Letter[],
): Promise<StoppingFailure | undefined> {
  try {
    await store.bury(stream, letters);
  } catch (error) {
    const failure = stoppingFailureOf(error);
    logStopped(log, { stream: stream.name }, failure);
    return failure;
  }
  for (const { id, sqlstate, reason } of letters)
    log.warn("event.buried", { stream: stream.name, id, sqlstate, reason });
  return undefined;
}

function logStopped(
  log: Log,
  where: Record<string, unknown>,
  { outcome, sqlstate, reason }: StoppingFailure,
) {
  const fields = { ...where, sqlstate, reason };
  if (outcome === "misconfigured") log.error("store.misconfigured", fields);
  else log.warn("store.unavailable", fields);
}
