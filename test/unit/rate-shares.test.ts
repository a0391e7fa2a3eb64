/** An instance's shares: when it asks for them, and what it does without an answer. By a clock that the test turns. */
import { beforeEach, expect, test } from "vitest";
import { RateShares } from "../../lib/access/rate-shares.ts";
import type { GivenShare, ShareAsk } from "../../lib/buffer/limit-shares.ts";
import type { Log } from "../../lib/log.ts";

let nowMs: number;
let calls: ShareAsk[][];
let said: string[];
/** What is given for each ask. Throws: Redis is away. */
let give: (ask: ShareAsk) => GivenShare;
/** Holds the replies of the calls from now on until it is called. */
let letReply: () => void;
let replying: Promise<void>;
let shares: RateShares;
beforeEach(() => {
  nowMs = 1000;
  calls = [];
  said = [];
  give = () => ({ perSecond: 10, tokens: 50, validMs: 6000, askAgainMs: 5000, fairPerSecond: 10, waitMs: 0 });
  replying = Promise.resolve();
  const say = (event: string) => void said.push(event);
  const log: Log = { debug: say, info: say, warn: say, error: say };
  shares = new RateShares({
    askForShares: async (asks) => {
      calls.push([...asks]);
      await replying;
      return asks.map(give);
    },
    buckets: { take: () => 7, waitSeconds: () => 8 },
    monotonicMs: () => nowMs,
    log,
  });
});

const key = { name: "a", eventsPerSecond: 10 };
const other = { name: "b", eventsPerSecond: 10 };
const hold = () => {
  replying = new Promise((resolve) => {
    letReply = resolve;
  });
};
const settled = () => new Promise((resolve) => setImmediate(resolve));
const away = (): never => {
  throw new Error("away");
};

test("a key without a rate has the instance's bucket, and Redis is not asked", () => {
  const plain = { name: "plain", eventsPerSecond: undefined };
  expect(shares.take(plain, 1)).toBe(7);
  expect(shares.waitSeconds(plain)).toBe(8);
  expect(shares.headersOf(plain)).toBeUndefined();
  expect(calls).toEqual([]);
});

test("the first request of a key waits for its share; after that answers come at once", async () => {
  const first = shares.waitSeconds(key);
  expect(first).toBeInstanceOf(Promise);
  expect(await first).toBe(0);
  expect(shares.waitSeconds(key)).toBe(0);
  expect(shares.take(key, 50)).toBe(0);
  expect(calls.length).toBe(1);
});

test("requests that come while a call is under way share the next one", async () => {
  hold();
  const waiting = [shares.take(key, 1), shares.take(other, 2), shares.take(other, 3)];
  letReply();
  expect(await Promise.all(waiting)).toEqual([0, 0, 0]);
  expect(calls.map((asks) => asks.map(({ keyName, wanted, waiting }) => [keyName, wanted, waiting]))).toEqual(
    [[["a", 1, 1]], [["b", 3, 5]]],
  );
});

test("one call every five seconds asks for all keys, beside a request that does not wait for it, and reports what was used", async () => {
  await shares.take(key, 20);
  await shares.take(other, 4);
  nowMs += 5000;
  calls = [];
  hold();
  expect(shares.waitSeconds(key)).toBe(0); // and the call is under way
  expect(shares.take(key, 1)).toBe(0);
  expect(calls.map((asks) => asks.map(({ keyName, used, tokens }) => [keyName, used, tokens]))).toEqual([
    [
      ["a", 20, 50],
      ["b", 4, 50],
    ],
  ]);
  letReply();
  await settled();
  expect(shares.take(key, 50)).toBeGreaterThan(0); // one of the fifty is gone
  expect(shares.take(key, 49)).toBe(0);
  expect(calls.length).toBe(1);
});

test("a key that nobody used is not asked for, so its share lapses", async () => {
  await shares.take(key, 1);
  await shares.take(other, 1);
  for (let i = 0; i < 2; i++) {
    nowMs += 5000;
    shares.waitSeconds(key);
    await settled();
  }
  expect(calls.at(-1)?.map(({ keyName }) => keyName)).toEqual(["a"]);
});

test("a share that is over lets nothing through, however much of it is left: a frozen instance asks first", async () => {
  await shares.take(key, 1);
  nowMs += 60_000;
  give = () => ({ perSecond: 0, tokens: 0, validMs: 2000, askAgainMs: 700, fairPerSecond: 5, waitMs: 0 });
  const waiting = shares.waitSeconds(key);
  expect(waiting).toBeInstanceOf(Promise);
  expect(await waiting).toBe(1);
  expect(calls.at(-1)?.[0]).toMatchObject({ tokens: 0 });
});

test("the reply to a call that a freeze interrupted gives nothing: the request asks again", async () => {
  hold();
  const waiting = shares.take(key, 1);
  nowMs += 60_000;
  letReply();
  expect(await waiting).toBe(0);
  expect(calls.length).toBe(2);
});

test("gains by its rate, up to five seconds of it", async () => {
  give = () => ({ perSecond: 10, tokens: 0, validMs: 6000, askAgainMs: 5000, fairPerSecond: 10, waitMs: 0 });
  expect(await shares.take(key, 1)).toBe(1);
  nowMs += 1000;
  expect(shares.take(key, 10)).toBe(0);
  expect(shares.take(key, 1)).toBe(1);
  nowMs += 3999;
  expect(shares.take(key, 39)).toBe(0);
});

test("Redis away: the last share goes on as a rate, and is asked for every five seconds", async () => {
  await shares.take(key, 50);
  give = away;
  calls = [];
  let passed = 0;
  for (let i = 0; i < 600; i++) {
    nowMs += 100;
    if ((await shares.waitSeconds(key)) === 0 && (await shares.take(key, 1)) === 0) passed += 1;
    await settled();
  }
  expect(passed).toBeGreaterThanOrEqual(590);
  expect(passed).toBeLessThanOrEqual(610);
  expect(calls.length).toBeLessThanOrEqual(14);
  expect(said).toEqual(["limits.unshared"]);
  give = () => ({ perSecond: 10, tokens: 50, validMs: 6000, askAgainMs: 5000, fairPerSecond: 10, waitMs: 0 });
  nowMs += 5000;
  await shares.waitSeconds(key);
  await settled();
  expect(said).toEqual(["limits.unshared", "limits.shared"]);
});

test("Redis hangs: nobody waits for a share while the last one lasts", async () => {
  await shares.take(key, 1);
  hold();
  nowMs += 5000;
  for (let i = 0; i < 9; i++) {
    expect(shares.waitSeconds(key)).toBe(0);
    expect(shares.take(key, 1)).toBe(0);
    nowMs += 100;
  }
  give = away; // the call gives up after a second
  letReply();
  await settled();
  nowMs += 1000;
  expect(shares.take(key, 1)).toBe(0);
});

test("Redis away from the start: a key has its whole rate, with a burst of five seconds", async () => {
  give = away;
  expect(await shares.take(key, 50)).toBe(0);
  expect(shares.take(key, 1)).toBeGreaterThan(0);
  nowMs += 1000;
  expect(shares.take(key, 10)).toBe(0);
});

test("asks for more at once, if a reply says that more is to be had", async () => {
  give = ({ wanted }) => ({
    perSecond: 0,
    tokens: wanted,
    validMs: 2000,
    askAgainMs: 0,
    fairPerSecond: 10,
    waitMs: 0,
  });
  expect(await shares.waitSeconds(key)).toBe(0);
  expect(await shares.take(key, 30)).toBe(0);
  expect(calls.map(([ask]) => [ask?.wanted, ask?.tokens])).toEqual([
    [1, 0],
    [30, 1],
  ]);
});

test("demand counts what is refused, and is known after a second", async () => {
  give = () => ({ perSecond: 0, tokens: 0, validMs: 6000, askAgainMs: 5000, fairPerSecond: 10, waitMs: 0 });
  await shares.take(key, 1);
  expect(calls[0]?.[0]?.demandPerSecond).toBeUndefined();
  for (let i = 0; i < 10; i++) {
    nowMs += 100;
    shares.take(key, 5);
  }
  shares.waitSeconds(key);
  expect(calls[1]?.[0]?.demandPerSecond).toBe(51);
});

test("says what is left as draft 10 has it", async () => {
  await shares.take(key, 8);
  expect(shares.headersOf(key)).toEqual({
    "ratelimit-policy": '"key";q=50;w=5',
    ratelimit: '"key";r=42;t=5',
  });
  nowMs += 2500;
  expect(shares.headersOf(key)).toMatchObject({ ratelimit: '"key";r=50;t=3' });
  expect(shares.headersOf(key, 9)).toMatchObject({ ratelimit: '"key";r=0;t=9' });
});

test("a request of more than a minute's worth never passes", () => {
  expect(shares.largestRequest({ name: "a", eventsPerSecond: 0.5 })).toBe(30);
  expect(shares.largestRequest({ name: "a", eventsPerSecond: undefined })).toBe(Number.POSITIVE_INFINITY);
});
