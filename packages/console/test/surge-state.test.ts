/** The surge's page: what it knows after which lines, and where its charts' points are. */
import { expect, test } from "vitest";
import type { SurgeConserved, SurgeHello, SurgeLine, SurgeSecond } from "../../../lib/contract/surge.ts";
import { loadOf, NO_SURGE, withSurgeLines } from "../src/surge/surge-state.ts";
import { HEIGHT, linear, logarithmic, pointsOf, WIDTH } from "../src/surge/trace.ts";

const hello: SurgeHello = {
  ...{ kind: "hello", isRunning: false, calibrated: null },
  ...{ rateMin: 50, rateMax: 5000, secondsMin: 5, secondsMax: 60 },
};
const begun: SurgeLine = {
  ...{ kind: "begun", at: "2026-11-28T00:00:00Z", request: { rate: 200, seconds: 5, mode: "both" } },
};
const second = (more: Partial<SurgeSecond>): SurgeSecond => ({
  ...{ kind: "second", target: "direct", part: "load", second: 1, rate: 200 },
  ...{ offered: 200, answered: 190, errors: 1, unanswered: 9, lateMs: 0 },
  ...{ p50Ms: 1, p99Ms: 2, allP50Ms: 1, allP99Ms: 2 },
  ...{ connections: 12, connectionsMax: 200, stored: 190, waiting: 0 },
  ...more,
});
const conserved: SurgeConserved = {
  ...{ kind: "conserved", target: "direct", offered: 400, errors: 2, unanswered: 0 },
  ...{ accepted: 398, stored: 398, dead: 0, waiting: 0, lost: 0, extra: 0 },
  ...{ p50Ms: 1, p99Ms: 2, isKept: true, text: "398 accepted = 398 stored + 0 dead + 0 waiting." },
};

test("a turn adds up its seconds, keeps its last figures, and ends with its conservation line", () => {
  const last = second({ second: 2, p99Ms: 9, stored: 380, lateMs: 3 });
  const state = withSurgeLines(NO_SURGE, [hello, begun, second({ lateMs: 700 }), last]);
  expect(state).toMatchObject({
    isRunning: true,
    turns: { direct: { offered: 400, answered: 380, errors: 2, lateMs: 700 } },
  });
  expect(state.turns.direct?.last).toEqual(last);
  expect(state.turns.direct?.conserved).toBeUndefined();
  expect(withSurgeLines(state, [conserved]).turns.direct?.conserved).toEqual(conserved);
});

test("seconds of the ramp are no turn, and those of the settling are not in the charts", () => {
  const ramp = second({ part: "ramp", rate: 500 });
  const ramping = withSurgeLines(NO_SURGE, [hello, begun, ramp]);
  expect(ramping).toMatchObject({ ramp, turns: {} });
  const settling = second({
    target: "buffer",
    part: "settling",
    offered: 0,
    answered: 0,
    errors: 0,
    p99Ms: null,
    stored: 400,
  });
  const load = second({ target: "buffer" });
  const { turns } = withSurgeLines(ramping, [load, settling]);
  expect(turns.buffer).toMatchObject({ seconds: [load], last: settling, offered: 200 });
  expect(turns.buffer && loadOf(turns.buffer)).toEqual(load);
});

test("a new surge forgets the turns of the one before, and keeps what is known of this machine", () => {
  const calibrated: SurgeLine = {
    ...{ kind: "calibrated", generatorPerSecond: 9000, heldPerSecond: 500, brokePerSecond: 1000 },
    ...{ why: "slow", text: "Direct inserts hold 500." },
  };
  const ended: SurgeLine = {
    kind: "ended",
    at: "2026-11-28T00:01:00Z",
    why: "finished",
    text: "The surge is over.",
  };
  const over = withSurgeLines(NO_SURGE, [hello, begun, calibrated, second({}), conserved, ended]);
  expect(over).toMatchObject({ isRunning: false, ended, calibrated });
  expect(withSurgeLines(over, [begun])).toMatchObject({
    isRunning: true,
    calibrated,
    turns: {},
    ended: undefined,
  });
});

test("a reader that comes again begins anew, and kinds that it does not know change nothing", () => {
  const before = withSurgeLines(NO_SURGE, [hello, begun, second({})]);
  expect(withSurgeLines(before, [hello])).toEqual(withSurgeLines(NO_SURGE, [hello]));
  expect(withSurgeLines(before, [{ kind: "later" } as unknown as SurgeLine])).toEqual(before);
});

test("a line of a chart goes from left to right, stays inside, and has a gap where nothing was answered", () => {
  expect(pointsOf([0, 200, 400], 3, linear(200))).toEqual([`0,${HEIGHT} ${WIDTH / 2},0 ${WIDTH},0`]);
  expect(pointsOf([1, null, 100_000], 3, logarithmic)).toEqual([`0,${HEIGHT}`, `${WIDTH},0`]);
  expect([10, 1000, 12_000].map(logarithmic)).toEqual([0.2, 0.6, expect.closeTo(0.816, 3)]); // 12 s is not at the edge
  expect(pointsOf([], 3, linear(1))).toEqual([]);
});
