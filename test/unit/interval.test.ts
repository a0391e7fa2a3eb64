/** Intervals of settings: their units, and from where to where they go. */
import { expect, test } from "vitest";
import { intervalMsOf } from "../../lib/interval.ts";

test.each([
  ["10ms", 10],
  ["500ms", 500],
  [" 60s ", 60_000],
  ["5m", 300_000],
  ["1h", 3_600_000],
  ["2147483647ms", 2_147_483_647],
])("%j is an interval", (text, ms) => expect(intervalMsOf(text)).toBe(ms));

test.each(["", "60", "60 s", "1d", "-1s", "1.5s", "s", "9ms", "0s", "2147483648ms", "600h"])(
  "%j is none",
  (text) => expect(intervalMsOf(text)).toBeUndefined(),
);
