/**
 * Prices that figures are turned into dollars with, as the vendors' pages said them in November 2026: upstash.com/pricing/redis,
 * cloud.google.com/run/pricing (tier 1, billing by request), cloud.google.com/tasks/pricing, neon.com/docs/introduction/plans (Launch).
 * Look there before you rely on them.
 */

/** Upstash, pay as you go: dollars per command. */
const UPSTASH_PER_COMMAND = 0.2 / 100_000;

const CLOUD_RUN = { perVcpuSecond: 0.000024, perGibSecond: 0.0000025, perRequest: 0.4 / 1_000_000 };
/** What a billing account has for nothing in each month. */
const CLOUD_RUN_FREE = { vcpuSeconds: 180_000, gibSeconds: 360_000, requests: 2_000_000 };
/** The memory of an instance of Terraform's. */
const INSTANCE_GIB = 0.5;
/** An instance is billed while it serves a request, and each such time is rounded up to this. */
const BILLED_SECONDS = 0.1;

const TASKS = { perOperation: 0.4 / 1_000_000, free: 1_000_000 };

const NEON_PER_CU_HOUR = 0.106;
/** The least that a compute which is awake has. */
const NEON_MIN_CU = 0.25;

export const SECONDS_A_MONTH = 60 * 60 * 24 * 30.4;

/** Dollars for a million events that cost so many commands each. */
export const redisDollarsPerMillion = (commandsPerEvent: number): number =>
  commandsPerEvent * UPSTASH_PER_COMMAND * 1_000_000;

/** What a second of an installation takes. */
export interface Pace {
  ingestRequests: number;
  /** Eager flushes and ticks. */
  supervisorRequests: number;
  flushes: number;
  commands: number;
  /** Whether Postgres is asked at all. */
  isPostgresAwake: boolean;
}

export interface MonthlyDollars {
  cloudRunDollars: number;
  tasksDollars: number;
  redisDollars: number;
  postgresDollars: number;
  monthDollars: number;
}

/** Returns what a month at this pace costs. Requests are taken to be shorter than 100 ms, and to come at random moments. */
export function monthOf(pace: Pace): MonthlyDollars {
  const seconds = busySeconds(pace.ingestRequests) + busySeconds(pace.supervisorRequests);
  const requests = (pace.ingestRequests + pace.supervisorRequests) * SECONDS_A_MONTH;
  const cloudRunDollars =
    over(seconds, CLOUD_RUN_FREE.vcpuSeconds) * CLOUD_RUN.perVcpuSecond +
    over(seconds * INSTANCE_GIB, CLOUD_RUN_FREE.gibSeconds) * CLOUD_RUN.perGibSecond +
    over(requests, CLOUD_RUN_FREE.requests) * CLOUD_RUN.perRequest;
  const tasksDollars = over(pace.flushes * SECONDS_A_MONTH, TASKS.free) * TASKS.perOperation;
  const redisDollars = pace.commands * SECONDS_A_MONTH * UPSTASH_PER_COMMAND;
  const hours = SECONDS_A_MONTH / 3600;
  const postgresDollars = pace.isPostgresAwake ? hours * NEON_MIN_CU * NEON_PER_CU_HOUR : 0;
  const monthDollars = cloudRunDollars + tasksDollars + redisDollars + postgresDollars;
  return { cloudRunDollars, tasksDollars, redisDollars, postgresDollars, monthDollars };
}

const over = (used: number, free: number): number => Math.max(0, used - free);

/** For how many seconds of a month one instance serves at least one request: times of 100 ms that overlap are billed once. */
const busySeconds = (requestsPerSecond: number): number =>
  (1 - Math.exp(-requestsPerSecond * BILLED_SECONDS)) * SECONDS_A_MONTH;
