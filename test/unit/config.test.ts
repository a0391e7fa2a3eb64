import { expect, test } from "vitest";
import { environmentNames, readConfig } from "../../lib/config.ts";
import { doubtsOf } from "../../lib/config-doubts.ts";

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
  const keys = readConfig({
    ...USABLE,
    INGEST_API_KEYS: `a:${DIGEST}, b:${"b".repeat(64)}:events | leads`,
  }).apiKeys;
  expect(keys.map(({ name, streams }) => [name, streams && [...streams]])).toEqual([
    ["a", undefined],
    ["b", ["events", "leads"]],
  ]);
  expect(problemsOf({ ...USABLE, INGEST_API_KEYS: "shop:my-raw-secret" })).not.toContain("my-raw-secret");
});

test.each([
  ["an empty list of streams", `a:${DIGEST}:`],
  ["a separator alone", `a:${DIGEST}:|`],
  ["an empty name among the streams", `a:${DIGEST}:events||leads`],
  ["a separator at the end", `a:${DIGEST}:events|`],
  ["what can be no stream", `a:${DIGEST}:Events`],
  ["one key under two names", `a:${DIGEST},b:${DIGEST.toUpperCase()}`],
  ["the digest of an empty key", "a:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"],
])("an API key with %s is refused", (_kind, text) => {
  expect(problemsOf({ ...USABLE, INGEST_API_KEYS: text })).toMatch(/INGEST_API_KEYS: entry \d: expected /);
});

test.each([
  "https://app.example/",
  "https://app.example/path",
  "https://app.example?x=1",
  "https://app.example#x",
  "https://user:pass@app.example",
  "capacitor://user@localhost",
  "app.example",
  "https://",
  "https://app.example:443",
  "https://App.example",
  "HTTPS://app.example",
  "https://*.example",
  "null",
  "*,https://app.example",
])("CORS_ORIGINS=%s is refused: no browser sends it", (text) => {
  expect(problemsOf({ ...USABLE, CORS_ORIGINS: text })).toMatch(/CORS_ORIGINS: expected /);
});

test.each([
  ["*", ["*"]],
  ["https://app.example, http://localhost:5173", ["https://app.example", "http://localhost:5173"]],
  ["https://xn--bcher-kva.example,http://[::1]:8080", ["https://xn--bcher-kva.example", "http://[::1]:8080"]],
  ["capacitor://localhost", ["capacitor://localhost"]],
])("CORS_ORIGINS=%s is taken", (text, corsOrigins) => {
  expect(readConfig({ ...USABLE, CORS_ORIGINS: text })).toMatchObject({ corsOrigins });
});

test.each(["http://s?x=1", "http://s/#x", "http://u:p@s"])("a server's URL like %s is refused", (text) => {
  for (const name of ["SUPERVISOR_URL", "UPSTASH_REDIS_REST_URL", "NEON_HTTP_URL"])
    expect(problemsOf({ ...USABLE, [name]: text })).toContain(`${name}: expected a URL without`);
});

test("a high-water mark that one event passes is refused", () => {
  expect(problemsOf({ ...USABLE, BUFFER_MAX_BYTES: "32767" })).toContain("BUFFER_MAX_BYTES");
});

test("a stream that the release does not have, and a flush that finds no full batch, are doubtful", () => {
  const streams = new Map([["events", 1]]);
  const config = readConfig({
    ...USABLE,
    DRAIN_PAUSED: "events|orders|constructor",
    INGEST_API_KEYS: `a:${DIGEST},b:${"b".repeat(64)}:events|trips`,
    ...{ FLUSH_TRIGGER: "http", SUPERVISOR_URL: "http://s", FLUSH_THRESHOLD: "99" },
  });
  expect(doubtsOf(config, streams)).toEqual([
    { setting: "DRAIN_PAUSED", reason: expect.stringContaining('"orders"') },
    { setting: "DRAIN_PAUSED", reason: expect.stringContaining('"constructor"') },
    { setting: "INGEST_API_KEYS", reason: expect.stringMatching(/"b".*"trips"/) },
    { setting: "FLUSH_THRESHOLD", reason: expect.stringContaining("BATCH_MAX_ROWS") },
  ]);
  for (const sure of [
    USABLE,
    { ...USABLE, FLUSH_THRESHOLD: "99" },
    { ...USABLE, FLUSH_TRIGGER: "http", SUPERVISOR_URL: "http://s", FLUSH_THRESHOLD: "100" },
  ])
    expect(doubtsOf(readConfig(sure), streams)).toEqual([]);
});

test("every name is known once", () => {
  expect(new Set(environmentNames).size).toBe(environmentNames.length);
});
