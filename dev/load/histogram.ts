/**
 * A histogram of latencies in the manner of HdrHistogram: 32 buckets for each doubling, so a percentile is within
 * 3 % of the true one, and adding a value costs a few instructions.
 */
const SUB_BITS = 5;
const SUB = 1 << SUB_BITS;
const BUCKETS = SUB * 27; // up to 2^31 µs, more than half an hour

export class Histogram {
  readonly counts: Uint32Array;

  /** `counts` as another process sent them. */
  constructor(counts: ArrayLike<number> = new Uint32Array(BUCKETS)) {
    this.counts = Uint32Array.from(counts);
  }

  addMs(ms: number): void {
    const at = bucketOf(Math.max(0, Math.round(ms * 1000)));
    this.counts[at] = (this.counts[at] ?? 0) + 1;
  }

  merge(other: Histogram): void {
    for (const [i, count] of other.counts.entries()) this.counts[i] = (this.counts[i] ?? 0) + count;
  }

  get total(): number {
    return this.counts.reduce((sum, count) => sum + count, 0);
  }

  /** The latency that `fraction` of all values do not exceed, in milliseconds; NaN where there is none. */
  percentileMs(fraction: number): number {
    const wanted = Math.ceil(this.total * fraction);
    if (wanted === 0) return Number.NaN;
    let seen = 0;
    for (const [i, count] of this.counts.entries()) {
      seen += count;
      if (seen >= wanted) return upperBoundOf(i) / 1000;
    }
    return Number.NaN;
  }

  /** The same as JSON can have it: null where there is none. */
  percentileOrNull(fraction: number): number | null {
    const ms = this.percentileMs(fraction);
    return Number.isNaN(ms) ? null : ms;
  }
}

function bucketOf(us: number): number {
  const exponent = Math.max(0, 31 - Math.clz32(us | 1) - SUB_BITS);
  return Math.min(BUCKETS - 1, exponent * SUB + (us >>> exponent));
}

/** The largest value of a bucket. */
function upperBoundOf(bucket: number): number {
  const exponent = Math.max(0, Math.floor(bucket / SUB) - 1);
  return (bucket - exponent * SUB + 1) * 2 ** exponent - 1;
}
