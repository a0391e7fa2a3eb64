/** The live history is bounded in memory, and keeps sums of what it does not keep line by line. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import type { LiveSecond } from "../../lib/contract/live-history.ts";
import { LiveRing } from "../../lib/operate/live-ring.ts";

const BATCH = {
  ...{
    kind: "batch" as const,
    partition: 0,
    rows: 100,
    bytes: 40_000,
    stored: 100,
    duplicates: 0,
    superseded: 0,
  },
  ...{ held: 0, dead: 0, oldestLagMs: 900, newestLagMs: 20, insertMs: 12 },
} as const;

function collect(): number {
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
  return process.memoryUsage().heapUsed;
}

test("half an hour of 100,000 events a minute takes less than 3 MB, and is summed up to 15 minutes back", () => {
  let ms = Date.parse("2026-11-01T10:00:00Z");
  const before = collect();
  const ring = new LiveRing({ now: () => ms, monotonicMs: () => ms });
  for (let n = 0; n < 30_000; n++) {
    ms += 60;
    // As a batch is read: ids are cut from the texts of its envelopes.
    const ids = Array.from({ length: 20 }, (_, i) =>
      `${String(n * 20 + i).padStart(36, "0")}${"x".repeat(4000)}`.slice(0, 36),
    );
    ring.note({ ...BATCH, stream: ["checked", "events", "leads"][n % 3] as string, ids });
  }
  expect(collect() - before).toBeLessThan(3_000_000);
  const seconds = ring.seconds().map((line) => JSON.parse(line) as LiveSecond);
  const sums = seconds.flatMap(({ streams }) => streams);
  const kept = ring.newest - ring.oldest + 1;
  const batches = sums.reduce((sum, one) => sum + one.batches, 0) + kept;
  expect(batches).toBeGreaterThanOrEqual(15_000);
  expect(batches).toBeLessThanOrEqual(15_000 + 20);
  expect(sums.every(({ rows, batches: n }) => rows === 100 * n)).toBe(true);
  expect(new Date(ring.sinceMs).toISOString()).toBe(new Date(ms - 900_000).toISOString());
});

test("what is more than the bounds allow is dropped, and the history begins later", () => {
  let ms = Date.parse("2026-11-01T10:00:00Z");
  const ring = new LiveRing({ now: () => ms, monotonicMs: () => ms });
  const startedMs = ms;
  for (let second = 0; second < 600; second++) {
    ms += 1000;
    for (let n = 0; n < 40; n++) ring.note({ ...BATCH, stream: `stream_${n}`, ids: [] });
  }
  const sums = ring.seconds().flatMap((line) => (JSON.parse(line) as LiveSecond).streams);
  expect(sums.length).toBeLessThanOrEqual(6000);
  expect(ring.sinceMs).toBeGreaterThan(startedMs + 300_000);
  const [first] = ring.seconds();
  expect(Date.parse((JSON.parse(first ?? "{}") as LiveSecond).at)).toBeGreaterThanOrEqual(ring.sinceMs);
});

test("behind a cursor come the lines after it, and how many are not kept any more", () => {
  const ring = new LiveRing({ now: () => 0, monotonicMs: () => 0 });
  for (let n = 0; n < 2500; n++) ring.note({ ...BATCH, stream: "checked", ids: [] });
  const cursorOf = (text: string) =>
    (JSON.parse(text.slice(0, text.indexOf("\n"))) as { cursor: number }).cursor;
  const first = ring.after(100, 1);
  expect(first).toMatchObject({ missed: ring.oldest - 1 - 100, cursor: ring.oldest });
  expect(cursorOf(first?.text ?? "")).toBe(ring.oldest);
  expect(ring.after(2499, 1e6)).toMatchObject({ missed: 0, cursor: 2500 });
  expect(ring.after(2500, 1e6)).toBeUndefined();
});
