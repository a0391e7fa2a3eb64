/** The report of a drain call: one a stream, made of its partitions', and one log entry. */
import type { Log } from "../log.ts";

/** How a partition's drain ended, from best to worst. */
export const OUTCOMES = ["empty", "short", "deadline", "held", "unavailable", "misconfigured"] as const;
export type DrainOutcome = (typeof OUTCOMES)[number];

/** The outcome of a partition whose write stopped. */
export const outcomeOfStop = (stop: "unreachable" | "busy" | "misconfigured"): DrainOutcome =>
  stop === "misconfigured" ? stop : "unavailable";

/** The result of one partition in one drain call. */
export interface PartitionReport {
  batches: number;
  stored: number;
  /** Events whose id was there already. */
  duplicates: number;
  /** Duplicates that hold another event than the one that is stored under their id. */
  differing: number;
  /** Events over which a newer one of their key won, so that they are not stored. */
  superseded: number;
  dead: number;
  /** Events set aside without proof that they are at fault; they are tried again. */
  held: number;
  /** Events left in its buffer, null where that was not counted. */
  remaining: number | null;
  outcome: DrainOutcome;
}

/** The same of one stream: its partitions' sums, and the worst of their outcomes. */
export interface StreamReport extends PartitionReport {
  stream: string;
}

export interface DrainReport {
  streams: StreamReport[];
  durationMs: number;
}

/** What the log entry says beside the report. */
interface DrainCallFacts {
  isFlush: boolean;
  startedAtMs: number;
  oldestReceivedAtMs: number;
}

/** One stream's partitions as one report: sums, and the worst outcome. */
export function summarise(stream: string, parts: PartitionReport[], atBest: DrainOutcome): StreamReport {
  const sum = (field: "batches" | "stored" | "duplicates" | "differing" | "superseded" | "dead" | "held") =>
    parts.reduce((total, part) => total + part[field], 0);
  const isCounted = atBest === "empty" && parts.every((part) => part.remaining !== null);
  return {
    stream,
    batches: sum("batches"),
    stored: sum("stored"),
    duplicates: sum("duplicates"),
    differing: sum("differing"),
    superseded: sum("superseded"),
    dead: sum("dead"),
    held: sum("held"),
    remaining: isCounted ? parts.reduce((total, part) => total + (part.remaining ?? 0), 0) : null,
    outcome: worst([...parts.map((part) => part.outcome), atBest]),
  };
}

/** The worst of some outcomes. */
export const worst = (outcomes: readonly DrainOutcome[]): DrainOutcome =>
  OUTCOMES[Math.max(0, ...outcomes.map((outcome) => OUTCOMES.indexOf(outcome)))] ?? "empty";

/** Logs one drain call, with a severity that follows its outcome. */
export function logReport(log: Log, call: DrainCallFacts, { streams, durationMs }: DrainReport): void {
  const sum = (field: "stored" | "dead" | "held") => streams.reduce((total, one) => total + one[field], 0);
  const remaining = streams.map((one) => one.remaining);
  const fields = {
    outcome: worst(streams.map((one) => one.outcome)),
    flush: call.isFlush,
    stored: sum("stored"),
    dead: sum("dead"),
    held: sum("held"),
    depth: remaining.includes(null) ? null : remaining.reduce((total: number, n) => total + (n ?? 0), 0),
    oldestAgeSeconds: Math.round((call.startedAtMs - call.oldestReceivedAtMs) / 1000),
    streams,
    durationMs,
  };
  if (fields.outcome === "misconfigured") log.error("drain.finished", fields);
  else if (fields.outcome === "unavailable") log.warn("drain.finished", fields);
  else log.info("drain.finished", fields);
}
