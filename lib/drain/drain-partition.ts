/**
 * Drains one partition: claims a batch, settles it, acknowledges it with the next claim, until nothing is left or
 * something stops it.
 *
 * A batch is acknowledged only once each of its events is stored or a letter. Any failure before that leaves the
 * batch in hand, and the next drain call takes it up. A crash at any point here does no harm, because the primary key
 * absorbs a second insert.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Partition } from "../buffer/redis-keys.ts";
import { type Counts, type Drained, drainBatch, NOTHING } from "./drain-batch.ts";
import type { DrainCall, DrainDeps } from "./drain-call.ts";
import { type PartitionReport, worst } from "./drain-report.ts";

/** How often a held partition is tried again under `wait`, at most, in milliseconds. */
const HELD_RETRY_MS = 250;

/** What became of one partition in one drain call. */
export interface PartitionResult extends PartitionReport {
  stream: string;
  /** When the oldest event that it wrote was received; Infinity if it wrote none. */
  oldestReceivedAtMs: number;
  /** Whether its batch is suspected, and put off until the others are drained. */
  isPutOff: boolean;
}

const sumOf = (a: Counts, b: Counts): Counts => ({
  batches: a.batches + b.batches,
  stored: a.stored + b.stored,
  duplicates: a.duplicates + b.duplicates,
  differing: a.differing + b.differing,
  superseded: a.superseded + b.superseded,
  dead: a.dead + b.dead,
  held: a.held + b.held,
  isTableAtFault: a.isTableAtFault || b.isTableAtFault,
  oldestReceivedAtMs: Math.min(a.oldestReceivedAtMs, b.oldestReceivedAtMs),
});

/** Until its last round, or the next tick, a partition that is put off is unavailable. */
const PUT_OFF = { outcome: "unavailable", remaining: null } as const;

/** Drains one partition to its end. Never throws: each failure is an outcome. */
export async function drainPartition(
  deps: DrainDeps,
  call: DrainCall,
  partition: Partition,
): Promise<PartitionResult> {
  let counts = NOTHING;
  let settled = "";
  for (;;) {
    const batch = await drainBatchInTurn(deps, call, partition, settled);
    counts = sumOf(counts, batch.counts);
    const { next } = batch;
    if (next.kind === "end" || next.kind === "put-off") {
      const isPutOff = next.kind === "put-off";
      const { outcome, remaining } = isPutOff ? PUT_OFF : next;
      const found = counts.isTableAtFault ? worst([outcome, "misconfigured"]) : outcome;
      return { stream: partition.stream, ...counts, outcome: found, remaining, isPutOff };
    }
    if (next.kind === "wait") await sleep(Math.min(HELD_RETRY_MS, Math.max(1, deps.leaseMs / 4)));
    settled = next.kind === "claim" ? next.settled : "";
  }
}

/** Drains a batch in the stream's turn. If its table is still locked, the stream waits, and no statement is made. */
async function drainBatchInTurn(
  deps: DrainDeps,
  call: DrainCall,
  partition: Partition,
  settled: string,
): Promise<Drained> {
  const drained = await deps.slots.run(partition.stream, () => drainBatch(deps, call, partition, settled));
  if (drained !== "blocked") return drained;
  call.letWait(partition.stream);
  return drainBatch(deps, call, partition, settled); // claims nothing, and acknowledges what is settled
}
