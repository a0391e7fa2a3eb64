/**
 * The configuration: one schema for the whole environment, read once, every problem reported at once.
 *
 * The environment is an argument, so that tests and tools pass their own; `functions/wire-process.ts` alone reads
 * `process.env`. An empty value counts as unset. Terraform sets exactly these names (a test compares them).
 */
import { isIP } from "node:net";
import { z } from "zod";
import { problemOfOrigin } from "./cors-origin.ts";
import { INTERVAL_FORM, intervalMsOf } from "./interval.ts";
import { problemOfPostgresUrl } from "./postgres-url.ts";
import { problemOfRedisUrl } from "./redis-url.ts";

/** Who may post, to which streams, and how much. Only the key's SHA-256 is known here. */
export interface ApiKey {
  name: string;
  sha256: Buffer;
  /** The streams it may use; undefined: all. */
  streams: ReadonlySet<string> | undefined;
  /** A public key is in pages and apps, so it is known to everybody. */
  kind: "secret" | "public";
  /** How many events a second it may send over all instances; undefined: no limit. */
  eventsPerSecond: number | undefined;
  /** How many events a second one client address may send with it; undefined: the default of public keys. */
  perAddressPerSecond: number | undefined;
  /** The origins from which pages may use a public key; none: every origin. */
  origins: readonly string[];
  /** The moment from which it is refused, RFC 3339; undefined: never. */
  expiresAt: string | undefined;
}

/** A secret key without limit and expiry, as keys of the environment are. */
export const plainKey = (name: string, sha256: Buffer, streams?: ReadonlySet<string>): ApiKey => ({
  name,
  sha256,
  streams,
  kind: "secret",
  eventsPerSecond: undefined,
  perAddressPerSecond: undefined,
  origins: [],
  expiresAt: undefined,
});

const whole = (fallback: number, min: number, max: number) =>
  z.coerce
    .number({ error: "expected a whole number" })
    .int("expected a whole number")
    .min(min, `expected at least ${min}`)
    .max(max, `expected at most ${max}`)
    .default(fallback);

const url = z
  .url({ protocol: /^https?$/, error: "expected an http or https URL" })
  .refine((text) => !/[?#@]/.test(text), "expected a URL without a query, a fragment or a password");

/** A URL of another kind, of which `problemOf` says what is wrong. */
const urlOf = (missing: string, problemOf: (text: string) => string | undefined) =>
  z
    .string({ error: missing })
    .trim()
    .superRefine((text, context) => {
      const message = problemOf(text);
      if (message !== undefined) context.addIssue({ code: "custom", message });
    });

const list = (separator: string) =>
  z
    .string()
    .default("")
    .transform((text) =>
      text
        .split(separator)
        .map((part) => part.trim())
        .filter((part) => part !== ""),
    );

const interval = (fallback: string) =>
  z
    .string()
    .default(fallback)
    .transform((text, context): number => {
      const ms = intervalMsOf(text);
      if (ms === undefined) context.addIssue({ code: "custom", message: `expected ${INTERVAL_FORM}` });
      return ms ?? z.NEVER;
    });

/** It stands in a header, after `Bearer`. */
const operatorToken = z
  .string()
  .trim()
  .min(32, "expected at least 32 characters, as openssl rand -hex 32 makes them")
  .regex(/^[\w.~+/=-]*$/, "expected letters, digits and . _ ~ + / = - alone");

const origins = list(",").superRefine((found, context) => {
  const problem = (message: string) => context.addIssue({ code: "custom", message });
  for (const origin of found) {
    const message = problemOfOrigin(origin);
    if (message !== undefined) problem(message);
  }
  if (found.includes("*") && found.length > 1) problem("expected * alone, or origins without *");
});

const apiKeys = z
  .string()
  .default("")
  .transform((text, context): ApiKey[] => {
    const { keys, problems } = parseApiKeys(text);
    for (const message of problems) context.addIssue({ code: "custom", message });
    return keys;
  });

const shape = {
  /** Redis over TCP, as `redis://user:password@host:6379/0`, or `rediss://` for TLS; in place of the two for Upstash. */
  REDIS_URL: urlOf("expected a redis:// URL", problemOfRedisUrl).optional(),
  /** Upstash's REST endpoint. */
  UPSTASH_REDIS_REST_URL: url.optional(),
  UPSTASH_REDIS_REST_TOKEN: z
    .string({ error: "expected a token" })
    .trim()
    .min(1, "expected a token")
    .optional(),
  /** Postgres, as `postgres://user:password@host/database`. A host of Neon's is reached over HTTP, any other over TCP. */
  DATABASE_URL: urlOf("expected a postgres:// URL", problemOfPostgresUrl),
  /** Neon's HTTP endpoint, where it does not follow from DATABASE_URL (locally). */
  NEON_HTTP_URL: url.optional(),
  /** `name:sha256-hex[:stream|stream]`, comma-separated. */
  INGEST_API_KEYS: apiKeys,
  /** Partitions that ingest pushes to; the supervisor always looks at all 16. @default 8 */
  PARTITIONS: whole(8, 1, 16),
  /** Rows in one insert, or fewer: a claim is bounded in bytes, too (lib/buffer/buffer.ts). @default 100 */
  BATCH_MAX_ROWS: whole(100, 1, 5000),
  /** Depth whose crossing (times 2^k) triggers an eager flush. @default 100 */
  FLUSH_THRESHOLD: whole(100, 1, 1_000_000),
  /** How an eager flush is sent. @default off */
  FLUSH_TRIGGER: z.enum(["off", "http", "tasks"], { error: "expected off, http or tasks" }).default("off"),
  SUPERVISOR_URL: url.optional(),
  /** `projects/P/locations/L/queues/Q`. */
  TASKS_QUEUE: z
    .string()
    .regex(/^projects\/[^/]+\/locations\/[^/]+\/queues\/[^/]+$/, "expected projects/P/locations/L/queues/Q")
    .optional(),
  /** Outside Cloud Run, who asks the supervisor has to show it, as `Authorization: Bearer TOKEN`. */
  OPERATOR_TOKEN: operatorToken.optional(),
  /** The address on which the supervisor listens, outside Cloud Run. @default all; without OPERATOR_TOKEN the target supervisor: 127.0.0.1 */
  SUPERVISOR_HOST: z
    .string()
    .trim()
    .refine((host) => host === "localhost" || isIP(host) > 0, "expected an IP address of this machine")
    .optional(),
  /** The supervisor's port in a process that serves both functions; ingest's is PORT. @default 8081 */
  SUPERVISOR_PORT: whole(8081, 1, 65_535),
  /** How often such a process makes a tick. @default 60s */
  DRAIN_EVERY: interval("60s"),
  /** How long a claim holds its partition. An insert's timeout is min(10 s, half of it). @default 20000 */
  LEASE_MS: whole(20_000, 1000, 600_000),
  /** A drain call stops claiming after this. @default 50000 */
  DRAIN_DEADLINE_MS: whole(50_000, 100, 3_600_000),
  /** Inserts at once, over all streams; each stream whose table is locked has one beside them. @default 8 */
  DRAIN_CONCURRENCY: whole(8, 1, 64),
  /** The same for write-through, in one ingest instance. @default 2 */
  WRITE_THROUGH_CONCURRENCY: whole(2, 1, 64),
  /** Streams that are buffered but not drained, `a|b`. */
  DRAIN_PAUSED: list("|"),
  /** After so many days, letters that were redriven or stored are deleted; 0: never. @default 0 */
  KEEP_LETTERS_DAYS: whole(0, 0, 36_500),
  /** After so many days, the use of an hour is deleted (`spillway_usage`); 0: never. @default 90 */
  KEEP_USAGE_DAYS: whole(90, 0, 36_500),
  /** E-mails of service accounts that may only `POST /drain`, comma-separated: the scheduler's and the queue's. Heeded on Cloud Run. */
  DRAIN_CALLERS: list(",").refine((emails) => emails.every((email) => /^[^@\s]+@[^@\s]+$/.test(email)), {
    error: "expected e-mail addresses, comma-separated",
  }),
  /** A request's body, after inflating. @default 8388608 */
  BODY_MAX_BYTES: whole(8_388_608, 1024, 32_000_000),
  /** One event, as JSON. Times BATCH_MAX_ROWS at most 8 MB: a batch is held in memory. @default 32768 */
  EVENT_MAX_BYTES: whole(32_768, 256, 8_000_000),
  /** Events in one request. @default 1000 */
  EVENTS_MAX: whole(1000, 1, 100_000),
  /** High-water mark of one partition. Upstash refuses a list past 100 MB. @default 40000000 */
  BUFFER_MAX_BYTES: whole(40_000_000, 1000, 90_000_000),
  /** Events per second that one API key may send to one ingest instance, with a burst of twice that. @default 100000 */
  KEY_EVENTS_PER_SECOND: whole(100_000, 1, 10_000_000),
  /** Origins whose pages may use secret keys, comma-separated, or `*`. */
  CORS_ORIGINS: origins,
};

const schema = z.object(shape).superRefine((env, context) => {
  const problem = (path: string, message: string) =>
    context.addIssue({ code: "custom", path: [path], message });
  if (env.EVENT_MAX_BYTES * env.BATCH_MAX_ROWS > 8_388_608)
    problem("EVENT_MAX_BYTES", "expected EVENT_MAX_BYTES × BATCH_MAX_ROWS of at most 8388608");
  if (env.BUFFER_MAX_BYTES < env.EVENT_MAX_BYTES)
    problem("BUFFER_MAX_BYTES", "expected at least EVENT_MAX_BYTES, or one event fills a partition");
  if (env.FLUSH_TRIGGER !== "off" && env.SUPERVISOR_URL === undefined)
    problem("SUPERVISOR_URL", `expected a URL where FLUSH_TRIGGER is ${env.FLUSH_TRIGGER}`);
  if (env.FLUSH_TRIGGER === "tasks" && env.TASKS_QUEUE === undefined)
    problem("TASKS_QUEUE", "expected a queue where FLUSH_TRIGGER is tasks");
});

/** Every environment name that Spillway knows. */
export const environmentNames: readonly string[] = Object.keys(shape);

/** The SHA-256 of nothing: what sha256sum says if the variable with the key is empty. */
const DIGEST_OF_NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/** Parses `name:sha256-hex[:stream|stream]`, comma-separated; says every problem instead of throwing. */
export function parseApiKeys(text: string): { keys: ApiKey[]; problems: string[] } {
  const keys: ApiKey[] = [];
  const problems: string[] = [];
  const entries = text
    .split(",")
    .map((entry) => entry.trim())
    .filter((entry) => entry !== "");
  for (const [index, entry] of entries.entries()) {
    const key = parseApiKey(entry, keys);
    if (typeof key === "object") keys.push(key);
    else problems.push(`entry ${index + 1}: ${key}`);
  }
  return { keys, problems };
}

/** Parses one entry, or says what is wrong: never with the entry itself, because somebody may have put a raw key there. */
function parseApiKey(entry: string, before: readonly ApiKey[]): ApiKey | string {
  const [name, hex, streams, ...rest] = entry.split(":");
  if (name === undefined || !/^[\w.-]{1,64}$/.test(name))
    return 'expected a name of letters, digits, "_", "-" and "."';
  if (hex === undefined || !/^[0-9a-fA-F]{64}$/.test(hex))
    return `expected 64 hex digits (the SHA-256 of the key) after "${name}:"`;
  if (rest.length > 0) return "expected at most name:sha256:streams";
  if (before.some((key) => key.name === name)) return `the name "${name}" is taken`;
  const sha256 = Buffer.from(hex, "hex");
  const same = before.find((key) => key.sha256.equals(sha256));
  if (same) return `expected another key than that of "${same.name}"`;
  if (sha256.equals(Buffer.from(DIGEST_OF_NOTHING, "hex")))
    return "expected the SHA-256 of a key, got that of nothing";
  const names = streams?.split("|").map((stream) => stream.trim());
  if (names?.some((stream) => !/^[a-z][a-z0-9_]{0,62}$/.test(stream)))
    return `expected names of streams with "|" between them after the second ":", or no second ":" for all streams`;
  return plainKey(name, sha256, names && new Set(names));
}

export interface Config {
  /** Undefined: Redis is reached over Upstash's REST. */
  redisUrl: string | undefined;
  restUrl: string | undefined;
  restToken: string | undefined;
  databaseUrl: string;
  neonHttpUrl: string | undefined;
  apiKeys: ApiKey[];
  partitions: number;
  batchMaxRows: number;
  flushThreshold: number;
  flushTrigger: "off" | "http" | "tasks";
  supervisorUrl: string | undefined;
  tasksQueue: string | undefined;
  operatorToken: string | undefined;
  /** Undefined: it is not said. */
  supervisorHost: string | undefined;
  supervisorPort: number;
  drainEveryMs: number;
  leaseMs: number;
  /** How long one insert may take, in milliseconds: min(10 s, half the lease). */
  insertTimeoutMs: number;
  drainDeadlineMs: number;
  drainConcurrency: number;
  writeThroughConcurrency: number;
  drainPaused: string[];
  keepLettersDays: number;
  keepUsageDays: number;
  /** In lower case. */
  drainCallers: string[];
  bodyMaxBytes: number;
  eventMaxBytes: number;
  eventsMax: number;
  bufferMaxBytes: number;
  keyEventsPerSecond: number;
  corsOrigins: string[];
}

/** The problems of the environment: one line a problem, names first. */
export class ConfigError extends Error {
  override name = "ConfigError";
}

/** Says whether there is one Redis: zod asks what needs several settings only if each of them is right by itself. */
function problemsOfRedis(env: Record<string, string | undefined>): string[] {
  const hasUrl = env.REDIS_URL !== undefined;
  return ["UPSTASH_REDIS_REST_URL", "UPSTASH_REDIS_REST_TOKEN"]
    .filter((name) => hasUrl === (env[name] !== undefined))
    .map((name) =>
      hasUrl
        ? `  ${name}: expected it unset where REDIS_URL is set, because there is one Redis`
        : `  ${name}: expected it to be set, or REDIS_URL in its place`,
    );
}

/** Reads the configuration from `env`, or throws one ConfigError that names every problem. */
export function readConfig(env: Record<string, string | undefined>): Config {
  const known = Object.fromEntries(
    environmentNames.map((name) => [name, env[name]?.trim() === "" ? undefined : env[name]]),
  );
  const parsed = schema.safeParse(known);
  const issues = parsed.error?.issues.map((issue) => `  ${issue.path.join(".")}: ${issue.message}`) ?? [];
  const lines = [...problemsOfRedis(known), ...issues];
  if (!parsed.success || lines.length > 0)
    throw new ConfigError(`The environment is not usable:\n${lines.join("\n")}`);
  const e = parsed.data;
  return {
    redisUrl: e.REDIS_URL,
    restUrl: e.UPSTASH_REDIS_REST_URL,
    restToken: e.UPSTASH_REDIS_REST_TOKEN,
    databaseUrl: e.DATABASE_URL,
    neonHttpUrl: e.NEON_HTTP_URL,
    apiKeys: e.INGEST_API_KEYS,
    partitions: e.PARTITIONS,
    batchMaxRows: e.BATCH_MAX_ROWS,
    flushThreshold: e.FLUSH_THRESHOLD,
    flushTrigger: e.FLUSH_TRIGGER,
    supervisorUrl: e.SUPERVISOR_URL?.replace(/\/+$/, ""),
    tasksQueue: e.TASKS_QUEUE,
    operatorToken: e.OPERATOR_TOKEN,
    supervisorHost: e.SUPERVISOR_HOST,
    supervisorPort: e.SUPERVISOR_PORT,
    drainEveryMs: e.DRAIN_EVERY,
    leaseMs: e.LEASE_MS,
    insertTimeoutMs: Math.min(10_000, Math.floor(e.LEASE_MS / 2)),
    drainDeadlineMs: e.DRAIN_DEADLINE_MS,
    drainConcurrency: e.DRAIN_CONCURRENCY,
    writeThroughConcurrency: e.WRITE_THROUGH_CONCURRENCY,
    drainPaused: e.DRAIN_PAUSED,
    keepLettersDays: e.KEEP_LETTERS_DAYS,
    keepUsageDays: e.KEEP_USAGE_DAYS,
    drainCallers: e.DRAIN_CALLERS.map((email) => email.toLowerCase()),
    bodyMaxBytes: e.BODY_MAX_BYTES,
    eventMaxBytes: e.EVENT_MAX_BYTES,
    eventsMax: e.EVENTS_MAX,
    bufferMaxBytes: e.BUFFER_MAX_BYTES,
    keyEventsPerSecond: e.KEY_EVENTS_PER_SECOND,
    corsOrigins: e.CORS_ORIGINS,
  };
}
