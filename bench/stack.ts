/**
 * The stack under measurement: a real Redis and a real Postgres in a fresh folder on free ports, a bridge process
 * in front of each (dev/stack/stack.ts has them in one process, where
 * they would share an event loop with the measuring), and Spillway's two functions over the tests' streams, compiled and
 * started as those that are deployed (dist-test/, functions-framework).
 */
import { createHash, randomBytes } from "node:crypto";
import { chmodSync, cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import pg from "pg";
import {
  type AskedChild,
  ask,
  type Child,
  projectRoot,
  startFunction,
  startReady,
} from "../dev/load/children.ts";
import { findFreePorts } from "../dev/stack/ports.ts";
import { startPostgres } from "../dev/stack/postgres-server.ts";
import { startRedis } from "../dev/stack/redis-server.ts";
import { testStreams } from "../test/streams/run/test-streams.ts";

export interface Stack {
  folder: string;
  redis: Redis;
  redisUrl: string;
  redisPort: number;
  redisPid: number;
  /** Sessions of the benchmark's own in the measured database. */
  sql: pg.Pool;
  /** Sessions in another database, so that asking does not count as work of the measured one. */
  observer: pg.Pool;
  databaseUrl: string;
  postgresPid: number;
  bridgePids: number[];
  /** Requests to the bridge before Postgres so far: each is one statement, or one transaction. */
  countQueries(): Promise<number>;
  restUrl: string;
  restToken: string;
  neonHttpUrl: string;
  apiKey: string;
  freePort(): Promise<number>;
  logFile(name: string): string;
  startIngest(env?: Record<string, string>): Promise<Child & { port: number }>;
  startSupervisor(env?: Record<string, string>): Promise<Child & { port: number }>;
  stop(): Promise<void>;
}

/** Starts everything but the functions. */
export async function startStack(): Promise<Stack> {
  const folder = mkdtempSync(join(tmpdir(), "spillway-bench-"));
  chmodSync(folder, 0o755); // Postgres's user has to get through
  const stops: (() => Promise<unknown>)[] = [async () => rmSync(folder, { recursive: true, force: true })];
  const stop = async () => {
    for (const end of stops.splice(0).reverse()) await end().catch(() => {});
  };
  try {
    return await build(folder, stops, stop);
  } catch (error) {
    await stop();
    throw error;
  }
}

async function build(
  folder: string,
  stops: (() => Promise<unknown>)[],
  stop: () => Promise<void>,
): Promise<Stack> {
  const logFile = (name: string) => join(folder, `${name}.log`);
  const freePort = async () => (await findFreePorts(1))[0] as number;
  const redisServer = await startRedis({ dir: join(folder, "redis"), port: await freePort() });
  stops.push(redisServer.stop);
  const postgres = await startPostgres({ dir: join(folder, "postgres"), port: await freePort() });
  stops.push(postgres.stop);
  await testStreams.migrate(postgres.url);

  const restToken = randomBytes(12).toString("hex");
  const apiKey = randomBytes(12).toString("hex");
  const built = join(projectRoot, ".local", `bench-${process.pid}`); // a copy, so that a build meanwhile changes nothing
  cpSync(join(projectRoot, "dist-test"), built, { recursive: true });
  stops.push(async () => rmSync(built, { recursive: true, force: true }));
  const [upstashPort, neonPort] = [await freePort(), await freePort()];
  const bridges = new Map<string, AskedChild>();
  for (const [which, port] of Object.entries({ upstash: upstashPort, neon: neonPort })) {
    const bridge = await startReady({
      file: "dev/load/bridge.ts",
      args: [which, String(port)],
      env: { REDIS_URL: redisServer.url, REST_TOKEN: restToken },
      logFile: logFile(`bridge-${which}`),
    });
    bridges.set(which, bridge);
    stops.push(bridge.stop);
  }
  const redis = new Redis(redisServer.url, { protocol: 2 });
  await redis.config("SET", "auto-aof-rewrite-percentage", "0"); // rewritten between measurements: see reset
  const sql = open(postgres.url);
  const observer = open(postgres.url.replace(/spillway$/, "postgres"));
  stops.push(
    async () => redis.disconnect(),
    () => sql.end(),
    () => observer.end(),
  );

  const [restUrl, neonHttpUrl] = [`http://127.0.0.1:${upstashPort}`, `http://127.0.0.1:${neonPort}/sql`];
  const environment = {
    UPSTASH_REDIS_REST_URL: restUrl,
    UPSTASH_REDIS_REST_TOKEN: restToken,
    DATABASE_URL: postgres.url,
    NEON_HTTP_URL: neonHttpUrl,
    INGEST_API_KEYS: `bench:${createHash("sha256").update(apiKey).digest("hex")}`,
    KEY_EVENTS_PER_SECOND: "1000000",
  };
  const startTarget =
    (target: string) =>
    async (env: Record<string, string> = {}) =>
      startFunction({
        target,
        source: join(built, "test", "streams", "run", "functions.js"),
        port: await freePort(),
        env: { ...environment, ...env },
        logFile: logFile(target),
      });
  return {
    ...{ folder, redis, sql, observer, restUrl, restToken, neonHttpUrl, apiKey, freePort, logFile, stop },
    redisUrl: redisServer.url,
    redisPort: redisServer.port,
    redisPid: redisServer.pid,
    databaseUrl: postgres.url,
    postgresPid: postgres.pid,
    bridgePids: [...bridges.values()].map(({ pid }) => pid),
    countQueries: () => ask<number>(bridges.get("neon") as AskedChild, { count: "requests" }),
    startIngest: startTarget("ingest"),
    startSupervisor: startTarget("supervisor"),
  };
}

const open = (connectionString: string) =>
  new pg.Pool({ connectionString, application_name: "bench", max: 2, idleTimeoutMillis: 0 });
