/**
 * Vitest's global set-up for integration tests: for each worker a real Redis (append-only file on) and a real Postgres with the
 * tables that tests need, in a fresh folder on free ports, with a bridge in front of each.
 *
 * Tests read where theirs are by `workerServers()`. A test that needs faults starts a bridge of its own in its own
 * process, against the same servers. Everything is stopped and removed afterwards.
 */
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { startNeonBridge } from "../dev/stack/neon-bridge.ts";
import { findFreePorts } from "../dev/stack/ports.ts";
import { startPostgres } from "../dev/stack/postgres-server.ts";
import { startRedis } from "../dev/stack/redis-server.ts";
import { startUpstashBridge } from "../dev/stack/upstash-bridge.ts";
import { migrateForTests } from "./streams/run/test-streams.ts";

export interface TestServers {
  redisUrl: string;
  redisPort: number;
  databaseUrl: string;
  restUrl: string;
  restToken: string;
  /** The full address, ending in /sql. */
  neonHttpUrl: string;
}

declare module "vitest" {
  export interface ProvidedContext {
    servers: TestServers[];
  }
}

/** Starts a pair of servers for each worker, tells the tests where they are, and returns how to stop them. */
export default async function setup({ provide, vitest }: TestProject): Promise<() => Promise<void>> {
  const folder = mkdtempSync(join(tmpdir(), "spillway-test-"));
  chmodSync(folder, 0o755); // Postgres's user has to get through.
  const stops: (() => Promise<void>)[] = [async () => rmSync(folder, { recursive: true, force: true })];
  const teardown = async () => {
    for (const stop of stops.reverse()) await stop();
  };
  try {
    const pairs: TestServers[] = [];
    for (let worker = 0; worker < vitest.config.maxWorkers; worker++)
      pairs.push(await startPair(join(folder, `${worker}`), stops));
    provide("servers", pairs);
  } catch (error) {
    await teardown();
    throw error;
  }
  return teardown;
}

/** Starts a Redis and a Postgres with a bridge in front of each, and adds how to stop them. */
async function startPair(folder: string, stops: (() => Promise<void>)[]): Promise<TestServers> {
  mkdirSync(folder, { mode: 0o755 });
  const [redisPort, postgresPort] = (await findFreePorts(2)) as [number, number];
  const redis = await startRedis({ dir: join(folder, "redis"), port: redisPort });
  stops.push(redis.stop);
  const postgres = await startPostgres({ dir: join(folder, "postgres"), port: postgresPort });
  stops.push(postgres.stop);
  await migrateForTests(postgres.url);
  const upstash = await startUpstashBridge({ redisUrl: redis.url, token: "test-token" });
  stops.push(upstash.close);
  const neon = await startNeonBridge();
  stops.push(neon.close);
  return {
    redisUrl: redis.url,
    redisPort,
    databaseUrl: postgres.url,
    restUrl: upstash.url,
    restToken: upstash.token,
    neonHttpUrl: neon.httpUrl,
  };
}
