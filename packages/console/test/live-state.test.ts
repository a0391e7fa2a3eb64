/** The state that follows from lines of `GET /live`. */
import { expect, test } from "vitest";
import type { LiveLine } from "../../../lib/contract/live.ts";
import type { LiveBatch, LiveSecond } from "../../../lib/contract/live-history.ts";
import { BATCHES_MAX, NOTHING_SEEN, withLiveLines } from "../src/model/live-state.ts";
import { forecastOf, seriesOf } from "../src/model/series.ts";
import { after, batch, before, counts, hello, NOW, nowMs } from "./lines.ts";

const letters: LiveLine = {
  ...{ kind: "letters", at: NOW },
  streams: [{ stream: "events", dead: 1, held: 0, heldReason: null }],
};
const second = (at: string, rows: number): LiveSecond => ({
  ...{ kind: "second", at },
  streams: [
    {
      ...{ stream: "events", batches: 1, rows, bytes: rows * 200, stored: rows, duplicates: 0 },
      ...{ superseded: 0, held: 0, dead: 0, oldestLagMs: 1, insertMs: 1 },
    },
  ],
});
const settledIn = ({ buckets }: { buckets: ReadonlyMap<number, { settled: number }> }) =>
  [...buckets.values()].reduce((sum, { settled }) => sum + settled, 0);

test("batches and seconds add up, by stream and in the buckets", () => {
  const state = after(second(before(300), 50), batch(100), batch(20, NOW, "leads"));
  expect([...state.stored]).toEqual([
    ["events", 150],
    ["leads", 20],
  ]);
  expect(settledIn(state)).toBe(170);
});

test("a history that goes on keeps what the page has, and the cursor is that of the newest line", () => {
  const first = after(batch(100));
  const newest = batch(1) as LiveBatch;
  const next = withLiveLines(first, [hello({ isContinued: true }), newest], nowMs);
  expect(next.stored.get("events")).toBe(101);
  expect(next.batches).toHaveLength(2);
  expect(next.cursor).toBe(newest.cursor);
});

test("another history forgets the old one, its chart too, and keeps what panels told", () => {
  const first = after(batch(100), letters);
  const next = withLiveLines(first, [hello({ ring: "r2", panels: ["letters"] }), batch(1)], nowMs);
  expect(next.stored.get("events")).toBe(1);
  expect([next.batches.length, settledIn(next)]).toEqual([1, 1]);
  expect(next.letters).toEqual(first.letters);
});

test("what is older than 15 minutes leaves the chart, and the newest batches only are kept", () => {
  const many = Array.from({ length: BATCHES_MAX + 5 }, () => batch(1));
  const state = after(second(before(1000), 50), ...many);
  expect(settledIn(state)).toBe(BATCHES_MAX + 5);
  expect(state.batches).toHaveLength(BATCHES_MAX);
  expect(settledIn(withLiveLines(state, [{ kind: "alive", at: before(-1000) }], nowMs + 1_000_000))).toBe(0);
});

test("a kind of a later release changes nothing but the cursor", () => {
  const state = after();
  const odd = { kind: "eclipse", cursor: state.cursor + 1, at: NOW } as unknown as LiveLine;
  expect(withLiveLines(state, [odd], nowMs)).toEqual({ ...state, cursor: state.cursor + 1 });
});

test("the chart's inflow is what left and what waits more; nothing is drawn before the history", () => {
  const state = withLiveLines(
    NOTHING_SEEN,
    [
      hello({ sinceAt: before(60) }),
      counts([], before(50)),
      counts([{ pending: 500, oldestReceivedAt: before(20) }], before(20)),
      batch(200, before(10)),
      counts([{ pending: 300, oldestReceivedAt: before(20) }], before(10)),
    ],
    nowMs,
  );
  const series = seriesOf(state.buckets, Date.parse(before(60)), nowMs);
  const sum = (points: readonly (number | null)[]) =>
    points.reduce<number>((all, point) => all + (point ?? 0) * 5, 0);
  expect(sum(series.inPerSecond)).toBe(500);
  expect(sum(series.outPerSecond)).toBe(200);
  expect([series.waitingNow, Math.max(...series.waiting.map(Number))]).toEqual([300, 500]);
  expect(series.oldest.at(-1)).toBe(20);
  expect(series.atSeconds[0]).toBe(nowMs / 1000 - 115); // two minutes at least
  expect(series.outPerSecond.filter((point) => point === null)).toHaveLength(13);
});

test("a chart is as long as the history, and 15 minutes at most", () => {
  const lengthOf = (seconds: number) => {
    const { atSeconds } = seriesOf(new Map(), nowMs - seconds * 1000, nowMs);
    return (atSeconds.at(-1) ?? 0) - (atSeconds[0] ?? 0);
  };
  expect([lengthOf(10), lengthOf(300), lengthOf(5000)]).toEqual([115, 295, 895]);
});

test("five seconds that are not over have no rate yet: it would be too low", () => {
  const state = withLiveLines(
    NOTHING_SEEN,
    [hello(), counts([], before(60)), batch(100, before(6)), batch(100, before(1))],
    nowMs,
  );
  const rates = (atMs: number) => seriesOf(state.buckets, Date.parse(before(600)), atMs).outPerSecond;
  expect(rates(nowMs).slice(-3)).toEqual([20, 20, null]);
  expect(rates(nowMs - 500).slice(-3)).toEqual([0, 20, null]);
});

test("a forecast says when the buffer is empty, or full if its size is known", () => {
  const growing = [
    hello(),
    counts([{ pending: 0 }], before(65)),
    batch(100, before(30)),
    counts([{ pending: 1200 }], before(30)),
  ];
  const state = withLiveLines(NOTHING_SEEN, growing, nowMs);
  const series = seriesOf(state.buckets, Date.parse(before(600)), nowMs);
  const full = forecastOf(series, state.buckets, 200 * 13_200, false);
  expect(full.kind).toBe("full");
  expect(full.inMs).toBeGreaterThan(400_000);
  expect(forecastOf(series, state.buckets, undefined, false).kind).toBe("unknown");

  const emptying = [
    hello(),
    counts([{ pending: 1200 }], before(65)),
    batch(600, before(30)),
    counts([{ pending: 600 }], before(30)),
  ];
  const less = withLiveLines(NOTHING_SEEN, emptying, nowMs);
  const lessSeries = seriesOf(less.buckets, Date.parse(before(600)), nowMs);
  const forecast = forecastOf(lessSeries, less.buckets, undefined, false);
  expect(forecast.kind).toBe("empty");
  expect(Math.round((forecast.inMs ?? 0) / 1000)).toBe(60);
  // What is paused does not leave.
  expect(forecastOf(lessSeries, less.buckets, undefined, true).kind).toBe("unknown");
});
