/** One batch of a partition: claimed, settled and acknowledged, or handed back with the reason. */
import type { Batch } from "../buffer/buffer.ts";
import { fieldsOfPartition, type Partition } from "../buffer/redis-keys.ts";
import { isBlockedBy } from "../store/written.ts";
import type { DrainCall, DrainDeps } from "./drain-call.ts";
import type { DrainOutcome } from "./drain-report.ts";
import { outcomeOfError } from "./error-outcome.ts";
import { happeningOf } from "./happenings.ts";
import { type Settled, type Stopped, settleBatch } from "./settle-batch.ts";

const PUT_OFF_REASON =
  "an earlier insert of this batch broke the connection to Postgres: it is tried after the others";

/** The step after one batch. */
export type Next =
  /** The batch of this name is settled: acknowledge it with the next claim. */
  | { kind: "claim"; settled: string }
  /** Another drain call has the partition: try again a little later. */
  | { kind: "wait" }
  /** The batch is suspected: it was handed back, and comes last. */
  | { kind: "put-off" }
  | { kind: "end"; outcome: DrainOutcome; remaining: number | null };

const end = (outcome: DrainOutcome, remaining: number | null = null): Next => ({
  kind: "end",
  outcome,
  remaining,
});

/** One batch's part of the partition's result. */
export interface Counts {
  batches: number;
  stored: number;
  duplicates: number;
  differing: number;
  superseded: number;
  dead: number;
  held: number;
  isTableAtFault: boolean;
  oldestReceivedAtMs: number;
}

export const NOTHING: Counts = {
  batches: 0,
  stored: 0,
  duplicates: 0,
  differing: 0,
  superseded: 0,
  dead: 0,
  held: 0,
  isTableAtFault: false,
  oldestReceivedAtMs: Number.POSITIVE_INFINITY,
};

/** The end of one batch; `isBlocked` is for the slots. */
export interface Drained {
  counts: Counts;
  next: Next;
  isBlocked: boolean | undefined;
}

/** Acknowledges the batch named `settled`, claims the next, settles it, and returns the step after it. */
export async function drainBatch(
  deps: DrainDeps,
  call: DrainCall,
  partition: Partition,
  settled: string,
): Promise<Drained> {
  const endAfter = (error: unknown) => endAfterError(deps, call, partition, error);
  const claim = await claimNext(deps, call, partition, settled).catch(endAfter);
  if (claim.kind !== "batch") return { counts: NOTHING, next: claim, isBlocked: undefined };
  const isSuspected = claim.suspicions > 0;
  if (isSuspected && !call.takesSuspected)
    return {
      counts: NOTHING,
      next: await putOff(deps, call, partition).catch(endAfter),
      isBlocked: undefined,
    };
  const work = () => settle(deps, call, partition, claim);
  const outcome = await (isSuspected ? call.alone(work) : work()).catch(endAfter);
  if ("kind" in outcome) return { counts: NOTHING, next: outcome, isBlocked: undefined };
  const { stopped, seen: _, ...written } = outcome;
  const next = stopped
    ? await handBackBatch(deps, call, partition, stopped).then(end, endAfter)
    : await goOn(deps, call, partition, claim).catch(endAfter);
  return { counts: { batches: stopped ? 0 : 1, ...written }, next, isBlocked: isBlockedBy(stopped) };
}

/** Settles a batch, a suspected one only if Postgres answers before. */
async function settle(
  { store, buffer, heldNotes, tables, log, now, monotonicMs, streams, witnesses, live }: DrainDeps,
  call: DrainCall,
  partition: Partition,
  batch: Batch,
): Promise<Settled> {
  const stream = streams.get(partition.stream);
  if (stream === undefined) throw new Error(`expected a known stream, got "${partition.stream}"`);
  const startedAtMs = monotonicMs();
  const outcome = await settleBatch({ store, heldNotes, tables, log }, stream, partition, batch, {
    canContinue: () => canContinue({ buffer, log }, call, partition),
  });
  if (outcome.stored > 0) witnesses.note(partition.stream, startedAtMs);
  live?.note(happeningOf(partition, batch, outcome, now()));
  return outcome;
}

/** Hands a suspected batch back, to be taken up when the others are drained. */
async function putOff({ buffer }: DrainDeps, { claimant }: DrainCall, partition: Partition): Promise<Next> {
  await buffer.handBack(partition, claimant.token, { reason: PUT_OFF_REASON });
  return { kind: "put-off" };
}

/**
 * Ends the partition's drain after an error. The batch in hand stays there, and the next drain call takes it up; after a fault of
 * ours it is handed back with that reason.
 */
async function endAfterError(
  { buffer, log }: DrainDeps,
  { claimant }: DrainCall,
  partition: Partition,
  error: unknown,
): Promise<Next> {
  const { outcome, isOurs } = outcomeOfError(log, error, fieldsOfPartition(partition));
  const reason = `a fault of Spillway: ${error instanceof Error ? error.name : typeof error}, see the log`;
  if (isOurs) await buffer.handBack(partition, claimant.token, { reason }).catch(() => {});
  return end(outcome);
}

/** Claims the next batch, or says why there is none. */
async function claimNext(
  { buffer }: DrainDeps,
  call: DrainCall,
  partition: Partition,
  settled: string,
): Promise<Batch | Next> {
  if (!call.mayClaim(partition.stream)) {
    if (settled !== "") await buffer.release(partition, call.claimant, settled);
    return end(call.isUnreachable || call.isWaiting(partition.stream) ? "unavailable" : "deadline");
  }
  const claim = await buffer.claim(partition, call.claimant, settled);
  if (claim.kind === "batch") return claim;
  if (claim.kind === "paused") return end("held"); // also under `wait`: it may last for hours
  if (claim.kind === "none") return end(claim.depth ? "short" : "empty", claim.depth ?? 0);
  return call.waitsForHeld && settled === "" ? { kind: "wait" } : end("held");
}

/** After a settled batch: a tick ends with the batch that emptied the partition. */
async function goOn(
  { buffer }: DrainDeps,
  { claimant }: DrainCall,
  partition: Partition,
  { name, hasMore }: Batch,
): Promise<Next> {
  const isLast = !claimant.fullBatchesOnly && !hasMore;
  if (!isLast) return { kind: "claim", settled: name };
  await buffer.release(partition, claimant, name);
  return end("empty", 0);
}

/** Hands the batch back with the reason that stopped it, so that the next drain call need not wait for the lease. */
async function handBackBatch(
  { buffer }: DrainDeps,
  call: DrainCall,
  partition: Partition,
  stopped: Stopped,
): Promise<DrainOutcome> {
  const { token } = call.claimant;
  if (stopped === "abandoned") {
    const isLate = call.isOver;
    await buffer.handBack(partition, token, { oneAtATime: isLate && !call.isStopping });
    return isLate ? "deadline" : "held";
  }
  const { sqlstate = "", reason, isSuspicious = false } = stopped;
  const outcome = call.noteStop(partition.stream, stopped);
  await buffer.handBack(partition, token, { sqlstate, reason, isSuspected: isSuspicious });
  return outcome;
}

/** Before each further insert that looks for refused rows: is there time, and is the batch still ours? */
async function canContinue(
  { buffer, log }: Pick<DrainDeps, "buffer" | "log">,
  call: DrainCall,
  partition: Partition,
): Promise<boolean> {
  if (call.isOver) return false;
  const isOurs = await buffer.renew(partition, call.claimant);
  if (!isOurs) log.warn("lease.lost", fieldsOfPartition(partition));
  return isOurs;
}
