/**
 * The last 15 minutes in buckets of five seconds, for the charts: rows that left the buffer, and what waited. The supervisor tells what left
 * it and what waits; what came in follows from both.
 */
import type { LiveLine } from "../../../../lib/contract/live.ts";
import { LIVE_HISTORY_MS } from "../../../../lib/contract/live-bounds.ts";
import type {
  LiveBatch,
  LiveCounts,
  LiveSecond,
  LiveWaiting,
} from "../../../../lib/contract/live-history.ts";

/** The length of a bucket, in milliseconds. */
export const BUCKET_MS = 5000;

/** One bucket. */
export interface Bucket {
  /** Rows that were settled: stored, known before, held or dead. */
  settled: number;
  stored: number;
  bytes: number;
  /** What waited, as the last line in the bucket said it; undefined: no line did, so it had not changed. */
  waiting: number | undefined;
  /** The most that waited, and the longest that anything had waited, in milliseconds, of all its lines. */
  peak: number;
  peakAgeMs: number;
  /** When the oldest of them was received, in milliseconds since 1970; null: nothing waits, or it can't be read. */
  oldestAtMs: number | null | undefined;
}

/** Buckets by the number of their five seconds since 1970. */
export type Buckets = ReadonlyMap<number, Bucket>;

export const bucketOf = (atMs: number): number => Math.floor(atMs / BUCKET_MS);

export const EMPTY_BUCKET: Bucket = {
  settled: 0,
  stored: 0,
  bytes: 0,
  peak: 0,
  peakAgeMs: 0,
  waiting: undefined,
  oldestAtMs: undefined,
};

/** The buckets with these lines, without those older than the history goes back. */
export function withLines(buckets: Buckets, lines: readonly LiveLine[], nowMs: number): Buckets {
  const next = new Map(buckets);
  const oldest = bucketOf(nowMs - LIVE_HISTORY_MS);
  for (const index of next.keys()) if (index < oldest) next.delete(index);
  for (const line of lines) {
    const change = changeOf(line);
    if (change === undefined) continue;
    const index = bucketOf(Date.parse(change.at));
    if (index >= oldest) next.set(index, change.apply(next.get(index) ?? EMPTY_BUCKET));
  }
  return next;
}

interface Change {
  at: string;
  apply(bucket: Bucket): Bucket;
}

function changeOf(line: LiveLine): Change | undefined {
  if (line.kind === "batch") return { at: line.at, apply: (bucket) => withBatch(bucket, line) };
  if (line.kind === "counts") return { at: line.at, apply: (bucket) => withCounts(bucket, line) };
  if (line.kind === "second") return { at: line.at, apply: (bucket) => withSecond(bucket, line) };
  return undefined;
}

const withBatch = (
  bucket: Bucket,
  { rows, stored, bytes }: Pick<LiveBatch, "rows" | "stored" | "bytes">,
): Bucket => ({
  ...bucket,
  settled: bucket.settled + rows,
  stored: bucket.stored + stored,
  bytes: bucket.bytes + bytes,
});

const withCounts = (bucket: Bucket, { at, streams }: Pick<LiveCounts, "at" | "streams">): Bucket =>
  streams === null ? bucket : withSum(bucket, at, streams);

function withSecond(bucket: Bucket, { at, streams, waiting }: LiveSecond): Bucket {
  const settled = streams.reduce(withBatch, bucket);
  return waiting === undefined ? settled : withSum(settled, at, waiting);
}

function withSum(bucket: Bucket, at: string, streams: readonly LiveWaiting[]): Bucket {
  const { waiting, oldestAtMs } = sumOf(streams);
  const ageMs = oldestAtMs === null ? 0 : Date.parse(at) - oldestAtMs;
  const peaks = { peak: Math.max(bucket.peak, waiting), peakAgeMs: Math.max(bucket.peakAgeMs, ageMs) };
  return { ...bucket, waiting, oldestAtMs, ...peaks };
}

/** What waits in all streams together, and since when the oldest of it. */
export function sumOf(streams: NonNullable<LiveCounts["streams"]>): {
  waiting: number;
  oldestAtMs: number | null;
} {
  const received = streams.flatMap(({ oldestReceivedAt }) =>
    oldestReceivedAt === null ? [] : [Date.parse(oldestReceivedAt)],
  );
  const waiting = streams.reduce((sum, { pending, sealed, claimed }) => sum + pending + sealed + claimed, 0);
  return { waiting, oldestAtMs: received.length === 0 ? null : Math.min(...received) };
}
