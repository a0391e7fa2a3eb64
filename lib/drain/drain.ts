/**
 * The drain: takes batches from the buffer and writes them to the store, the same for a tick and for an eager
 * flush. This file is one call over all its partitions; drain-partition.ts is the loop of one of them.
 */
import { randomUUID } from "node:crypto";
import type { Work } from "../buffer/buffer.ts";
import type { HeldNote } from "../buffer/held-note.ts";
import { allPartitions, type Partition } from "../buffer/redis-keys.ts";
import { describeError } from "../log.ts";
import { isInternal } from "../schema/registry.ts";
import { DrainCall, type DrainDeps } from "./drain-call.ts";
import { drainPartition } from "./drain-partition.ts";
import {
  type DrainOutcome,
  type DrainReport,
  logReport,
  type PartitionReport,
  type StreamReport,
  summarise,
  worst,
} from "./drain-report.ts";
import { outcomeOfError } from "./error-outcome.ts";
import { retryHeld } from "./retry-held.ts";

export interface DrainOptions {
  /** One stream; undefined: all. */
  stream?: string | undefined;
  /** Index of one partition, and full batches only: an eager flush. */
  partition?: number | undefined;
  /** Try held partitions again until they are free or the deadline comes. */
  wait?: boolean | undefined;
}

/** Drains once. Never throws: each failure is an outcome of the report. */
export async function drain(deps: DrainDeps, options: DrainOptions): Promise<DrainReport> {
  const { now, monotonicMs, log } = deps;
  const startedAtMs = now();
  const beganMs = monotonicMs();
  const isFlush = options.partition !== undefined;
  const call = new DrainCall(deps, {
    token: `${deps.instance}:${randomUUID()}`,
    startedAtMs,
    fullBatchesOnly: isFlush,
    waitsForHeld: options.wait ?? false,
  });
  const names = options.stream === undefined ? [...deps.streams.keys()] : [options.stream];
  const unpaused = names.filter((name) => !deps.paused.has(name));
  // After an error nothing is known, and nothing was touched.
  const work = await workOf(deps, options, unpaused).catch(
    (error: unknown) => outcomeOfError(log, error, {}).outcome,
  );
  const isKnown = typeof work !== "string";
  const begun = isKnown ? noteBeginning(deps, call, work) : false;
  const results = isKnown ? await drainAll(deps, call, work.busy) : [];
  if (isKnown && work.held) results.push(...(await retryAll(deps, call, unpaused, work.held)));
  else if (!isFlush && results.some(({ batches }) => batches > 0)) await lookForHeld(deps);
  const atBest = (stream: string): DrainOutcome => {
    if (!isKnown) return work;
    return deps.paused.has(stream) ? "held" : "empty";
  };
  const streams = names.map((stream) => {
    const ofStream = results.filter((one) => one.stream === stream);
    return summarise(stream, ofStream, atBest(stream));
  });
  const told = streams.filter((one) => options.stream !== undefined || isTold(one, results));
  const report: DrainReport = { streams: told, durationMs: Math.round(monotonicMs() - beganMs) };
  const ofTold = results.filter(({ stream }) => told.some((one) => one.stream === stream));
  const oldestReceivedAtMs = Math.min(startedAtMs, ...ofTold.map((one) => one.oldestReceivedAtMs));
  logReport(log, { isFlush, startedAtMs, oldestReceivedAtMs }, report);
  if (begun) noteEnd(deps, call, report);
  return report;
}

/** Tells people who look on that a call begins. Returns false if it has nothing to do. */
function noteBeginning({ live }: DrainDeps, { claimant }: DrainCall, { busy, held }: Work): boolean {
  if (live === undefined || (busy.length === 0 && held === undefined)) return false;
  const streams = [...new Set(busy.map(({ stream }) => stream))];
  live.note({ kind: "drain-begun", call: nameOf(claimant), isFlush: claimant.fullBatchesOnly, streams });
  return true;
}

function noteEnd({ live }: DrainDeps, { claimant }: DrainCall, { streams, durationMs }: DrainReport): void {
  const stored = streams.reduce((total, one) => total + one.stored, 0);
  const outcome = worst(streams.map((one) => one.outcome));
  live?.note({ kind: "drain-ended", call: nameOf(claimant), durationMs, stored, outcome });
}

/** A token is `instance:call`. */
const nameOf = ({ token }: { token: string }): string => token.slice(token.indexOf(":") + 1);

/** A stream of Spillway's own is told of only if something of it failed: who reads the report asks for the streams of the release. */
function isTold(report: StreamReport, results: readonly { stream: string }[]): boolean {
  if (!isInternal(report.stream)) return true;
  const isTouched = results.some(({ stream }) => stream === report.stream);
  const isWell = report.outcome === "empty" || report.outcome === "short";
  return isTouched && (!isWell || report.dead + report.held > 0);
}

type Result = PartitionReport & { stream: string; oldestReceivedAtMs: number };

/** Drains partitions side by side, and then those whose batches are suspected. */
async function drainAll(deps: DrainDeps, call: DrainCall, busy: readonly Partition[]): Promise<Result[]> {
  const first = await Promise.all(busy.map((one) => drainPartition(deps, call, one)));
  const putOff = busy.filter((_, i) => first[i]?.isPutOff);
  if (putOff.length === 0 || call.claimant.fullBatchesOnly) return first;
  call.beginLastRound();
  const last = await Promise.all(putOff.map((one) => drainPartition(deps, call, one)));
  // What the first round wrote of them counts, and how the last one ended.
  const sofar = first.map((one): Result => (one.isPutOff ? { ...one, outcome: "empty", remaining: 0 } : one));
  return [...sofar, ...last];
}

/** A flush names its partition; a tick looks for what holds something, with one EXISTS if nothing does. */
async function workOf(
  { buffer }: DrainDeps,
  { partition }: DrainOptions,
  names: readonly string[],
): Promise<Work> {
  const [only] = names;
  if (partition !== undefined && only !== undefined)
    return { busy: allPartitions([only]).slice(partition, partition + 1), held: undefined };
  return buffer.findWork(names);
}

/** What Redis forgot is found in the next hour, if not now. */
async function lookForHeld(deps: DrainDeps): Promise<void> {
  try {
    await deps.lookout.look(deps, [...deps.streams.keys()]);
  } catch (error) {
    deps.log.warn("held.not-looked-for", describeError(error));
  }
}

/** Tries held letters again; each stream's are reported like one more partition of it. Never throws. */
async function retryAll(deps: DrainDeps, call: DrainCall, names: readonly string[], note: HeldNote) {
  const nothing = {
    ...{ batches: 0, duplicates: 0, differing: 0, superseded: 0, held: 0, remaining: 0 },
    oldestReceivedAtMs: Number.POSITIVE_INFINITY,
  };
  try {
    const reports = await retryHeld(deps, call, names, note);
    return reports.map((report) => ({ ...nothing, ...report }));
  } catch (error) {
    const { outcome } = outcomeOfError(deps.log, error, {});
    return names.map((stream) => ({ ...nothing, stream, stored: 0, dead: 0, outcome }));
  }
}
