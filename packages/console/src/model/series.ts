/** The charts' data of 15 minutes, and how long until the buffer is empty or full. */
import { LIVE_HISTORY_MS } from "../../../../lib/contract/live.ts";
import { BUCKET_MS, type Buckets, bucketOf } from "./seconds.ts";

/** A point is null where nothing is known. */
type Points = (number | null)[];

export interface Series {
  /** Seconds since 1970, the end of each bucket. */
  atSeconds: number[];
  waiting: Points;
  /** Age of the oldest event, in seconds. */
  oldest: Points;
  /** Events that came into the buffer, and that left it, per second. */
  inPerSecond: Points;
  outPerSecond: Points;
}

/** `sinceMs`: when the history begins; before it nothing is known. `nowMs`: the supervisor's clock. */
export function seriesOf(buckets: Buckets, sinceMs: number, nowMs: number): Series {
  const series: Series = { atSeconds: [], waiting: [], oldest: [], inPerSecond: [], outPerSecond: [] };
  const last = bucketOf(nowMs);
  let waiting: number | null = null;
  let oldestAtMs: number | null = null;
  for (let index = last - LIVE_HISTORY_MS / BUCKET_MS; index <= last; index++) {
    const endMs = Math.min((index + 1) * BUCKET_MS, nowMs);
    const bucket = buckets.get(index);
    const isKnown = endMs > sinceMs;
    const before: number | null = waiting;
    waiting = bucket?.waiting ?? waiting;
    if (bucket?.oldestAtMs !== undefined) oldestAtMs = bucket.oldestAtMs;
    const settled = bucket?.settled ?? 0;
    series.atSeconds.push(endMs / 1000);
    series.waiting.push(isKnown ? waiting : null);
    series.oldest.push(isKnown && waiting !== null ? ageOf(waiting, oldestAtMs, endMs) : null);
    series.outPerSecond.push(isKnown ? settled / (BUCKET_MS / 1000) : null);
    series.inPerSecond.push(isKnown ? inflow(before, waiting, settled) : null);
  }
  return series;
}

const ageOf = (waiting: number, oldestAtMs: number | null, atMs: number): number | null =>
  waiting === 0 ? 0 : oldestAtMs === null ? null : Math.max(0, (atMs - oldestAtMs) / 1000);

/** What came in is what left, and what waits more than before. */
function inflow(before: number | null, after: number | null, settled: number): number | null {
  if (after === null) return null;
  return Math.max(0, settled + after - (before ?? after)) / (BUCKET_MS / 1000);
}

/** Of so many of the last buckets a forecast is made: a minute. */
const FORECAST_BUCKETS = 12;

export interface Forecast {
  kind: "empty" | "full" | "steady" | "unknown";
  /** In so many milliseconds, if it goes on as in the last minute. */
  inMs?: number;
}

/** When the buffer will be empty or full. `capacityBytes`: how much it takes; undefined: it is not known. */
export function forecastOf(series: Series, buckets: Buckets, capacityBytes: number | undefined): Forecast {
  const waiting = series.waiting.at(-1);
  if (waiting == null) return { kind: "unknown" };
  if (waiting === 0) return { kind: "steady" };
  const net = meanOf(series.inPerSecond) - meanOf(series.outPerSecond);
  if (net < 0) return { kind: "empty", inMs: (waiting / -net) * 1000 };
  const bytes = bytesPerRow(buckets);
  if (net === 0) return { kind: "steady" };
  if (bytes === undefined || capacityBytes === undefined) return { kind: "unknown" };
  return { kind: "full", inMs: (Math.max(0, capacityBytes / bytes - waiting) / net) * 1000 };
}

function meanOf(points: Points): number {
  const last = points.slice(-FORECAST_BUCKETS).filter((point) => point !== null);
  return last.length === 0 ? 0 : last.reduce((sum, point) => sum + point, 0) / last.length;
}

function bytesPerRow(buckets: Buckets): number | undefined {
  const all = [...buckets.values()];
  const rows = all.reduce((sum, { settled }) => sum + settled, 0);
  return rows === 0 ? undefined : all.reduce((sum, { bytes }) => sum + bytes, 0) / rows;
}
