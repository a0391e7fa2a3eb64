/**
 * Where a surge happens: a database of its own on the local stack's Postgres, and a database of its own in the local stack's Redis, so
 * that nothing of the deployer's streams, letters, keys and usage is touched. Both are emptied before and gone after; a Redis database that
 * holds somebody else's keys is left alone.
 *
 * An advisory lock lets one surge run at a time, whichever process runs it: Postgres gives it back when that process dies.
 */
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Redis } from "ioredis";
import pg from "pg";
import { migrateOurs } from "../../drizzle/migrate.ts";
import { findInstallation } from "../../lib/installation.ts";
import { findFreePorts } from "../stack/ports.ts";
import { OWN_TABLES } from "./own-stream.ts";
import { SurgeRefused } from "./surge-request.ts";

/** The servers of the local stack, as `.local/stack.json` names them. */
export interface SurgeStack {
  databaseUrl: string;
  redisUrl: string;
}

const DATABASE = "spillway_surge";
/** Spillway's own keys are in database 0, the only one that Upstash has. */
const REDIS_DATABASE = 1;
/** The key that says that what is in that database is a surge's. */
const REDIS_MARK = "spillway-surge";
/** Any constant will do, as long as every version of Spillway uses the same. */
const LOCK = 7_365_002;

export interface Place {
  databaseUrl: string;
  redisUrl: string;
  /** A session in the surge's database. */
  sql: pg.Client;
  redis: Redis;
  freePort(): Promise<number>;
  logFile(name: string): string;
  /** Ends these when the place is closed, the last one first. */
  onClose(end: () => Promise<unknown>): void;
  /** Ends and removes everything, whatever fails. May be repeated. */
  close(): Promise<void>;
}

/** Makes the place. Throws a SurgeRefused if the servers are not on this machine, or if another surge runs. */
export async function openPlace(stack: SurgeStack): Promise<Place> {
  const ends: (() => Promise<unknown>)[] = [];
  const close = async () => {
    for (const end of ends.splice(0).reverse()) await end().catch(() => {});
  };
  try {
    return await build(stack, ends, close);
  } catch (error) {
    await close();
    throw error;
  }
}

async function build(
  stack: SurgeStack,
  ends: (() => Promise<unknown>)[],
  close: () => Promise<void>,
): Promise<Place> {
  const admin = await lock(stack);
  ends.push(() => admin.end());
  const redisUrl = redisUrlOf(stack);
  const redis = openRedis(redisUrl);
  ends.push(async () => redis.disconnect());
  await clear(stack, admin, redis);
  ends.push(() => clear(stack, admin, redis));
  await redis.set(REDIS_MARK, "1");
  await admin.query(`create database ${DATABASE}`);
  const databaseUrl = urlOf(stack, DATABASE);
  await migrateOurs(databaseUrl);
  const sql = await connect(databaseUrl);
  ends.push(() => sql.end());
  await sql.query(OWN_TABLES);
  const folder = folderOf(stack);
  mkdirSync(folder, { recursive: true });
  return {
    ...{ databaseUrl, redisUrl, sql, redis, close },
    freePort: async () => (await findFreePorts(1))[0] as number,
    logFile: (name) => join(folder, `${name}.log`),
    onClose: (end) => void ends.push(end),
  };
}

/** Removes what a surge left behind whose process was killed. Does nothing while a surge runs. */
export async function clearLeftovers(stack: SurgeStack): Promise<void> {
  const admin = await lock(stack).catch(() => undefined);
  if (admin === undefined) return;
  const redis = openRedis(redisUrlOf(stack));
  await clear(stack, admin, redis).finally(() => {
    redis.disconnect();
    return admin.end();
  });
}

/** Opens the session that holds the lock. */
async function lock(stack: SurgeStack): Promise<pg.Client> {
  for (const url of [stack.databaseUrl, stack.redisUrl])
    if (!isLoopback(url))
      throw new SurgeRefused(400, "A surge is for the servers of this machine only: run npx spillway start.");
  const admin = await connect(urlOf(stack, "postgres"));
  const { rows } = await admin.query<{ taken: boolean }>("select pg_try_advisory_lock($1) as taken", [LOCK]);
  if (rows[0]?.taken) return admin;
  await admin.end();
  throw new SurgeRefused(409, "A surge runs already on this machine: wait for its end, or stop it.");
}

async function connect(connectionString: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString, application_name: "spillway-surge" });
  client.on("error", () => {}); // the next query says it
  await client.connect();
  return client;
}

const redisUrlOf = ({ redisUrl }: SurgeStack): string => `${redisUrl}/${REDIS_DATABASE}`;

function openRedis(url: string): Redis {
  const redis = new Redis(url, { protocol: 2 });
  redis.on("error", () => {}); // the next command says it
  return redis;
}

/** Throws a SurgeRefused if there are keys that are no surge's. */
async function clear(stack: SurgeStack, admin: pg.Client, redis: Redis): Promise<void> {
  if ((await redis.dbsize()) > 0 && (await redis.exists(REDIS_MARK)) === 0)
    throw new SurgeRefused(
      409,
      `Redis's database ${REDIS_DATABASE} holds keys that are no surge's, and a surge would delete them: move them to another one.`,
    );
  rmSync(folderOf(stack), { recursive: true, force: true });
  await admin.query(`drop database if exists ${DATABASE} with (force)`);
  await redis.flushdb();
}

/** For the logs of the processes; one for each Postgres, as the lock is. */
const folderOf = ({ databaseUrl }: SurgeStack): string =>
  join(findInstallation().local, `surge-${new URL(databaseUrl).port}`);

const isLoopback = (url: string): boolean =>
  URL.canParse(url) && ["127.0.0.1", "localhost", "[::1]"].includes(new URL(url).hostname);

function urlOf({ databaseUrl }: SurgeStack, database: string): string {
  const url = new URL(databaseUrl);
  url.pathname = `/${database}`;
  return url.href;
}
