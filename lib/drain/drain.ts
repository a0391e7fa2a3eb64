/**
 * The drain: takes batches from the buffer and writes them to the store, the same for a tick and for an eager
 * flush. This file is one call over all its partitions; drain-partition.ts is the loop of one of them.
 */
import { randomUUID } from "node:crypto";
import { allPartitions } from "../buffer/redis-keys.ts";
import { DrainCall, type DrainDeps } from "./drain-call.ts";
import { drainPartition } from "./drain-partition.ts";
import { type DrainOutcome, type DrainReport, logReport, summarise } from "./drain-report.ts";
import { outcomeOfError } from "./error-outcome.ts";

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
  const { now, log } = deps;
  const startedAtMs = now();
  const isFlush = options.partition !== undefined;
  const call = new DrainCall(deps, {
    token: `${deps.instance}:${randomUUID()}`,
    startedAtMs,
    fullBatchesOnly: isFlush,
    waitsForHeld: options.wait ?? false,
  });
  const names = options.stream === undefined ? [...deps.streams.keys()] : [options.stream];
  // After an error nothing is known, and nothing was touched.
  const partitions = await partitionsOf(deps, options, names).catch(
    (error: unknown) => outcomeOfError(log, error, {}).outcome,
  );
  const isKnown = typeof partitions !== "string";
  const results = await Promise.all(
    (isKnown ? partitions : []).map((one) => drainPartition(deps, call, one)),
  );
  const atBest = (stream: string): DrainOutcome => {
    if (!isKnown) return partitions;
    return deps.paused.has(stream) ? "held" : "empty";
  };
  const streams = names.map((stream) => {
    const ofStream = results.filter((one) => one.stream === stream);
    return summarise(stream, ofStream, atBest(stream));
  });
  const report: DrainReport = { streams, durationMs: now() - startedAtMs };
  const oldestReceivedAtMs = Math.min(startedAtMs, ...results.map((one) => one.oldestReceivedAtMs));
  logReport(log, { isFlush, startedAtMs, oldestReceivedAtMs }, report);
  return report;
}

/** A flush names its partition; a tick looks which hold something, with one EXISTS if none does. */
async function partitionsOf(deps: DrainDeps, { partition }: DrainOptions, names: string[]) {
  const unpaused = names.filter((name) => !deps.paused.has(name));
  const [only] = unpaused;
  if (partition !== undefined && only !== undefined)
    return allPartitions([only]).slice(partition, partition + 1);
  return deps.buffer.findBusy(unpaused);
}
