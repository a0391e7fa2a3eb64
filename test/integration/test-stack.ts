/**
 * The world of one test file: the real Redis and Postgres of the run, bridges of its own that can be told to
 * break, the adapters on them, and the conservation check that ends every test which moves events.
 */
import { randomUUID } from "node:crypto";
import type { AddressInfo } from "node:net";
import { getTableConfig } from "drizzle-orm/pg-core";
import { Redis } from "ioredis";
import pg from "pg";
import { expect } from "vitest";
import { startNeonBridge } from "../../dev/stack/neon-bridge.ts";
import { startPostgresProxy } from "../../dev/stack/postgres-proxy.ts";
import { startRedisProxy } from "../../dev/stack/redis-proxy.ts";
import { startUpstashBridge } from "../../dev/stack/upstash-bridge.ts";
import type { Cors } from "../../functions/cors.ts";
import { openDoor } from "../../functions/front-door.ts";
import type { Handler } from "../../functions/request-url.ts";
import type { SupervisorDeps } from "../../functions/supervisor.ts";
import { openDoctor } from "../../functions/wire-doctor.ts";
import { newKey } from "../../lib/access/key-format.ts";
import { renewCopy } from "../../lib/access/renew-copy.ts";
import { createBuffer } from "../../lib/buffer/buffer.ts";
import { createHeldNotes } from "../../lib/buffer/held-note.ts";
import { createKeyCopy } from "../../lib/buffer/key-copy.ts";
import { createPauses } from "../../lib/buffer/pauses.ts";
import { openRedis } from "../../lib/buffer/redis-client.ts";
import type { Partition } from "../../lib/buffer/redis-keys.ts";
import { createRefusalLists } from "../../lib/buffer/refusal-lists.ts";
import { createWebhookCounts } from "../../lib/buffer/webhook-counts.ts";
import { type Config, readConfig } from "../../lib/config.ts";
import { HeldLookout } from "../../lib/drain/held-lookout.ts";
import { Witnesses } from "../../lib/drain/witnesses.ts";
import { FairSlots } from "../../lib/flow/fair-slots.ts";
import type { Log } from "../../lib/log.ts";
import { LastTick } from "../../lib/operate/last-tick.ts";
import { encodeEnvelope, packEnvelope } from "../../lib/schema/envelope.ts";
import { newId } from "../../lib/schema/event-ids.ts";
import { type Registry, registryOf } from "../../lib/schema/registry.ts";
import type { Stream } from "../../lib/schema/stream.ts";
import { openPostgres } from "../../lib/store/database.ts";
import { createDeadLetterStore } from "../../lib/store/dead-letter-store.ts";
import { createKeyStore } from "../../lib/store/key-store.ts";
import { createOldLetters } from "../../lib/store/old-letters.ts";
import { createStore } from "../../lib/store/store.ts";
import { idOf } from "../../lib/store/stream-table.ts";
import { createTableCheck } from "../../lib/store/table-check.ts";
import { createUsageStore } from "../../lib/store/usage-store.ts";
import type { TestServers } from "../servers.ts";
import { loadTestStreams } from "../streams/run/test-streams.ts";
import { isOverTcp, workerServers } from "../worker-servers.ts";

/** SHA-256 of "test-key". */
export const KEY = "test-key";
const KEY_SHA256 = "62af8704764faf8ea82fc61ce9c4c3908b6cb97d463a634e9e587d7c885db0ef";

export interface Said {
  event: string;
  fields: Record<string, unknown>;
}

export type World = Awaited<ReturnType<typeof openWorld>>;

/** Good events of `checked`, whatever a test does to its table: n from 1 on, each below 30,000. */
export const good = (count: number) => Array.from({ length: count }, (_, i) => ({ n: i + 1 }));

/** Makes an empty database on the run's Postgres, and returns its URL. One of this name that was there is gone. `how`: SQL. */
export async function createDatabase(name: string, how = ""): Promise<string> {
  const { databaseUrl } = workerServers();
  const sql = new pg.Client({ connectionString: databaseUrl });
  await sql.connect();
  await sql.query(`drop database if exists ${name} with (force)`);
  await sql.query(`create database ${name} ${how}`);
  await sql.end();
  return databaseUrl.replace(/\/[^/]+$/, `/${name}`);
}

/** Opens a world with one more stream and its table, which has these columns beside those of each stream. `close` drops the table. */
export async function openWorldWith(stream: Stream, columns: string): Promise<World> {
  const world = await openWorld({}, registryOf([...(await loadTestStreams()).values(), stream]));
  const { name } = stream;
  await world.sql.query(`
    drop table if exists ${name};
    create table ${name} (
      id uuid primary key, received_at timestamptz not null, stored_at timestamptz not null default now(), ${columns})`);
  const close = async () => {
    await world.sql.query(`drop table ${name}`);
    await world.close();
  };
  return { ...world, close };
}

/**
 * Opens the ways to the servers, each of which can be told to break: bridges, which speak the HTTP of Neon and Upstash, or, where
 * SPILLWAY_TEST_OVER is tcp, proxies. `ways` are the settings that lead there.
 */
async function openWays({ redisUrl, databaseUrl }: TestServers, wanted = databaseUrl) {
  if (isOverTcp) {
    const upstash = await startRedisProxy({ redisUrl });
    const neon = await startPostgresProxy({ databaseUrl });
    const ways: Record<string, string> = {
      REDIS_URL: `redis://127.0.0.1:${upstash.port}`,
      DATABASE_URL: neon.through(wanted),
    };
    return { upstash, neon, ways };
  }
  const upstash = await startUpstashBridge({ redisUrl, token: "token" });
  const neon = await startNeonBridge({});
  const ways: Record<string, string> = {
    UPSTASH_REDIS_REST_URL: upstash.url,
    UPSTASH_REDIS_REST_TOKEN: "token",
    DATABASE_URL: wanted,
    NEON_HTTP_URL: neon.httpUrl,
  };
  return { upstash, neon, ways };
}

/** Opens a world; `close` it after the file's last test. The streams absent: those of test/streams/. */
export async function openWorld(env: Record<string, string> = {}, given?: Registry) {
  const servers = workerServers();
  const { upstash, neon, ways } = await openWays(servers, env.DATABASE_URL);
  const config: Config = readConfig({
    INGEST_API_KEYS: `tester:${KEY_SHA256},leads-only:${"0".repeat(64)}:leads`,
    LEASE_MS: "4000",
    ...env,
    ...ways,
  });
  const redis = new Redis(servers.redisUrl);
  const sql = new pg.Pool({ connectionString: env.DATABASE_URL ?? servers.databaseUrl, max: 4 });

  const said: Said[] = [];
  const say = (event: string, fields: Record<string, unknown> = {}) => void said.push({ event, fields });
  const log: Log = { debug: say, info: say, warn: say, error: say };
  const streams = given ?? (await loadTestStreams());
  const monotonicMs = () => performance.now();
  const openedRedis = openRedis(config);
  const client = openedRedis.within(2000);
  const redisEnv: Record<string, string> = config.redisUrl
    ? { REDIS_URL: config.redisUrl }
    : { UPSTASH_REDIS_REST_URL: upstash.url, UPSTASH_REDIS_REST_TOKEN: upstash.token };
  const opened = new Map<string, ReturnType<typeof openPostgres>>();
  const postgresAt = (databaseUrl: string) => {
    const known = opened.get(databaseUrl);
    if (known) return known;
    const place = { databaseUrl, neonHttpUrl: config.neonHttpUrl };
    const postgres = openPostgres(place, { connections: 16, monotonicMs });
    opened.set(databaseUrl, postgres);
    return postgres;
  };
  const postgres = postgresAt(config.databaseUrl);
  const buffer = createBuffer(client);
  const heldNotes = createHeldNotes(client);
  const storeWithin = (timeoutMs: number) => createStore(postgres.within(timeoutMs), timeoutMs);
  const store = storeWithin(config.insertTimeoutMs);
  const keys = createKeyStore(postgres.within(4000), 4000);
  const keyCopy = createKeyCopy(client);
  const keyCommands = {
    ...{ keys, keyCopy, newKey, streams, log },
    renewKeyCopy: () => renewCopy({ copy: keyCopy, table: keys }),
    environmentNames: new Set(config.apiKeys.map(({ name }) => name)),
  };
  const database = postgres.within(config.insertTimeoutMs);
  const usage = createUsageStore(database, config.insertTimeoutMs);
  const openDoctorOf = (databaseUrl: string) => {
    const opened = openDoctor({
      ...{ config: { ...config, databaseUrl }, streams, doubts: [], now: Date.now, monotonicMs },
      servers: { redis: openedRedis, postgres: postgresAt(databaseUrl) },
    });
    // The tests' streams have tables without the migrations of drizzle/migrations/.
    return { ...opened, migrations: () => ({ ours: [], yoursIn: "", ...opened.migrations(), yours: [] }) };
  };
  const doctor = openDoctorOf(config.databaseUrl);
  /** A drain's context, of a supervisor instance of its own. Its drains don't mend the copy of the keys, unless it is told to. */
  const supervisor = (more: Partial<SupervisorDeps> = {}): SupervisorDeps => ({
    traceOf: () => ({}),
    doctor,
    lastTick: new LastTick(() => performance.now()),
    keyCommands,
    mendKeys: async () => {},
    usage,
    refusals: createRefusalLists(client),
    pruning: {
      ...{ letters: createOldLetters(database, streams, config.insertTimeoutMs), usage },
      ...{ monotonicMs: () => performance.now(), ages: { lettersDays: 0, usageDays: 90 } },
    },
    pruneDaily: async () => {},
    buffer,
    heldNotes,
    webhookCounts: createWebhookCounts(client),
    store,
    tables: createTableCheck(postgres.within(2000), 2000, monotonicMs),
    letters: createDeadLetterStore(postgres.within(5000), streams, 5000),
    partitions: config.partitions,
    mayOperate: () => true,
    streams,
    log,
    now: Date.now,
    monotonicMs: () => performance.now(),
    witnesses: new Witnesses(),
    lookout: new HeldLookout(),
    release: "test",
    slots: new FairSlots(config.drainConcurrency),
    instance: randomUUID(),
    batchMaxRows: config.batchMaxRows,
    leaseMs: config.leaseMs,
    drainDeadlineMs: config.drainDeadlineMs,
    paused: new Set(),
    pauses: createPauses(client),
    callerOf: () => undefined,
    stopping: new AbortController().signal,
    ...more,
  });

  /** Empties Redis and every table, and forgets what was said and broken. */
  async function reset(): Promise<void> {
    upstash.setFault(undefined);
    neon.setFault(undefined);
    said.length = 0;
    await redis.flushdb();
    await sql.query(
      `truncate ${["api_keys", "dead_letters", ...[...streams.values()].map(tableOf)].join(", ")}`,
    );
  }

  /** Serves a handler over HTTP on a free port. */
  async function serve(handler: Handler, cors?: Cors) {
    const { server } = openDoor({
      handler,
      ...(cors ? { cors } : {}),
      log,
      traceOf: () => ({}),
      onStopping: () => {},
      onStopped: () => {},
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const close = () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
    return { url, close };
  }

  async function close(): Promise<void> {
    openedRedis.close();
    await Promise.all([...opened.values()].map((one) => one.close()));
    await Promise.all([upstash.close(), neon.close(), redis.quit(), sql.end()]);
  }

  return {
    ...{ config, upstash, neon, redis, sql, said, log, streams, buffer, heldNotes, store },
    ...{ keys, keyCopy, keyCommands, doctor, openDoctorOf },
    ...{ servers: { redis: openedRedis, postgres }, ways, redisEnv },
    ...{ storeWithin, supervisor, reset, serve, close },
  };
}

/** An event's envelope, received at `at`: as text, and as ingest pushes it if it is large. */
export function envelopeOf(data: unknown, { id = newId(), at = Date.now(), burials }: Partial<Made> = {}) {
  const receivedAt = new Date(at).toISOString();
  const made = { v: 1, id, receivedAt, burials, dataJson: JSON.stringify(data) };
  return { id, envelope: encodeEnvelope(made), packed: encodeEnvelope(packEnvelope(made)) };
}

interface Made {
  id: string;
  at: number;
  burials: number | undefined;
}

/** Pushes events onto a partition as ingest would, and returns their ids. */
export async function pushEvents(
  { buffer }: Pick<World, "buffer">,
  partition: Partition,
  events: readonly object[],
): Promise<string[]> {
  const made = events.map((event) => envelopeOf(event));
  await buffer.push(
    partition,
    made.map(({ envelope }) => envelope),
  );
  return made.map(({ id }) => id);
}

/** Works while `checked` has a trigger with this body in PL/pgSQL, and takes it away again. */
export async function whileTriggered(
  { sql }: Pick<World, "sql">,
  body: string,
  work: () => Promise<void>,
  level: "row" | "statement" = "row",
): Promise<void> {
  await sql.query(
    `create function spoilt() returns trigger language plpgsql as $$ begin ${body} end $$;
     create trigger spoilt before insert on checked for each ${level} execute function spoilt()`,
  );
  try {
    await work();
  } finally {
    await sql.query("drop trigger if exists spoilt on checked; drop function spoilt()");
  }
}

/** A stream's table as SQL names it. */
export function tableOf({ table }: Stream): string {
  const quoted = (part: string) => `"${part.replaceAll('"', '""')}"`;
  const { schema, name } = getTableConfig(table);
  return schema === undefined ? quoted(name) : `${quoted(schema)}.${quoted(name)}`;
}

/** Where every id is, by reading the servers themselves. */
export async function whereabouts(
  { redis, sql, streams }: Pick<World, "redis" | "sql"> & Partial<Pick<World, "streams">>,
  stream: string,
) {
  const ids = async (query: string) => (await sql.query(query)).rows.map((row: { id: string }) => row.id);
  const declared = streams?.get(stream);
  const [table, id] = declared ? [tableOf(declared), idOf(declared).name] : [`"${stream}"`, "id"];
  const stored = await ids(`select "${id}" as id from ${table}`);
  const letters = `select id from dead_letters where stream = '${stream}' and redriven_at is null`;
  const dead = await ids(`${letters} and retry_at is null`);
  // A letter that is tried again may be stored, and not gone yet.
  const held = await ids(`${letters} and retry_at is not null and id not in (select "${id}" from ${table})`);
  const buffered: string[] = [];
  for (const key of await redis.keys(`{spillway}:${stream}:*`)) {
    if (!/:(pending|sealed|claimed):/.test(key)) continue;
    for (const text of await redis.lrange(key, 0, -1)) buffered.push((JSON.parse(text) as { id: string }).id);
  }
  return { stored, dead, held, buffered };
}

/** Conservation: accepted = stored + held + dead + still buffered, by id; once the buffer is empty, each once. */
export async function expectConserved(
  world: World,
  stream: string,
  accepted: readonly string[],
): Promise<void> {
  const { stored, dead, held, buffered } = await whereabouts(world, stream);
  expect([...new Set([...stored, ...dead, ...held, ...buffered])].sort()).toEqual(
    [...new Set(accepted)].sort(),
  );
  if (buffered.length === 0) expect(stored.length + held.length + dead.length).toBe(new Set(accepted).size);
}

/** Lets the pauses of all held letters be over: Postgres's clock and Redis's note of it. */
export async function letPausesEnd({ redis, sql }: Pick<World, "redis" | "sql">): Promise<void> {
  await sql.query("update dead_letters set retry_at = now() where retry_at is not null");
  if (await redis.exists("{spillway}:held")) await redis.hset("{spillway}:held", "dueAtMs", "0");
}

/** Whether a process exists. */
export function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** Whether a statement is the insert of a part's rows, into this table. */
export const isInsert = (query: string, table = ""): boolean =>
  /^(?:with t as \()?insert into/.test(query) && query.includes(`insert into "${table}`);
