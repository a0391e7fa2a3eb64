/** What a surge may be asked for, and when direct inserts count as broken. */
import { expect, test } from "vitest";
import type { LoadTick } from "../../dev/load/load-job.ts";
import { Judge, sayCalibrated } from "../../dev/surge/ramp.ts";
import { readSurgeRequest } from "../../dev/surge/surge-request.ts";

const tick = (more: Partial<LoadTick>): LoadTick => ({
  ...{ sinceMs: 0, offered: 100, answered: 100, errors: 0, waiting: 0, lateMs: 0 },
  ...{ p50Ms: 1, p99Ms: 2, allP50Ms: 1, allP99Ms: 2 },
  ...more,
});

/** What is found after a warm-up of two seconds and these; rates 100 and 200, for two seconds each. */
function foundAfter(...seconds: Partial<LoadTick>[]) {
  const judge = new Judge([100, 200], 2);
  for (const awful of [{ errors: 5, p99Ms: 3000 }, { answered: 0 }]) judge.see(tick(awful));
  for (const second of seconds) judge.see(tick(second));
  return judge.found();
}

test("what is offered is bounded, and each refusal is one sentence that names what is wrong", () => {
  expect(readSurgeRequest({ rate: 50, seconds: 60, mode: "both" })).toEqual({
    ...{ rate: 50, seconds: 60, mode: "both" },
  });
  const refused = (request: unknown) => {
    try {
      return readSurgeRequest(request);
    } catch (error) {
      return (error as Error).message;
    }
  };
  const good = { rate: 5000, seconds: 5, mode: "direct" };
  expect(refused({ ...good, rate: 10 })).toBe(
    "rate: expected a whole number from 50 to 5000 (requests a second), got 10.",
  );
  expect(refused({ ...good, rate: 6000 })).toMatch(/^rate: .*, got 6000\.$/);
  expect(refused({ ...good, rate: 99.5 })).toMatch(/^rate: .*, got 99\.5\.$/);
  expect(refused({ ...good, rate: "200" })).toMatch(/^rate: .*, got "200"\.$/);
  expect(refused({ ...good, seconds: 61 })).toBe(
    "seconds: expected a whole number from 5 to 60 (seconds), got 61.",
  );
  expect(refused({ ...good, mode: "x" })).toBe('mode: expected direct, buffer or both, got "x".');
  for (const nothing of [undefined, null, 7, "x", []])
    expect(refused(nothing)).toMatch(/^rate: .*, got nothing\.$/);
});

test("rates that are answered in time are held, whatever the warm-up was like", () => {
  expect(foundAfter({}, {}, {}, {})).toEqual({
    ...{ heldPerSecond: 200, brokePerSecond: null, why: null },
  });
});

test("an error breaks a rate; slowness and a backlog do if they last until its end", () => {
  expect(foundAfter({}, {}, { errors: 1 })).toEqual({
    ...{ heldPerSecond: 100, brokePerSecond: 200, why: "errors" },
  });
  expect(foundAfter({ p99Ms: 5000, answered: 10 }, { answered: 190 }, {}, { p99Ms: 1001 })).toEqual({
    ...{ heldPerSecond: 100, brokePerSecond: 200, why: "slow" },
  });
  expect(foundAfter({}, { answered: 89 })).toEqual({
    ...{ heldPerSecond: null, brokePerSecond: 100, why: "behind" },
  });
  expect(foundAfter({}, { p99Ms: null, answered: 0 })).toMatchObject({ brokePerSecond: 100, why: "behind" });
});

test("what comes after the break changes nothing", () => {
  expect(foundAfter({ errors: 1 }, {}, {}, {}, { p99Ms: 5000 })).toEqual({
    ...{ heldPerSecond: null, brokePerSecond: 100, why: "errors" },
  });
});

test("the sentence says both rates, and what the generator can offer", () => {
  const of = { kind: "calibrated", generatorPerSecond: 14_200 } as const;
  expect(sayCalibrated({ ...of, heldPerSecond: 1000, brokePerSecond: 2000, why: "slow" })).toBe(
    "Direct inserts hold 1,000 requests a second on this machine, and break at 2,000 (one in a hundred waited longer than a second). The load generator alone can offer 14,200.",
  );
  expect(sayCalibrated({ ...of, heldPerSecond: null, brokePerSecond: 250, why: "errors" })).toMatch(
    /^Direct inserts break at 250 requests a second on this machine \(requests failed\)\. /,
  );
  expect(sayCalibrated({ ...of, heldPerSecond: 8000, brokePerSecond: null, why: null })).toMatch(
    /^Direct inserts hold 8,000 requests a second on this machine, the most that was tried\. /,
  );
});
