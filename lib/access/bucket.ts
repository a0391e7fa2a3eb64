/**
 * A token bucket: it gains tokens by its rate, and holds at most its burst. Nothing runs meanwhile: it is filled when it is looked at, by
 * a clock that is never set back.
 */
export interface Bucket {
  tokens: number;
  atMs: number;
}

/** What a bucket gains, in tokens a second, and holds at most. */
export interface BucketSize {
  perSecond: number;
  burst: number;
}

/** Gives the bucket what it has gained until now. */
export function fill(bucket: Bucket, { perSecond, burst }: BucketSize, nowMs: number): void {
  bucket.tokens = Math.min(burst, bucket.tokens + ((nowMs - bucket.atMs) / 1000) * perSecond);
  bucket.atMs = nowMs;
}

/** The whole seconds until a filled bucket has so many tokens; 0: it has them. */
export const secondsUntil = (tokens: number, bucket: Bucket, perSecond: number): number =>
  bucket.tokens >= tokens ? 0 : Math.ceil((tokens - bucket.tokens) / perSecond);

/**
 * Takes tokens from a filled bucket. Returns 0, or, if there are too few, the seconds to wait. More tokens than the burst may be taken
 * from a full bucket: it is below zero then, and fills again before anything else is let through.
 */
export function takeFrom(bucket: Bucket, { perSecond, burst }: BucketSize, count: number): number {
  const waitSeconds = secondsUntil(Math.min(count, burst), bucket, perSecond);
  if (waitSeconds === 0) bucket.tokens -= count;
  return waitSeconds;
}
