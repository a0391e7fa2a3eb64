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
import type { Batch, Buffer, Claimant } from "./buffer.ts";
import { decodeEnvelope, type Envelope } from "./envelope.ts";
import type { FairSlots } from "./fair-slots.ts";
import { idFromRaw } from "./ids.ts";
import { allPartitions, type Partition } from "./keys.ts";
import { describeError, type Log } from "./log.ts";
import { type Failure, failureOf } from "./outcome.ts";
import type { Registry } from "./registry.ts";
import type { Letter, Row, Store } from "./store.ts";
import type { Stream } from "./stream.ts";
import { writeRows } from "./write.ts";

/** How a partition's drain ended, from best to worst. */
export const OUTCOMES = ["empty", "short", "deadline", "held", "unavailable", "misconfigured"] as const;
export type DrainOutcome = (typeof OUTCOMES)[number];

/** What became of one stream in one drain call. */
export interface StreamReport {
  stream: string;
  batches: number;
  stored: number;
  duplicates: number;
  dead: number;
  /** Events left in its buffer, null where that was not counted. */
  remaining: number | null;
  outcome: DrainOutcome;
}

export interface DrainReport {
  streams: StreamReport[];
  durationMs: number;
}

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

/** Deaths alone after which a row is buried instead of being tried again. */
const BURY_AFTER = 3;

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

interface PartitionReport {
  batches: number;
  stored: number;
  duplicates: number;
  dead: number;
  remaining: number | null;
  outcome: DrainOutcome;
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
  logReport(context.log, call, report);
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

  const stopped = await settleBatch(context, call, p, claim, report);
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

type Stopped = Awaited<ReturnType<typeof writeRows>>["stopped"];

/** Stores or buries every event of a batch; returns what stopped it, if anything did. */
async function settleBatch(
  context: DrainContext,
  call: Call,
  p: Partition,
  batch: Batch,
  report: PartitionReport,
): Promise<Stopped> {
  const { store, log, streams } = context;
  const stream = streams.get(p.stream);
  if (stream === undefined) throw new Error(`expected a known stream, got "${p.stream}"`);
  if (batch.attempts > 0) log.warn("claim.recovered", { ...p, attempts: batch.attempts });

  const { rows, letters, envelopes } = readBatch(stream, batch);
  const oldest = rows[0]; // rows are in their order
  if (oldest) call.oldestReceivedAtMs = Math.min(call.oldestReceivedAtMs, Date.parse(oldest.receivedAt));
  const written = await writeRows({ stream, rows, store, mayGoOn: () => mayGoOn(context, call, p) });
  report.stored += written.stored;
  report.duplicates += written.duplicates;
  if (typeof written.stopped === "object") logStopped(log, p, written.stopped);
  if (written.stopped) return written.stopped;

  for (const { row, sqlstate, reason } of written.refused) {
    const { envelope, text } = envelopes.get(row) ?? { envelope: undefined, text: "" };
    letters.push(letterOf(stream, row.id, text, envelope, { sqlstate, reason }));
  }
  return letters.length > 0 ? await buryAll(context, stream, letters, report) : undefined;
}

/** Before each further insert of a bisect: is there time, and is the batch still ours? */
async function mayGoOn(context: DrainContext, call: Call, p: Partition): Promise<boolean> {
  if (isOver(context, call)) return false;
  const isOurs = await context.buffer.renew(p, call.claimant);
  if (!isOurs) context.log.warn("lease.lost", { ...p });
  return isOurs;
}

async function buryAll(
  { store, log }: DrainContext,
  stream: Stream,
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

interface ReadEnvelope {
  envelope: Envelope;
  text: string;
}

/** Turns a batch into rows; what can't become one is a letter at once. */
function readBatch(stream: Stream, batch: Batch) {
  const rows: Row[] = [];
  const letters: Letter[] = [];
  const envelopes = new Map<Row, ReadEnvelope>();
  for (const text of batch.envelopes) {
    const envelope = decodeEnvelope(text);
    const id = envelope?.id.toLowerCase() ?? idFromRaw(stream.name, "", text);
    const row = envelope && rowOf(stream, envelope);
    if (envelope && batch.deaths !== undefined && batch.deaths >= BURY_AFTER)
      letters.push(letterOf(stream, id, text, envelope, { reason: "killed the drain call that held it" }));
    else if (row && "id" in row) {
      rows.push(row);
      envelopes.set(row, { envelope, text });
    } else letters.push(letterOf(stream, id, text, envelope, { reason: row?.reason ?? "not an envelope" }));
  }
  return { rows, letters, envelopes };
}

function rowOf(stream: Stream, envelope: Envelope): Row | { reason: string } {
  try {
    return {
      ...stream.toRow(envelope.data, envelope.v),
      id: envelope.id.toLowerCase(),
      receivedAt: envelope.receivedAt,
    };
  } catch (error) {
    return { reason: `toRow threw ${error instanceof Error ? error.name : typeof error}` };
  }
}

const letterOf = (
  stream: Stream,
  id: string,
  text: string,
  envelope: Envelope | undefined,
  { sqlstate, reason }: { sqlstate?: string | undefined; reason: string },
): Letter => ({
  stream: stream.name,
  id,
  envelope: text,
  sqlstate,
  reason,
  attempts: (envelope?.deaths ?? 0) + 1,
  receivedAt: envelope?.receivedAt,
});

function logStopped(log: Log, where: Partial<Partition>, failure: Failure): void {
  const fields = { ...where, sqlstate: failure.sqlstate, reason: failure.reason };
  if (failure.outcome === "misconfigured") log.error("store.misconfigured", fields);
  else log.warn("store.unavailable", fields);
}

/** One stream's partitions as one report: sums, and the worst outcome. */
function summarise(stream: string, parts: PartitionReport[], atBest: DrainOutcome): StreamReport {
  const sum = (field: "batches" | "stored" | "duplicates" | "dead") =>
    parts.reduce((total, part) => total + part[field], 0);
  const isCounted = atBest === "empty" && parts.every((part) => part.remaining !== null);
  return {
    stream,
    batches: sum("batches"),
    stored: sum("stored"),
    duplicates: sum("duplicates"),
    dead: sum("dead"),
    remaining: isCounted ? parts.reduce((total, part) => total + (part.remaining ?? 0), 0) : null,
    outcome: worst([...parts.map((part) => part.outcome), atBest]),
  };
}

/** The worst of some outcomes. */
export const worst = (outcomes: readonly DrainOutcome[]): DrainOutcome =>
  OUTCOMES[Math.max(0, ...outcomes.map((outcome) => OUTCOMES.indexOf(outcome)))] ?? "empty";

function logReport(log: Log, call: Call, { streams, durationMs }: DrainReport): void {
  const sum = (field: "stored" | "dead") => streams.reduce((total, one) => total + one[field], 0);
  const remaining = streams.map((one) => one.remaining);
  const fields = {
    outcome: worst(streams.map((one) => one.outcome)),
    flush: call.claimant.full,
    stored: sum("stored"),
    dead: sum("dead"),
    depth: remaining.includes(null) ? null : remaining.reduce((total: number, n) => total + (n ?? 0), 0),
    oldestAgeSeconds: Math.round((call.claimant.startedAtMs - call.oldestReceivedAtMs) / 1000),
    streams,
    durationMs,
  };
  if (fields.outcome === "misconfigured") log.error("drain.finished", fields);
  else if (fields.outcome === "unavailable") log.warn("drain.finished", fields);
  else log.info("drain.finished", fields);
}
