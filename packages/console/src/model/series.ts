/** The charts' data of 15 minutes, or of as long as the history is, and how long until the buffer is empty or full. */
import { LIVE_HISTORY_MS } from "../../../../lib/contract/live-bounds.ts";
import { BUCKET_MS, type Bucket, type Buckets, bucketOf, EMPTY_BUCKET } from "./seconds.ts";

/** A point is null where nothing is known. */
type Points = (number | null)[];

export interface Series {
  /** Seconds since 1970, the end of each bucket. */
  atSeconds: number[];
  /** The most that waited in each bucket. */
  waiting: Points;
  /** Age of the oldest event, in seconds, at its highest. */
  oldest: Points;
  /** Events that came into the buffer, and that left it, per second. */
  inPerSecond: Points;
  outPerSecond: Points;
  /** What waits at the end; null: it is not known. */
  waitingNow: number | null;
}

/** A chart of a shorter history than two minutes would be a few points. */
const BUCKETS_MIN = 120_000 / BUCKET_MS;

/** `sinceMs`: when the history begins; before it nothing is known. `nowMs`: the supervisor's clock. */
export function seriesOf(buckets: Buckets, sinceMs: number, nowMs: number): Series {
  const series: Series = {
    atSeconds: [],
    waiting: [],
    oldest: [],
    inPerSecond: [],
    outPerSecond: [],
    waitingNow: null,
  };
  const last = bucketOf(nowMs);
  let seen: Seen = { before: null, waiting: null, oldestAtMs: null };
  const first = Math.min(bucketOf(sinceMs), last - BUCKETS_MIN);
  for (let index = Math.max(first, last - LIVE_HISTORY_MS / BUCKET_MS); index <= last; index++) {
    const endMs = Math.min((index + 1) * BUCKET_MS, nowMs);
    const bucket = buckets.get(index) ?? EMPTY_BUCKET;
    const oldestAtMs: number | null = bucket.oldestAtMs === undefined ? seen.oldestAtMs : bucket.oldestAtMs;
    seen = { before: seen.waiting, waiting: bucket.waiting ?? seen.waiting, oldestAtMs };
    const point = endMs > sinceMs ? pointOf(bucket, seen, endMs) : UNKNOWN;
    const isOver = endMs === (index + 1) * BUCKET_MS; // the rate of a part of a bucket would be too low
    series.atSeconds.push(endMs / 1000);
    series.waiting.push(point.waiting);
    series.oldest.push(point.oldest);
    series.inPerSecond.push(isOver ? point.inPerSecond : null);
    series.outPerSecond.push(isOver ? point.outPerSecond : null);
  }
  return { ...series, waitingNow: seen.waiting };
}

/** What was known to wait at the beginning and at the end of a bucket, and since when the oldest of it. */
interface Seen {
  before: number | null;
  waiting: number | null;
  oldestAtMs: number | null;
}

type Point = Record<"waiting" | "oldest" | "inPerSecond" | "outPerSecond", number | null>;
const UNKNOWN: Point = { waiting: null, oldest: null, inPerSecond: null, outPerSecond: null };

function pointOf(
  { settled, peak, peakAgeMs }: Bucket,
  { before, waiting, oldestAtMs }: Seen,
  endMs: number,
): Point {
  const outPerSecond = settled / (BUCKET_MS / 1000);
  if (waiting === null) return { ...UNKNOWN, outPerSecond };
  const age = ageOf(waiting, oldestAtMs, endMs);
  return {
    waiting: Math.max(waiting, peak),
    oldest: age === null ? null : Math.max(age, peakAgeMs / 1000),
    inPerSecond: inflow(before ?? waiting, waiting, settled),
    outPerSecond,
  };
}

const ageOf = (waiting: number, oldestAtMs: number | null, atMs: number): number | null =>
  waiting === 0 ? 0 : oldestAtMs === null ? null : Math.max(0, (atMs - oldestAtMs) / 1000);

/** What came in is what left, and what waits more than before. */
const inflow = (before: number, after: number, settled: number): number =>
  Math.max(0, settled + after - before) / (BUCKET_MS / 1000);

/** Of so many of the last buckets a forecast is made: a minute. */
const FORECAST_BUCKETS = 12;

export interface Forecast {
  kind: "empty" | "full" | "steady" | "unknown";
  /** In so many milliseconds, if it goes on as in the last minute. */
  inMs?: number;
}

/**
 * When the buffer will be empty or full. `capacityBytes`: how much it takes; undefined: it is not known. `hasPaused`: something of a paused
 * stream waits, so it does not become empty.
 */
export function forecastOf(
  series: Series,
  buckets: Buckets,
  capacityBytes: number | undefined,
  hasPaused: boolean,
): Forecast {
  const waiting = series.waitingNow;
  if (waiting === null) return { kind: "unknown" };
  if (waiting === 0) return { kind: "steady" };
  const net = meanOf(series.inPerSecond) - meanOf(series.outPerSecond);
  if (net < 0 && hasPaused) return { kind: "unknown" };
  if (net < 0) return { kind: "empty", inMs: (waiting / -net) * 1000 };
  const bytes = bytesPerRow(buckets);
  if (net === 0) return { kind: "steady" };
  if (bytes === undefined || capacityBytes === undefined) return { kind: "unknown" };
  return { kind: "full", inMs: (Math.max(0, capacityBytes / bytes - waiting) / net) * 1000 };
}

function meanOf(points: Points): number {
  const last = points.filter((point) => point !== null).slice(-FORECAST_BUCKETS);
  return last.length === 0 ? 0 : last.reduce((sum, point) => sum + point, 0) / last.length;
}

function bytesPerRow(buckets: Buckets): number | undefined {
  const all = [...buckets.values()];
  const rows = all.reduce((sum, { settled }) => sum + settled, 0);
  return rows === 0 ? undefined : all.reduce((sum, { bytes }) => sum + bytes, 0) / rows;
}
