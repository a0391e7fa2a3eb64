/**
 * What the contract tests of streams run on: a real Redis (append-only file on) and a real Postgres in a folder of their own, with the
 * installation's migrations, and both functions in this process. Everything is stopped and removed by `close`.
 */
import { createHash, randomBytes } from "node:crypto";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import pg from "pg";
import { findFreePorts } from "../dev/stack/ports.ts";
import { startPostgres } from "../dev/stack/postgres-server.ts";
import { startRedis } from "../dev/stack/redis-server.ts";
import { migrateWithExisting } from "../drizzle/existing.ts";
import { openDoor, type Served } from "../functions/front-door.ts";
import { wireIngest } from "../functions/wire-ingest.ts";
import { wireSupervisor } from "../functions/wire-supervisor.ts";
import { readConfig } from "../lib/config.ts";
import type { Installation } from "../lib/installation.ts";
import { silentLog } from "../lib/log.ts";
import type { Registry } from "../lib/schema/registry.ts";

/** How ingest answered a post; a body that is not empty is JSON. */
export interface Answer {
  status: number;
  // biome-ignore lint/suspicious/noExplicitAny: an answer, which each test compares with what it expects
  body: any;
}

export interface Servers {
  sql: Pick<pg.Pool, "query">;
  redis: { keys(pattern: string): Promise<string[]> };
  /** Posts one event, with a query such as `?ack=stored`. */
  post(stream: string, event: unknown, query?: string): Promise<Answer>;
  /** Brings what waits of the stream to Postgres. */
  drain(stream: string): Promise<unknown>;
}

export interface OpenServers extends Servers {
  /** Empties Redis and the dead letters. */
  reset(): Promise<void>;
  close(): Promise<void>;
}

/** Starts everything. If something does not start, throws one sentence, and nothing is left running. */
export async function openServers(streams: Registry, installation: Installation): Promise<OpenServers> {
  const ends: (() => unknown)[] = [];
  const close = async () => {
    for (const end of ends.splice(0).reverse()) await end();
  };
  try {
    return { ...(await open(streams, installation, (end) => void ends.push(end))), close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function open(
  streams: Registry,
  installation: Installation,
  onClose: (end: () => unknown) => void,
): Promise<Omit<OpenServers, "close">> {
  const { redisUrl, databaseUrl } = await startServers(onClose);
  await migrateWithExisting(databaseUrl, installation);
  const redis = new Redis(redisUrl);
  onClose(() => redis.disconnect());
  const sql = new pg.Pool({ connectionString: databaseUrl, max: 4 });
  sql.on("error", () => {}); // it has ended before its connections have, and Postgres, which stops next, may still write to one
  onClose(() => sql.end());
  const key = randomBytes(24).toString("hex");
  const config = readConfig({
    ...{ REDIS_URL: redisUrl, DATABASE_URL: databaseUrl },
    INGEST_API_KEYS: `contract:${createHash("sha256").update(key).digest("hex")}`,
  });
  const ingest = await serve(await wireIngest(streams, config, silentLog), onClose);
  const supervisor = await serve(await wireSupervisor(streams, config, silentLog), onClose);
  const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
  return {
    ...{ sql, redis },
    post: (stream, event, query = "") =>
      send(`${ingest}/v1/${stream}${query}`, { headers, body: JSON.stringify(event) }),
    drain: (stream) => send(`${supervisor}/drain/${stream}?wait=1`, {}),
    reset: async () => {
      await redis.flushdb();
      await sql.query("truncate dead_letters");
    },
  };
}

async function startServers(onClose: (end: () => unknown) => void) {
  const folder = mkdtempSync(join(tmpdir(), "spillway-contract-"));
  onClose(() => rmSync(folder, { recursive: true, force: true }));
  chmodSync(folder, 0o755); // Postgres's user has to get through
  const [redisPort, postgresPort] = (await findFreePorts(2)) as [number, number];
  const redis = await startRedis({ dir: join(folder, "redis"), port: redisPort });
  onClose(() => redis.stop());
  const postgres = await startPostgres({ dir: join(folder, "postgres"), port: postgresPort });
  onClose(() => postgres.stop());
  return { redisUrl: redis.url, databaseUrl: postgres.url };
}

/** Serves a function on a free port of the loopback, and returns its URL. */
async function serve(served: Served, onClose: (end: () => unknown) => void): Promise<string> {
  onClose(served.onStopped);
  const { server } = openDoor(served);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onClose(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function send(url: string, init: RequestInit): Promise<Answer> {
  const response = await fetch(url, { method: "POST", ...init });
  const text = await response.text();
  return { status: response.status, body: text === "" ? undefined : JSON.parse(text) };
}
