import { expect, test } from "vitest";
import { environmentNames, readConfig } from "../../lib/config.ts";

const USABLE = {
  UPSTASH_REDIS_REST_URL: "http://127.0.0.1:1",
  UPSTASH_REDIS_REST_TOKEN: "t",
  DATABASE_URL: "postgres://u:p@127.0.0.1:5432/d",
};
const DIGEST = "a".repeat(64);

const problemsOf = (env: Record<string, string>) => {
  try {
    readConfig(env);
    return "";
  } catch (error) {
    return (error as Error).message;
  }
};

test("the defaults are those of the contract", () => {
  expect(readConfig(USABLE)).toMatchObject({
    partitions: 8,
    batchMaxRows: 100,
    flushThreshold: 100,
    flushTrigger: "off",
    leaseMs: 20_000,
    insertTimeoutMs: 10_000,
    drainDeadlineMs: 50_000,
    drainConcurrency: 8,
    writeThroughConcurrency: 2,
    bodyMaxBytes: 8_388_608,
    eventMaxBytes: 32_768,
    eventsMax: 1000,
    bufferMaxBytes: 40_000_000,
  });
});

test("every problem is reported at once, by name", () => {
  const said = problemsOf({
    PARTITIONS: "17",
    LEASE_MS: "1",
    FLUSH_TRIGGER: "maybe",
    INGEST_API_KEYS: "a:b",
  });
  for (const name of [
    "UPSTASH_REDIS_REST_URL",
    "UPSTASH_REDIS_REST_TOKEN",
    "DATABASE_URL",
    "PARTITIONS",
    "LEASE_MS",
    "FLUSH_TRIGGER",
    "INGEST_API_KEYS",
  ])
    expect(said).toContain(name);
});

test("empty counts as unset", () => {
  expect(readConfig({ ...USABLE, PARTITIONS: "", NEON_HTTP_URL: " " })).toMatchObject({
    partitions: 8,
    neonHttpUrl: undefined,
  });
});

test("an insert's timeout is half of a short lease", () => {
  expect(readConfig({ ...USABLE, LEASE_MS: "1000" }).insertTimeoutMs).toBe(500);
});

test("settings that need each other say so", () => {
  expect(problemsOf({ ...USABLE, FLUSH_TRIGGER: "tasks" })).toMatch(/SUPERVISOR_URL[\s\S]*TASKS_QUEUE/);
  expect(problemsOf({ ...USABLE, EVENT_MAX_BYTES: "100000" })).toContain("EVENT_MAX_BYTES");
});

test("keys carry a name, a digest and streams; a raw key is never repeated in the complaint", () => {
  const keys = readConfig({ ...USABLE, INGEST_API_KEYS: `a:${DIGEST}, b:${DIGEST}:events|leads` }).apiKeys;
  expect(keys.map(({ name, streams }) => [name, streams && [...streams]])).toEqual([
    ["a", undefined],
    ["b", ["events", "leads"]],
  ]);
  expect(problemsOf({ ...USABLE, INGEST_API_KEYS: "shop:my-raw-secret" })).not.toContain("my-raw-secret");
});

test("every name is known once", () => {
  expect(new Set(environmentNames).size).toBe(environmentNames.length);
});
