/**
 * Settling a batch: each of its events is stored or becomes a dead letter. Only then may the batch be acknowledged;
 * whatever stops it before leaves the whole batch in hand, and settling it again does no harm.
 */
import type { Batch } from "../buffer/buffer.ts";
import type { Partition } from "../buffer/redis-keys.ts";
import type { Log } from "../log.ts";
import type { Stream } from "../schema/stream.ts";
import { type Written, writeRows } from "../store/bisect.ts";
import { type Failure, failureOf } from "../store/postgres-errors.ts";
import type { Letter, Store } from "../store/store.ts";
import type { PartitionReport } from "./drain-report.ts";
import { letterOf, readBatch } from "./read-batch.ts";

/** What stopped a batch, if anything did. */
export type Stopped = Written["stopped"];

interface Terms {
  stream: Stream;
  p: Partition;
  store: Pick<Store, "bury" | "insert" | "probe">;
  log: Log;
  /** Asked before each further insert of a bisect. */
  mayGoOn(): Promise<boolean>;
  /** Told when the oldest event of the batch was received, in milliseconds. */
  onOldest(receivedAtMs: number): void;
}

/** Stores or buries every event of a batch; returns what stopped it, if anything did. */
export async function settleBatch(terms: Terms, batch: Batch, report: PartitionReport): Promise<Stopped> {
  const { stream, p, store, log, mayGoOn, onOldest } = terms;
  if (batch.attempts > 0) log.warn("claim.recovered", { ...p, attempts: batch.attempts });

  const { rows, letters } = readBatch(stream, batch);
  if (rows[0]) onOldest(Date.parse(rows[0].receivedAt)); // rows are in their order
  const written = await writeRows({ stream, rows, store, mayGoOn });
  report.stored += written.stored;
  report.duplicates += written.duplicates;
  if (typeof written.stopped === "object") logStopped(log, p, written.stopped);
  if (written.stopped) return written.stopped;

  for (const { row, sqlstate, reason } of written.refused)
    letters.push(letterOf(stream, row.envelope, { sqlstate, reason }));
  return letters.length > 0 ? await buryAll(terms, letters, report) : undefined;
}

/** Buries; a refusal that is no misconfiguration is an outage, as nothing of an event can refuse a letter. */
async function buryAll(
  { stream, store, log }: Terms,
  letters: Letter[],
  report: PartitionReport,
): Promise<Stopped> {
  try {
    await store.bury(stream, letters);
  } catch (error) {
    const failure = failureOf(error);
    const outcome = failure.outcome === "misconfigured" ? "misconfigured" : "unreachable";
    logStopped(log, { stream: stream.name }, { ...failure, outcome });
    return { ...failure, outcome };
  }
  report.dead += letters.length;
  for (const { id, sqlstate, reason } of letters)
    log.warn("event.buried", { stream: stream.name, id, sqlstate, reason });
  return undefined;
}

function logStopped(log: Log, where: Partial<Partition>, failure: Failure): void {
  const fields = { ...where, sqlstate: failure.sqlstate, reason: failure.reason };
  if (failure.outcome === "misconfigured") log.error("store.misconfigured", fields);
  else log.warn("store.unavailable", fields);
}
