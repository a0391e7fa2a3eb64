/**
 * The drain: takes batches from the buffer and writes them to the store, the same for a tick and for an eager
 * flush. One loop a partition: claim, write, acknowledge with the next claim.
 *
 * A batch is acknowledged only once each of its events is stored or a dead letter. Whatever goes wrong before
 * that leaves the batch in hand, and the next drain call takes it up. Nothing here may be left half done by a
 * crash that the primary key does not absorb.
 */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Batch, Buffer, Claimant } from "../buffer/buffer.ts";
import { allPartitions, type Partition } from "../buffer/redis-keys.ts";
import type { FairSlots } from "../flow/fair-slots.ts";
import { describeError, type Log } from "../log.ts";
import type { Registry } from "../schema/registry.ts";
import type { Failure } from "../store/postgres-errors.ts";
import type { Store } from "../store/store.ts";
import {
  type DrainOutcome,
  type DrainReport,
  logReport,
  type PartitionReport,
  summarise,
} from "./drain-report.ts";
import { type Stopped, settleBatch } from "./settle-batch.ts";

export interface DrainRequest {
  /** One stream; undefined: all. */
  stream?: string | undefined;
  /** One partition, and full batches only: an eager flush. */
  partition?: number | undefined;
  /** Try held partitions again until they are free or the deadline comes. */
  wait?: boolean | undefined;
}

export interface DrainContext {
  buffer: Buffer;
  store: Store;
  streams: Registry;
  log: Log;
  now: () => number;
  /** Slots for inserts, shared by all drain calls of the process. */
  slots: FairSlots;
  /** Names this process: a batch that an earlier drain call of the same process let go of is no death. */
  instance: string;
  batchMaxRows: number;
  leaseMs: number;
  drainDeadlineMs: number;
  paused: ReadonlySet<string>;
  /** Aborted when the process is told to end: batches in hand are finished, nothing new is claimed. */
  stopping: AbortSignal;
}

/** How often a held partition is tried again under `wait`, at most, in milliseconds. */
const HELD_RETRY_MS = 250;

/** One drain call, over all its partitions. */
interface Call {
  request: DrainRequest;
  claimant: Claimant;
  deadlineAtMs: number;
  /** Set by the first partition that finds Postgres unreachable; ends the call for all. */
  unreachable: Failure | undefined;
  oldestReceivedAtMs: number;
  /** Whether any batch was asked for. */
  hasClaimed: boolean;
}

/** Drains once. Never throws: what went wrong is an outcome. */
export async function drain(context: DrainContext, request: DrainRequest): Promise<DrainReport> {
  const startedAtMs = context.now();
  const call: Call = {
    request,
    claimant: {
      token: `${context.instance}:${randomUUID()}`,
      leaseMs: context.leaseMs,
      count: context.batchMaxRows,
      full: request.partition !== undefined,
      startedAtMs,
    },
    deadlineAtMs: startedAtMs + context.drainDeadlineMs,
    unreachable: undefined,
    oldestReceivedAtMs: startedAtMs,
    hasClaimed: false,
  };
  const names = request.stream === undefined ? [...context.streams.keys()] : [request.stream];
  const partitions = await partitionsOf(context, request, names).catch((error: unknown) => {
    context.log.warn("buffer.unavailable", describeError(error)); // nothing is known, nothing was touched
    return undefined;
  });
  const reports = await Promise.all(
    (partitions ?? []).map(async (p) => ({ ...p, ...(await drainPartition(context, call, p)) })),
  );
  const atBest = (stream: string): DrainOutcome => {
    if (partitions === undefined) return "unavailable";
    return context.paused.has(stream) ? "held" : "empty";
  };
  const report: DrainReport = {
    streams: names.map((stream) =>
      summarise(
        stream,
        reports.filter((one) => one.stream === stream),
        atBest(stream),
      ),
    ),
    durationMs: context.now() - startedAtMs,
  };
  const { oldestReceivedAtMs } = call;
  logReport(context.log, { isFlush: call.claimant.full, startedAtMs, oldestReceivedAtMs }, report);
  return report;
}

/** A flush names its partition; a tick looks which hold something, with one EXISTS when none does. */
async function partitionsOf(context: DrainContext, request: DrainRequest, names: string[]) {
  const unpaused = names.filter((name) => !context.paused.has(name));
  const [only] = unpaused;
  if (request.partition !== undefined && only !== undefined)
    return allPartitions([only]).slice(request.partition, request.partition + 1);
  return context.buffer.findBusy(unpaused);
}

/** Drains one partition to its end, and says how that was. Never throws. */
async function drainPartition(context: DrainContext, call: Call, p: Partition): Promise<PartitionReport> {
  const report: PartitionReport = {
    batches: 0,
    stored: 0,
    duplicates: 0,
    dead: 0,
    remaining: null,
    outcome: "empty",
  };
  let acked = "";
  for (;;) {
    try {
      const step = await context.slots.run(p.stream, () => drainBatch(context, call, p, acked, report));
      if (step === "done") return report;
      if (step === "held") await sleep(Math.min(HELD_RETRY_MS, Math.max(1, context.leaseMs / 4)));
      else acked = step.acked;
    } catch (error) {
      // Redis did not answer: what is in hand stays there, and the next drain call takes it up.
      context.log.warn("buffer.unavailable", { ...p, ...describeError(error) });
      return { ...report, outcome: "unavailable", remaining: null };
    }
  }
}

type Step = "done" | "held" | { acked: string };

/** Acknowledges the batch before, claims the next and writes it. Fills in the report. */
async function drainBatch(
  context: DrainContext,
  call: Call,
  p: Partition,
  acked: string,
  report: PartitionReport,
): Promise<Step> {
  const { buffer, stopping } = context;
  if (call.unreachable || (call.hasClaimed && isOver(context, call)) || stopping.aborted) {
    if (acked !== "") await buffer.release(p, call.claimant, acked);
    return end(report, call.unreachable ? "unavailable" : "deadline");
  }
  call.hasClaimed = true; // however short the deadline, each call gets somewhere
  const claim = await buffer.claim(p, call.claimant, acked);
  if (claim.kind === "held")
    return call.request.wait && acked === "" && !stopping.aborted ? "held" : end(report, "held");
  if (claim.kind === "none") return end(report, claim.depth ? "short" : "empty", claim.depth ?? 0);

  const stopped = await settleBatch(termsOf(context, call, p), claim, report);
  if (stopped) return end(report, await letGo(context, call, p, stopped));
  report.batches += 1;
  if (!isLast(call, claim)) return { acked: claim.name };
  await buffer.release(p, call.claimant, claim.name);
  return end(report, "empty", 0);
}

/** Whether this call claims nothing more: its deadline has come, or the process is told to end. */
const isOver = ({ now, stopping }: DrainContext, call: Call): boolean =>
  stopping.aborted || now() >= call.deadlineAtMs;

function end(report: PartitionReport, outcome: DrainOutcome, remaining: number | null = null): "done" {
  report.outcome = outcome;
  report.remaining = remaining;
  return "done";
}

/** Hands the batch back with the reason that stopped it, so that whoever comes next need not wait. */
async function letGo(
  context: DrainContext,
  call: Call,
  p: Partition,
  stopped: NonNullable<Stopped>,
): Promise<DrainOutcome> {
  if (stopped === "abandoned") {
    const isLate = isOver(context, call);
    await context.buffer.handBack(p, call.claimant.token, { alone: isLate && !context.stopping.aborted });
    return isLate ? "deadline" : "held";
  }
  const { outcome, sqlstate = "", reason } = stopped;
  if (outcome === "unreachable") call.unreachable ??= stopped;
  await context.buffer.handBack(p, call.claimant.token, { sqlstate, reason });
  return outcome === "unreachable" ? "unavailable" : "misconfigured";
}

/** A tick's batch that is not full took all there was; a batch that was in hand before says nothing of the rest. */
const isLast = (call: Call, batch: Batch) =>
  !call.claimant.full && batch.isFresh && batch.envelopes.length < call.claimant.count;

/** On which terms a batch of this partition is settled. */
function termsOf(context: DrainContext, call: Call, p: Partition) {
  const stream = context.streams.get(p.stream);
  if (stream === undefined) throw new Error(`expected a known stream, got "${p.stream}"`);
  const onOldest = (ms: number) => {
    call.oldestReceivedAtMs = Math.min(call.oldestReceivedAtMs, ms);
  };
  const { store, log } = context;
  return { stream, p, store, log, onOldest, mayGoOn: () => mayGoOn(context, call, p) };
}

/** Before each further insert of a bisect: is there time, and is the batch still ours? */
async function mayGoOn(context: DrainContext, call: Call, p: Partition): Promise<boolean> {
  if (isOver(context, call)) return false;
  const isOurs = await context.buffer.renew(p, call.claimant);
  if (!isOurs) context.log.warn("lease.lost", { ...p });
  return isOurs;
}
