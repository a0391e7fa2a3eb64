/** What the drain stored is counted in quarters of an hour, for longer than the longest day. */
import { expect, test } from "vitest";
import { LiveStoredCounts } from "../../lib/operate/live-stored.ts";

const HOUR_MS = 3_600_000;
const retried = (stored: number, stream = "orders") => ({
  kind: "retried" as const,
  stream,
  stored,
  dead: 0,
});

test("counts are by quarter, without Spillway's own rows, and go back 26 hours", () => {
  const beganMs = Date.parse("2026-11-28T10:07:00Z");
  let ms = beganMs;
  const counts = new LiveStoredCounts(() => ms);
  counts.add(retried(2));
  counts.add(retried(0));
  counts.add(retried(9, "spillway_usage"));
  ms += 14 * 60_000;
  counts.add(retried(3));
  expect(counts.report()).toEqual({
    sinceAt: "2026-11-28T10:07:00.000Z",
    quarters: [
      { at: "2026-11-28T10:00:00.000Z", stored: 2 },
      { at: "2026-11-28T10:15:00.000Z", stored: 3 },
    ],
  });
  ms = beganMs + 26 * HOUR_MS + 40 * 60_000;
  expect(counts.report()).toEqual({ sinceAt: "2026-11-28T10:47:00.000Z", quarters: [] });
  for (let hour = 0; hour < 1000; hour++) {
    ms += HOUR_MS;
    counts.add(retried(1));
  }
  expect(counts.report().quarters).toHaveLength(27);
});
