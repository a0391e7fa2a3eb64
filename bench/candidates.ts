/** Those who take events over HTTP, and whatever brings what they took to Postgres. */
import { existsSync, readFileSync } from "node:fs";
import type { Child } from "../dev/load/children.ts";
import { startFunction, startReady } from "../dev/load/children.ts";
import type { Stack } from "./stack.ts";

export interface Running {
  port: number;
  /** Its processes: the one that answers first, then workers. */
  pids: number[];
  /** Brings what still waits to Postgres; absent where workers do that by themselves. */
  finish?: () => Promise<void>;
  /** Batches inserted so far; absent where nobody counts them. */
  countBatches?: () => number;
  stop(): Promise<void>;
}

export interface Candidate {
  name: string;
  /** How it speaks to the servers. */
  speaks: string;
  /** Whether what it accepts reaches Postgres while it runs. */
  stores: boolean;
  start(stack: Stack): Promise<Running>;
}

/** The floor: no work at all. */
export const empty: Candidate = {
  name: "empty function",
  speaks: "nothing",
  stores: false,
  start: async (stack) => single(await startTarget(stack, "empty")),
};

/** Spillway with nothing draining. */
export const spillwayPaused: Candidate = {
  name: "Spillway, drain paused",
  speaks: "HTTP",
  stores: false,
  start: async (stack) => single(await stack.startIngest({ FLUSH_TRIGGER: "off" })),
};

/** The settings with which Spillway reaches the servers over TCP, as the others do, and not over the bridges. */
export const overTcp = (stack: Stack): Record<string, string> => ({
  ...{ REDIS_URL: stack.redisUrl, DATABASE_URL: stack.databaseUrl },
  ...{ NEON_HTTP_URL: "", UPSTASH_REDIS_REST_URL: "", UPSTASH_REDIS_REST_TOKEN: "" },
});

/** Spillway whole: eager flushes as it runs, a tick at the end. */
export const spillway: Candidate = {
  name: "Spillway",
  speaks: "HTTP",
  stores: true,
  start: (stack) => startWhole(stack, {}),
};

export const spillwayOverTcp: Candidate = {
  name: "Spillway",
  speaks: "TCP",
  stores: true,
  start: (stack) => startWhole(stack, overTcp(stack)),
};

async function startWhole(stack: Stack, servers: Record<string, string>): Promise<Running> {
  const countBatches = batchesSince(stack);
  const supervisor = await stack.startSupervisor(servers);
  const supervisorUrl = `http://127.0.0.1:${supervisor.port}`;
  const ingest = await stack.startIngest({
    ...servers,
    ...{ FLUSH_TRIGGER: "http", SUPERVISOR_URL: supervisorUrl },
  });
  return {
    port: ingest.port,
    pids: [ingest.pid, supervisor.pid],
    finish: () => drainAll(supervisorUrl),
    countBatches,
    stop: async () => void (await Promise.all([ingest.stop(), supervisor.stop()])),
  };
}

/** One Drizzle insert a request, over a pool of 100 connections. */
export const direct: Candidate = {
  name: "direct",
  speaks: "TCP",
  stores: true,
  start: async (stack) => single(await startTarget(stack, "direct")),
};

/** LPUSH a request, LPOP and insert in a loop. */
export const naive: Candidate = {
  name: "naive buffer",
  speaks: "HTTP",
  stores: true,
  start: (stack) => withWorker(stack, "naive"),
};

export const bullmq: Candidate = {
  name: "BullMQ",
  speaks: "TCP",
  stores: true,
  start: (stack) => withWorker(stack, "bullmq"),
};

export const pgBoss: Candidate = {
  name: "pg-boss",
  speaks: "TCP",
  stores: true,
  start: (stack) => withWorker(stack, "pg-boss"),
};

/** Counts batches by what the supervisor logs at the end of each drain call, from now on. */
function batchesSince(stack: Stack): () => number {
  const log = () =>
    existsSync(stack.logFile("supervisor")) ? readFileSync(stack.logFile("supervisor"), "utf8") : "";
  const from = log().length;
  return () =>
    [
      ...log()
        .slice(from)
        .matchAll(/"batches":(\d+)/g),
    ].reduce((sum, [, batches]) => sum + Number(batches), 0);
}

/** Ticks until the buffer is empty. */
export async function drainAll(supervisorUrl: string): Promise<void> {
  for (let tries = 0; tries < 600; tries++) {
    const response = await fetch(`${supervisorUrl}/drain?wait=1`, { method: "POST" });
    const { streams } = (await response.json()) as {
      streams: { remaining: number | null; outcome: string }[];
    };
    if (streams.every(({ outcome }) => outcome === "empty")) return;
  }
  throw new Error("the buffer did not become empty");
}

const single = (child: Child & { port: number }): Running => ({
  port: child.port,
  pids: [child.pid],
  stop: child.stop,
});

async function startTarget(stack: Stack, name: string): Promise<Child & { port: number }> {
  return startFunction({
    source: `bench/targets/${name}.ts`,
    target: "target",
    port: await stack.freePort(),
    env: environmentOf(stack),
    logFile: stack.logFile(name),
  });
}

async function withWorker(stack: Stack, name: string): Promise<Running> {
  const worker = await startReady({
    file: `bench/targets/${name}-worker.ts`,
    env: environmentOf(stack),
    logFile: stack.logFile(`${name}-worker`),
  });
  const front = await startTarget(stack, name);
  return {
    port: front.port,
    pids: [front.pid, worker.pid],
    stop: async () => {
      await front.stop();
      await worker.stop();
    },
  };
}

const environmentOf = (stack: Stack) => ({
  REST_URL: stack.restUrl,
  REST_TOKEN: stack.restToken,
  REDIS_URL: stack.redisUrl,
  DATABASE_URL: stack.databaseUrl,
  NEON_HTTP_URL: stack.neonHttpUrl,
});
