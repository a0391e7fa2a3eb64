/** A key's rate is kept over all instances and in any minute, whatever comes, by the real script on a real Redis and a clock of its own. */
import { Redis } from "ioredis";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { workerServers } from "../worker-servers.ts";
import {
  highestLevel,
  leastPartOf,
  mostInAMinute,
  oneBucket,
  openInstances,
  randomFrom,
  type Sent,
  simulate,
  sumOf,
} from "./limit-simulation.ts";

let redis: Redis;
beforeAll(() => {
  redis = new Redis(workerServers().redisUrl);
});
beforeEach(() => redis.flushdb());
afterAll(() => redis.quit());

const END_MS = 150_000;

/** Requests at random moments, so many events a second on average; `to` chooses the instance of each. */
function at(
  perSecond: number,
  to: (random: number, atMs: number) => number,
  { events = 1, fromMs = 0, toMs = END_MS } = {},
): Sent[] {
  const random = randomFrom(7);
  const sent: Sent[] = [];
  for (let atMs = fromMs; ; ) {
    atMs -= (Math.log(1 - random()) / perSecond) * 1000 * events;
    if (atMs >= toMs) return sent;
    sent.push({ atMs, instance: to(random(), atMs), events });
  }
}

const sorted = (...parts: Sent[][]): Sent[] => parts.flat().sort((a, b) => a.atMs - b.atMs);

const even = (instances: number) => (random: number) => Math.floor(random * instances);
/** A few instances get most. */
const uneven = (instances: number) => (random: number) => Math.floor(random ** 3 * instances);

const loads: [name: string, perSecond: number, requests: () => Sent[]][] = [
  ...[1, 2, 20].flatMap((instances) =>
    [0.5, 0.9, 1, 1.2, 10].map((load): [string, number, () => Sent[]] => [
      `${load} times the rate over ${instances}, all beginning at once`,
      40,
      () => at(40 * load, even(instances)),
    ]),
  ),
  ...[1, 1.2, 3].map((load): [string, number, () => Sent[]] => [
    `${load} times the rate over 20, most at a few`,
    50,
    () => at(50 * load, uneven(20)),
  ]),
  ...[1, 5, 20].flatMap((instances) =>
    [0.5, 1, 10].map((load): [string, number, () => Sent[]] => [
      `a rate of 1 a second: ${load} times as much over ${instances}`,
      1,
      () => at(load, even(instances)),
    ]),
  ),
  ["ten times a small rate over 20", 10, () => at(100, even(20))],
  ["requests of 10 over 20", 50, () => at(150, even(20), { events: 10 })],
  [
    "19 more begin at once after a minute",
    100,
    () => at(100, (random, atMs) => (atMs < 60_000 ? 0 : even(20)(random))),
  ],
  [
    "a burst falls on one with a share that it hardly uses, and on one that is new",
    100,
    () =>
      sorted(
        at(10, () => 0),
        at(20_000, even(2), { fromMs: 60_000, toMs: 60_200 }),
      ),
  ],
  [
    "20 join one that goes on with all that it may send",
    100,
    () =>
      sorted(
        at(200, () => 20),
        at(400, even(20), { fromMs: 60_000 }),
      ),
  ],
  ["all of it goes from one to another", 100, () => at(200, (_, atMs) => (atMs < 60_000 ? 0 : 1))],
  [
    "one of two is frozen with its share",
    100,
    () => at(100, (random, atMs) => (atMs < 60_000 || atMs > 120_000 ? even(2)(random) : 0)),
  ],
  [
    "the only one is frozen with its share",
    100,
    () => at(200, (_, atMs) => (atMs < 60_000 || atMs > 120_000 ? 0 : 1)),
  ],
  ["a load that comes and goes", 50, () => at(200, even(10)).filter(({ atMs }) => atMs % 20_000 < 7000)],
];

describe("within 10 % of the rate in any minute, over and under", () => {
  test.each(loads)("%s", async (_, perSecond, make) => {
    const requests = make();
    const { passed } = await simulate(redis, perSecond, requests);
    expect(mostInAMinute(passed) / (60 * perSecond)).toBeLessThanOrEqual(1.1);
    expect(leastPartOf(oneBucket(perSecond, requests), passed, END_MS)).toBeGreaterThanOrEqual(0.9);
    // More than the rate allows passes only of what five seconds had left over, and what passes while a call is under way.
    expect(highestLevel(perSecond, passed)).toBeLessThanOrEqual(5 + 1 / perSecond);
  });
});

test.each([1, 5])(
  "a rate that was lowered is kept from then on, and one that was raised is given: over %i",
  async (count) => {
    const requests = at(400, even(count));
    const perSecond = (atMs: number) => (atMs < 31_500 ? 200 : atMs < 91_500 ? 10 : 100);
    const { passed } = await simulate(redis, perSecond, requests);
    const within = (fromMs: number, toMs: number) =>
      sumOf(passed.filter(({ atMs }) => atMs >= fromMs && atMs < toMs));
    expect(within(31_500, 91_500)).toBeLessThanOrEqual(1.1 * 60 * 10);
    expect(within(90_000 + 1500, 150_000)).toBeGreaterThanOrEqual(0.9 * 58.5 * 100);
    expect(within(90_000 + 1500, 150_000)).toBeLessThanOrEqual(1.1 * 60 * 100);
  },
);

const HOUR_MS = 3_600_000;

test.each([
  ["back", 0.9, 20, -HOUR_MS],
  ["back", 5, 5, -HOUR_MS],
  ["back by a second, many times", 0.9, 20, 0],
  ["forth", 0.9, 20, HOUR_MS],
  ["forth", 5, 5, HOUR_MS],
])(
  "within 10 % also if Redis's clock is set %s: %f times the rate over %i",
  async (_, load, instances, by) => {
    const requests = at(40 * load, even(instances));
    const ahead = (atMs: number) => (by === 0 ? -1000 * Math.floor(atMs / 10_000) : atMs < 60_000 ? 0 : by);
    const { passed } = await simulate(redis, 40, requests, ahead);
    expect(mostInAMinute(passed) / (60 * 40)).toBeLessThanOrEqual(1.1);
    expect(leastPartOf(oneBucket(40, requests), passed, END_MS)).toBeGreaterThanOrEqual(0.9);
  },
);

test("large requests pass after Redis's clock was set back", async () => {
  const requests = at(60, even(2), { events: 1000 });
  const { passed } = await simulate(redis, 50, requests, (atMs) => (atMs < 30_000 ? 0 : -HOUR_MS));
  expect(sumOf(passed)).toBeGreaterThanOrEqual(0.8 * sumOf(oneBucket(50, requests)));
});

describe("what it costs", () => {
  test.each([
    ["half the rate", 0.5],
    ["ten times the rate", 10],
  ])("one call an instance in five seconds: %s", async (_, load) => {
    const { calls, instances } = await simulate(redis, 400, at(400 * load, even(4)));
    const few = 20; // within the first second, while Redis does not know the demand of an instance
    expect(calls / instances).toBeLessThanOrEqual(END_MS / 5000 + few);
  });
});

test.each([
  ["a rate of many requests", 40, 20],
  ["a rate of few requests", 2, 1],
])("2,000 keys at once, %s: nobody below its rate is refused", async (_, eventsPerSecond, perStep) => {
  const { clock, instanceOf, settle } = openInstances(redis);
  const rates = instanceOf(0);
  const keys = Array.from({ length: 2000 }, (_, i) => ({ name: `key-${i}`, eventsPerSecond }));
  const refused = new Map<number, number>();
  for (const step of Array(20).keys()) {
    clock.nowMs = 1000 * step;
    const waits = await Promise.all(
      keys.map(async (key) => (await rates.waitSeconds(key)) || rates.take(key, perStep)),
    );
    await settle();
    const count = waits.filter((waitSeconds) => waitSeconds > 0).length;
    if (count > 0) refused.set(step, count);
  }
  expect([...refused]).toEqual([]);
});

test.each([
  ["1 event at 1 a second", 1, 1, 1],
  ["5 events at 1 a second", 1, 5, 2],
  ["60 events at 1 a second", 1, 60, 4],
  ["1,000 events at 100 a second", 100, 1000, 3],
])(
  "who waits as long as a refusal says gets through, after few refusals: %s",
  async (_, perSecond, events, most) => {
    const { clock, instanceOf, settle } = openInstances(redis);
    const rates = instanceOf(0);
    const key = { name: "patient", eventsPerSecond: perSecond };
    let passed = 0;
    let refused = 0;
    while (clock.nowMs < 600_000) {
      const waitSeconds = (await rates.waitSeconds(key)) || (await rates.take(key, events));
      await settle();
      if (waitSeconds > 0) refused += 1;
      else passed += 1;
      clock.nowMs += waitSeconds > 0 ? 1000 * waitSeconds : 1;
    }
    expect(passed * events).toBeGreaterThanOrEqual(0.9 * 600 * perSecond);
    expect(refused / passed).toBeLessThanOrEqual(most);
  },
);

describe("large requests", () => {
  test.each([1, 5, 20])(
    "of 1,000 events, at 50 a second over %i: some pass, and never too many",
    async (instances) => {
      const requests = at(150, even(instances), { events: 1000 });
      const { passed } = await simulate(redis, 50, requests);
      expect(mostInAMinute(passed)).toBeLessThanOrEqual(60 * 50 * 1.1);
      expect(sumOf(passed)).toBeGreaterThanOrEqual(0.8 * sumOf(oneBucket(50, requests)));
    },
  );

  test("of 1,000 events pass beside small ones that leave room for them", async () => {
    const large = Array.from({ length: 100 }, (_, i) => ({ atMs: 1500 * i, instance: 0, events: 1000 }));
    const { passed } = await simulate(redis, 50, sorted(at(20, even(5)), large));
    expect(mostInAMinute(passed)).toBeLessThanOrEqual(60 * 50 * 1.1);
    expect(passed.filter(({ events }) => events === 1000).length).toBeGreaterThanOrEqual(2);
  });

  test("of all sizes", async () => {
    const random = randomFrom(3);
    const requests = at(2, even(5)).map((one) => ({ ...one, events: Math.ceil(1000 ** random()) }));
    const { passed } = await simulate(redis, 100, requests);
    expect(mostInAMinute(passed)).toBeLessThanOrEqual(60 * 100 * 1.1);
    expect(sumOf(passed)).toBeGreaterThanOrEqual(0.9 * sumOf(oneBucket(100, requests)));
  });
});

test("a key that was idle has the tokens of five seconds, on whichever instances its burst falls", async () => {
  const burst = Array.from({ length: 1000 }, (_, i) => ({ atMs: 2 * i, instance: i % 20, events: 1 }));
  const { passed } = await simulate(redis, 100, burst);
  expect(passed.length).toBeGreaterThan(500);
  expect(passed.length).toBeLessThanOrEqual(700);
});

test("what Redis keeps of a key is gone after it was idle for a while, and nonsense in its place counts as nothing", async () => {
  await redis.set("{spillway}:key-rate:simulated", "v1 nonsense");
  const { passed } = await simulate(redis, 10, at(20, even(2), { toMs: 10_000 }));
  expect(passed.length).toBeGreaterThan(100);
  expect(await redis.pttl("{spillway}:key-rate:simulated")).toBeGreaterThan(0);
});
