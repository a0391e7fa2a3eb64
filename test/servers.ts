/**
 * Vitest's global set-up for integration tests: a real Redis (append-only file on) and a real Postgres with the
 * tables that tests need, in a fresh folder on free ports, with a bridge in front of each.
 *
 * Tests read where they are by `inject("servers")`. A test that needs faults starts a bridge of its own in its own
 * process, against the same servers. Everything is stopped and removed afterwards.
 */
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
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
    servers: TestServers;
  }
}

/** Starts the servers, tells the tests where they are, and returns how to stop them. */
export default async function setup({ provide }: TestProject): Promise<() => Promise<void>> {
  const folder = mkdtempSync(join(tmpdir(), "spillway-test-"));
  chmodSync(folder, 0o755); // Postgres's user has to get through.
  const stops: (() => Promise<void>)[] = [async () => rmSync(folder, { recursive: true, force: true })];
  const teardown = async () => {
    for (const stop of stops.reverse()) await stop();
  };
  try {
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
    provide("servers", {
      redisUrl: redis.url,
      redisPort,
      databaseUrl: postgres.url,
      restUrl: upstash.url,
      restToken: upstash.token,
      neonHttpUrl: neon.httpUrl,
    });
  } catch (error) {
    await teardown();
    throw error;
  }
  return teardown;
}
