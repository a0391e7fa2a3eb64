/** The doctor's checks of Redis: each is wrong for a real cause, and what Redis does not tell can't be seen. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Doctor, serveDoctor } from "./doctor-look.ts";
import { envelopeOf, openWorld, type World } from "./test-stack.ts";

let world: World;
let doctor: Doctor;
beforeAll(async () => {
  world = await openWorld();
  doctor = await serveDoctor(world, { settings: { bufferMaxBytes: 20_000 } });
});
beforeEach(async () => {
  await world.reset();
  await world.redis.slowlog("RESET");
});
afterEach(() => world.upstash.setFault(undefined));
afterAll(async () => {
  await doctor.close();
  await world.close();
});

/** Runs with a setting of Redis's, and puts the old one back. */
async function withConfig<Result>(name: string, value: string, run: () => Promise<Result>): Promise<Result> {
  const [, before = ""] = (await world.redis.config("GET", name)) as string[];
  await world.redis.config("SET", name, value);
  try {
    return await run();
  } finally {
    await world.redis.config("SET", name, before);
  }
}

const redisChecks = async () => (await doctor.examine()).filter(({ group }) => group === "redis");

test("a Redis as it should be is right in everything", async () => {
  const checks = await redisChecks();
  expect(checks.map(({ check, result }) => [check, result])).toEqual([
    ["redis-ping", "right"],
    ["redis-role", "right"],
    ["redis-eviction", "right"],
    ["redis-persistence", "right"],
    ["redis-memory", "right"],
    ["redis-lists", "right"],
    ["redis-slow", "right"],
  ]);
  expect(checks[0]?.seen).toMatch(/^\d+ pings: p50 \d+ ms, p99 \d+ ms$/);
});

test("a Redis that is far away", async () => {
  world.upstash.setFault(({ commands }) =>
    commands[0]?.[0] === "PING" ? { kind: "slow", delayMs: 60 } : undefined,
  );
  expect(await doctor.look("redis-ping")).toMatchObject({
    result: "wrong",
    do: expect.stringContaining("regions"),
  });
});

test("a replica", async () => {
  await world.redis.call("REPLICAOF", "127.0.0.1", "1");
  try {
    expect(await doctor.look("redis-role")).toMatchObject({ result: "wrong", seen: "its role is slave" });
  } finally {
    await world.redis.call("REPLICAOF", "NO", "ONE");
  }
});

test("a Redis that evicts", async () => {
  expect(
    await withConfig("maxmemory-policy", "allkeys-lru", () => doctor.look("redis-eviction")),
  ).toMatchObject({
    result: "wrong",
    seen: "the eviction policy is allkeys-lru",
    do: expect.stringContaining("noeviction"),
  });
});

test("a Redis without an append-only file", async () => {
  expect(await withConfig("appendonly", "no", () => doctor.look("redis-persistence"))).toMatchObject({
    result: "wrong",
    do: expect.stringContaining("appendonly yes"),
  });
});

test("a Redis that is nearly full", async () => {
  const used = Number(/used_memory:(\d+)/.exec(await world.redis.info("memory"))?.[1]);
  const look = () => doctor.look("redis-memory");
  expect(await withConfig("maxmemory", String(Math.round(used * 1.15)), look)).toMatchObject({
    result: "wrong",
    seen: expect.stringMatching(/ are used \(\d\d %\)$/),
  });
  expect(await withConfig("maxmemory", String(used * 10), look)).toMatchObject({ result: "right" });
});

test("a list that is nearly full, and one that is not", async () => {
  const push = (count: number) =>
    world.buffer.push(
      { stream: "checked", index: 5 },
      Array.from({ length: count }, (_, n) => envelopeOf({ n }).envelope),
    );
  await push(100);
  expect(await doctor.look("redis-lists")).toMatchObject({
    result: "right",
    seen: expect.stringMatching(
      /^the largest: pending 5 of checked holds 100 events, about [\d.]+ kB of 20 kB$/,
    ),
  });
  await push(100);
  expect(await doctor.look("redis-lists")).toMatchObject({
    result: "wrong",
    seen: expect.stringMatching(/^pending 5 of checked holds 200 events, about [\d.]+ kB of 20 kB$/),
  });
});

describe("slow commands", () => {
  const busy = `local n = redis.call("TIME") local function ms(t) return t[1] * 1000 + t[2] / 1000 end
    while ms(redis.call("TIME")) - ms(n) < 120 do end return ARGV[1]`;

  test("are told by their names, and without an argument", async () => {
    await world.redis.eval(busy, 0, "secret-value");
    const found = await doctor.look("redis-slow");
    expect(found).toMatchObject({ result: "wrong", seen: expect.stringMatching(/^EVAL took 1\d\d ms, \d/) });
    expect(JSON.stringify(found)).not.toContain("secret-value");
  });

  test("that are scripts of ours are told by their files", async () => {
    await world.redis.eval(`-- versions: looks like it\n${busy}`, 0, "");
    expect(await doctor.look("redis-slow")).toMatchObject({ seen: expect.stringContaining("versions.lua") });
  });

  test("that are old are not told", async () => {
    await world.redis.eval(busy, 0, "");
    const later = await serveDoctor(world, { doctor: { now: () => Date.now() + 3_700_000 } });
    expect(await later.look("redis-slow")).toMatchObject({ result: "right" });
    await later.close();
  });
});

describe("what Redis does not tell", () => {
  const answer = (status: number, body: object) => ({
    kind: "answer" as const,
    status,
    body: JSON.stringify(body),
  });

  test("as Upstash refuses some commands, and leaves sections out of INFO, can't be seen, and the console has it", async () => {
    world.upstash.setFault(({ commands }) => {
      const [name = ""] = commands[0] ?? [];
      if (name === "INFO")
        return answer(200, { result: "# Server\r\nredis_version:8.2.0\r\n# Memory\r\nused_memory:100\r\n" });
      if (name === "SLOWLOG" || name === "CONFIG")
        return answer(400, { error: `ERR Command is not available: '${name}'` });
      return undefined;
    });
    const checks = await redisChecks();
    expect(checks.map(({ result }) => result).join(" ")).toBe(
      "right unseen unseen unseen unseen right unseen",
    );
    for (const one of checks.filter(({ result }) => result === "unseen"))
      expect(one.seen + one.do).toMatch(/^can't be seen here: .*Upstash/);
    expect(await doctor.wrongs()).toEqual([]);
  });

  test("in INFO is asked for by CONFIG GET", async () => {
    world.upstash.setFault(({ commands }) =>
      commands[0]?.[0] === "INFO"
        ? answer(200, { result: "# Server\r\nredis_version:8.2.0\r\n" })
        : undefined,
    );
    expect(await doctor.look("redis-eviction")).toMatchObject({ result: "right" });
  });
});

test("a command that hangs hides no other check", { timeout: 30_000 }, async () => {
  world.upstash.setFault(({ commands }) => (commands[0]?.[0] === "INFO" ? { kind: "hang" } : undefined));
  const startedAtMs = performance.now();
  const checks = await redisChecks();
  expect(performance.now() - startedAtMs).toBeLessThan(10_000);
  expect(checks.map(({ check, result }) => `${check} ${result}`)).toEqual(
    expect.arrayContaining([
      "redis-ping right",
      "redis-role unseen",
      "redis-lists right",
      "redis-slow right",
    ]),
  );
});
