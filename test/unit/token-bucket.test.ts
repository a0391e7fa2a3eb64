/** The token bucket of an API key, by a clock that the test turns. */
import { expect, test } from "vitest";
import { TokenBuckets } from "../../lib/access/token-bucket.ts";

test("a token bucket refills by the clock, and a request larger than the burst passes when it is full", () => {
  let nowMs = 0;
  const buckets = new TokenBuckets(10, () => nowMs);
  expect(buckets.take("a", 20)).toBe(0);
  expect(buckets.take("a", 15)).toBe(2);
  expect(buckets.take("b", 1)).toBe(0);
  nowMs += 2000;
  expect(buckets.take("a", 100)).toBe(0);
  nowMs += 1000;
  expect(buckets.take("a", 1)).toBeGreaterThan(0); // still paying
});
