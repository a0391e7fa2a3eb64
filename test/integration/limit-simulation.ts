/**
 * Instances that share the rate of one key: the real script on a real Redis, and a clock that goes on from request to request. It meters
 * what they let through, beside one bucket that all requests would go through.
 */
import { readFileSync } from "node:fs";
import type { Redis } from "ioredis";
import { RateShares } from "../../lib/access/rate-shares.ts";
import { createLimitShares } from "../../lib/buffer/limit-shares.ts";
import type { Log } from "../../lib/log.ts";

/** A request: when, to which instance, with how many events. */
export interface Sent {
  atMs: number;
  instance: number;
  events: number;
}

/** A number from 0 to 1, the same ones in each run. */
export function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

const SCRIPT = readFileSync(new URL("../../lib/buffer/lua/share-limits.lua", import.meta.url), "utf8");
const TIME = 'redis.call("TIME")';
const STARTED_AT_MS = 1_764_000_000_000;
const MINUTE_MS = 60_000;

/** A log that accepts nothing: a call that fails would make the simulation another one. */
const fail = (event: string, fields?: object) => {
  throw new Error(`expected nothing to be logged, got ${event} ${JSON.stringify(fields)}`);
};
const log: Log = { debug: fail, info: fail, warn: fail, error: fail };

/** Instances on the real script, whose clock a test turns. */
export function openInstances(redis: Redis) {
  if (SCRIPT.split(TIME).length !== 2) throw new Error(`expected the script to say ${TIME} once`);
  const clock = { nowMs: 0, calls: 0, wallAheadMs: 0 };
  let underWay: Promise<unknown> = Promise.resolve();
  const exec = (keys: string[], args: string[]) => {
    clock.calls += 1;
    const wallMs = STARTED_AT_MS + clock.wallAheadMs + Math.round(clock.nowMs);
    const timed = SCRIPT.replace(TIME, `{${Math.floor(wallMs / 1000)}, ${(wallMs % 1000) * 1000}}`);
    const reply = redis.eval(timed, keys.length, ...keys, ...args);
    underWay = reply.catch(() => {});
    return reply;
  };
  const instances = new Map<number, RateShares>();
  const instanceOf = (number: number): RateShares => {
    const made =
      instances.get(number) ??
      new RateShares({
        askForShares: createLimitShares({ createScript: () => ({ exec }) } as never, `instance-${number}`),
        buckets: { take: () => 0, waitSeconds: () => 0 },
        monotonicMs: () => clock.nowMs,
        log,
      });
    instances.set(number, made);
    return made;
  };
  /** A call beside a request has its reply before the next request comes. */
  const settle = async () => {
    for (let before: unknown; before !== underWay; ) {
      before = underWay;
      await underWay;
      await new Promise(setImmediate);
    }
  };
  return { clock, instances, instanceOf, settle };
}

/** Sends the requests in their order. `wallAheadMs`: by how much Redis's clock is set forth at a moment. */
export async function simulate(
  redis: Redis,
  perSecond: number | ((atMs: number) => number),
  requests: readonly Sent[],
  wallAheadMs: (atMs: number) => number = () => 0,
) {
  const { clock, instances, instanceOf, settle } = openInstances(redis);
  const passed: Sent[] = [];
  for (const request of requests) {
    clock.nowMs = request.atMs;
    clock.wallAheadMs = wallAheadMs(request.atMs);
    const eventsPerSecond = typeof perSecond === "number" ? perSecond : perSecond(request.atMs);
    const key = { name: "simulated", eventsPerSecond };
    const rates = instanceOf(request.instance);
    const isIn = (await rates.waitSeconds(key)) === 0 && (await rates.take(key, request.events)) === 0;
    if (isIn) passed.push(request);
    await settle();
  }
  return { passed, calls: clock.calls, instances: instances.size };
}

/** What one bucket for all instances would let through: of one second, and in debt after a request that is larger. */
export function oneBucket(perSecond: number, requests: readonly Sent[]): Sent[] {
  const size = Math.max(1, perSecond);
  let tokens = size;
  let lastMs = 0;
  return requests.filter(({ atMs, events }) => {
    tokens = Math.min(size, tokens + ((atMs - lastMs) / 1000) * perSecond);
    lastMs = atMs;
    if (tokens < Math.min(events, size)) return false;
    tokens -= events;
    return true;
  });
}

export const sumOf = (sent: readonly Sent[]): number => sent.reduce((sum, { events }) => sum + events, 0);

/** The most events in any minute. */
export function mostInAMinute(passed: readonly Sent[]): number {
  let first = 0;
  let sum = 0;
  let most = 0;
  for (const { atMs, events } of passed) {
    sum += events;
    while ((passed[first]?.atMs ?? 0) <= atMs - MINUTE_MS) sum -= passed[first++]?.events ?? 0;
    most = Math.max(most, sum);
  }
  return most;
}

/** The least part of the wanted events that was let through in any minute, minutes beginning each tenth of a second. */
export function leastPartOf(wanted: readonly Sent[], passed: readonly Sent[], endMs: number): number {
  const [all, some] = [sums(wanted, endMs), sums(passed, endMs)];
  let least = Number.POSITIVE_INFINITY;
  for (let from = 0; from + MINUTE_MS / TENTH_MS < all.length; from++) {
    const within = (of: readonly number[]) => (of[from + MINUTE_MS / TENTH_MS] ?? 0) - (of[from] ?? 0);
    if (within(all) > 0) least = Math.min(least, within(some) / within(all));
  }
  return least;
}

const TENTH_MS = 100;

function sums(sent: readonly Sent[], endMs: number): number[] {
  const found = Array<number>(Math.ceil(endMs / TENTH_MS) + 1).fill(0);
  for (const { atMs, events } of sent) found[Math.floor(atMs / TENTH_MS) + 1]! += events;
  for (let i = 1; i < found.length; i++) found[i]! += found[i - 1]!;
  return found;
}

/** How high events stand that run off at the key's rate, in seconds of it: what passed in any time beyond the rate. */
export function highestLevel(perSecond: number, passed: readonly Sent[]): number {
  let level = 0;
  let lastMs = 0;
  let highest = 0;
  for (const { atMs, events } of passed) {
    level = Math.max(0, level - ((atMs - lastMs) / 1000) * perSecond) + events;
    lastMs = atMs;
    highest = Math.max(highest, level);
  }
  return highest / perSecond;
}
