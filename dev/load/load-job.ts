/** What the load generator is told and what it tells: see load-generator.ts. */
import type { Kind } from "./payloads.ts";

/** A stretch of offered load. Without `perSecond` the loop is closed: each connection sends when it was answered. */
export interface Phase {
  seconds: number;
  perSecond?: number;
}

export interface LoadJob {
  port: number;
  apiKey: string;
  kind: Kind;
  /** The stream that every post names. undefined: that of its kind */
  stream?: string | undefined;
  perPost: number;
  connections: number;
  phases: Phase[];
  /** Answers are not counted before. */
  warmupSeconds: number;
  /** An open loop's request that waited this long for its answer counts as an error. */
  timeoutMs: number;
  /** Whether it tells a LoadTick each second. @default false */
  ticks?: boolean;
}

/** What happened since the tick before, told each second while a load runs, and once more after its last answer. */
export interface LoadTick {
  /** Since the load began, in milliseconds. */
  sinceMs: number;
  /** Requests that became due. */
  offered: number;
  /** Answers of 2xx that came, for whichever second their requests were due. */
  answered: number;
  errors: number;
  /** Requests that are due and have no answer yet, at this moment. */
  waiting: number;
  /** The longest that the generator itself was late with a request, in milliseconds: the machine could not offer more. */
  lateMs: number;
  /** Of the answers of 2xx; null: there was none. */
  p50Ms: number | null;
  p99Ms: number | null;
  /** Of those since the load began. */
  allP50Ms: number | null;
  allP99Ms: number | null;
}

/** One second of a run, by the moment at which a request was due. */
export interface LoadSecond {
  offered: number;
  answered: number;
  errors: number;
  p50Ms: number;
  p99Ms: number;
}

export interface LoadResult {
  /** From the end of the warm-up to the last phase's end. */
  seconds: number;
  requests: number;
  events: number;
  errors: number;
  /** Statuses that were answered, the warm-up included. */
  statuses: Record<string, number>;
  /** Counts of a Histogram, latencies from when a request was due. */
  latencies: number[];
  /** The ids of every accepted event, the warm-up included. */
  ids: string[];
  perSecond: LoadSecond[];
  /** Requests due that were never sent or answered. */
  unanswered: number;
  cpuSeconds: number;
}
