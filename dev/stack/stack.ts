/**
 * The whole system on one machine: real Redis and Postgres, a bridge in front of each, migrations, both functions in processes
 * of their own, and the scheduler.
 *
 * `npm start` runs a stack on fixed ports. Tests, the benchmark and the simulation run theirs on free ports. If a part fails to
 * start, the parts that were started are stopped before the error is thrown.
 */
import { createHash, randomBytes } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { migrateWithExisting } from "../../drizzle/existing.ts";
import { startTicker } from "../../functions/ticker.ts";
import { newKey } from "../../lib/access/key-format.ts";
import { findInstallation } from "../../lib/installation.ts";
import { type FunctionProcess, startFunction } from "./function-process.ts";
import { type NeonBridge, startNeonBridge } from "./neon-bridge.ts";
import { findFreePorts, requireFreePort } from "./ports.ts";
import { startPostgresProxy } from "./postgres-proxy.ts";
import { type PostgresServer, startPostgres } from "./postgres-server.ts";
import { startRedisProxy } from "./redis-proxy.ts";
import { type RedisServer, startRedis } from "./redis-server.ts";
import { startUpstashBridge, type UpstashBridge } from "./upstash-bridge.ts";

export interface StackOptions {
  /** Holds redis/, postgres/ and api-key; made if it is missing. */
  dataDir: string;
  /** Ingest gets this port, then supervisor, Redis bridge, Neon bridge, Redis, Postgres. Absent: free ports. */
  portBase?: number | undefined;
  /** The file that serves the functions, and what makes its tables. Absent: those of the working directory's installation, with all migrations. */
  streams?: { source: string; migrate(databaseUrl: string): Promise<void> };
  /** The role by which the functions log in; `streams.migrate` makes it. Absent: the superuser. */
  login?: { user: string; password: string } | undefined;
  /** Environment of both functions; wins over what the stack sets, save where the servers are. */
  env?: NodeJS.ProcessEnv;
  /** Environment of one of them, over `env`. */
  ingestEnv?: NodeJS.ProcessEnv;
  supervisorEnv?: NodeJS.ProcessEnv;
  /** @default "everysec" */
  appendfsync?: "always" | "everysec" | "no";
  /** Absent: no scheduler. */
  drainEveryMs?: number | undefined;
  /** Absent: the one kept in `dataDir`, made at the first start. */
  apiKey?: string | undefined;
  /** How the functions reach each server: over the HTTP of its vendor, by a bridge, or over TCP, by a proxy. @default http for both */
  over?: { redis: Way; postgres: Way } | undefined;
  /** The Redis bridge's token. Absent: a new one. */
  restToken?: string | undefined;
  /** Whether the functions write lines for `npm start` (beside-function.mjs). @default false */
  tells?: boolean;
  /** Each line that a function writes, and what the scheduler has to say. */
  onLine?:
    | ((source: "ingest" | "supervisor" | "scheduler", line: string, stream: "stdout" | "stderr") => void)
    | undefined;
  /** Called whenever a pid has changed. */
  onPids?: ((pids: StackPids) => void) | undefined;
  /** Gives up starting; what has been started is stopped. */
  signal?: AbortSignal | undefined;
}

export type Way = "http" | "tcp";

/** The listening processes; 0 for one that is not running yet. */
export interface StackPids {
  ingest: number;
  supervisor: number;
  redis: number;
  postgres: number;
}

export interface Stack {
  ingestUrl: string;
  supervisorUrl: string;
  apiKey: string;
  databaseUrl: string;
  redisUrl: string;
  restUrl: string;
  restToken: string;
  neonHttpUrl: string;
  /** The settings that lead a function to Redis and Postgres. */
  serverSettings: Record<string, string>;
  /** The way to Redis, which can be told to break: over TCP a proxy. The next is the same for Postgres. */
  upstashBridge: UpstashBridge;
  neonBridge: NeonBridge;
  ingest: FunctionProcess;
  supervisor: FunctionProcess;
  redis(): RedisServer;
  postgres(): PostgresServer;
  pids(): StackPids;
  /** Ends Redis by `signal` (absent: a clean stop) and starts it again on the same folder and port, after `meanwhile`. */
  restartRedis(signal?: NodeJS.Signals, meanwhile?: () => Promise<void>): Promise<void>;
  /** The same for Postgres. */
  restartPostgres(signal?: NodeJS.Signals, meanwhile?: () => Promise<void>): Promise<void>;
  /** Stops scheduler, functions, bridges, then the servers. May be repeated; resolves when all processes are gone. */
  stop(): Promise<void>;
}

interface Ports {
  ingest: number;
  supervisor: number;
  upstash: number;
  neon: number;
  redis: number;
  postgres: number;
}

/** Starts everything and resolves when everything answers. Throws one sentence for people when something does not. */
export async function startStack(options: StackOptions): Promise<Stack> {
  const started = new Started();
  try {
    return await start(options, started);
  } catch (error) {
    await started.stop();
    throw error;
  }
}

async function start(options: StackOptions, started: Started): Promise<Stack> {
  const ports = await choosePorts(options.portBase);
  const dataDir = resolve(options.dataDir);
  mkdirSync(dataDir, { recursive: true });
  // Started by root, Postgres runs as another user, who has to get through a folder made by mkdtemp (0700).
  if (process.getuid?.() === 0) chmodSync(dataDir, statSync(dataDir).mode | 0o011);
  const apiKey = options.apiKey ?? keepApiKey(dataDir);
  const pids: StackPids = { ingest: 0, supervisor: 0, redis: 0, postgres: 0 };
  const tellPids = (changed: Partial<StackPids>) => {
    Object.assign(pids, changed);
    options.onPids?.({ ...pids });
  };
  const check = () => options.signal?.throwIfAborted();

  let redis: RedisServer;
  let postgres: PostgresServer;
  const launchRedis = async () => {
    redis = await startRedis({
      dir: join(dataDir, "redis"),
      port: ports.redis,
      appendfsync: options.appendfsync ?? "everysec",
    });
    tellPids({ redis: redis.pid });
  };
  const launchPostgres = async () => {
    postgres = await startPostgres({ dir: join(dataDir, "postgres"), port: ports.postgres });
    tellPids({ postgres: postgres.pid });
  };
  await all(
    launchRedis().then(() => started.add("server", () => redis.stop())),
    launchPostgres().then(() => started.add("server", () => postgres.stop())),
  );
  check();
  const migrate = options.streams?.migrate ?? ((url) => migrateWithExisting(url, findInstallation()));
  await migrate(postgres!.url);

  const restToken = options.restToken ?? randomBytes(16).toString("hex");
  const { over = { redis: "http", postgres: "http" } } = options;
  const { bridge: upstashBridge, settings: redisSettings } = await openWayToRedis(over.redis, {
    ...{ redisUrl: redis!.url, token: restToken, port: ports.upstash },
  });
  started.add("bridge", upstashBridge.close);
  const { bridge: neonBridge, settings: postgresSettings } = await openWayToPostgres(
    over.postgres,
    urlFor(postgres!.url, options.login),
    ports.neon,
  );
  started.add("bridge", neonBridge.close);
  check();

  const supervisorUrl = `http://127.0.0.1:${ports.supervisor}`;
  const serverSettings = { ...redisSettings, ...postgresSettings };
  // What the environment names beside is another installation's.
  const places = {
    ...serverSettings,
    SUPERVISOR_URL: supervisorUrl,
    SUPERVISOR_HOST: "127.0.0.1",
    OPERATOR_TOKEN: "",
  };
  const launchFunction = async (target: "ingest" | "supervisor", ownEnv: NodeJS.ProcessEnv = {}) => {
    const given = { ...options.env, ...ownEnv };
    const running = await startFunction({
      target,
      port: ports[target],
      source: options.streams?.source,
      env: {
        FLUSH_TRIGGER: "http",
        ...given,
        ...places,
        INGEST_API_KEYS: apiKeys(apiKey, given.INGEST_API_KEYS),
      },
      tells: options.tells,
      onLine: (line, stream) => options.onLine?.(target, line, stream),
      onRestarted: () => tellPids({ [target]: running.pid() }),
      signal: options.signal,
    });
    started.add("function", running.stop);
    tellPids({ [target]: running.pid() });
    return running;
  };
  const [ingest, supervisor] = await all(
    launchFunction("ingest", options.ingestEnv),
    launchFunction("supervisor", options.supervisorEnv),
  );
  check();
  if (options.drainEveryMs !== undefined) {
    const onFailure = (reason: string) => options.onLine?.("scheduler", reason, "stderr");
    const ticker = startTicker({ supervisorUrl, everyMs: options.drainEveryMs, onFailure });
    started.add("scheduler", async () => ticker.stop());
  }

  return {
    ingestUrl: ingest.url,
    supervisorUrl,
    apiKey,
    databaseUrl: postgres!.url,
    redisUrl: redis!.url,
    restUrl: upstashBridge.url,
    restToken,
    neonHttpUrl: neonBridge.httpUrl,
    serverSettings,
    upstashBridge,
    neonBridge,
    ingest,
    supervisor,
    redis: () => redis,
    postgres: () => postgres,
    pids: () => ({ ...pids, ingest: ingest.pid(), supervisor: supervisor.pid() }),
    restartRedis: async (signal, meanwhile) => {
      await (signal ? redis.kill(signal) : redis.stop());
      await meanwhile?.();
      await launchRedis();
    },
    restartPostgres: async (signal, meanwhile) => {
      await (signal ? postgres.kill(signal) : postgres.stop());
      await meanwhile?.();
      await launchPostgres();
    },
    stop: () => started.stop(),
  };
}

/** Opens a way to Redis that can be told to break. */
async function openWayToRedis(
  way: Way,
  { redisUrl, token, port }: { redisUrl: string; token: string; port: number },
) {
  if (way === "tcp") {
    const bridge = await startRedisProxy({ redisUrl, port });
    const settings: Record<string, string> = { REDIS_URL: `redis://127.0.0.1:${bridge.port}` };
    return { bridge, settings };
  }
  const bridge = await startUpstashBridge({ redisUrl, token, port });
  return { bridge, settings: { UPSTASH_REDIS_REST_URL: bridge.url, UPSTASH_REDIS_REST_TOKEN: token } };
}

/** The same for Postgres. */
async function openWayToPostgres(way: Way, databaseUrl: string, port: number) {
  if (way === "tcp") {
    const bridge = await startPostgresProxy({ databaseUrl, port });
    const settings: Record<string, string> = { DATABASE_URL: bridge.through(databaseUrl) };
    return { bridge, settings };
  }
  const bridge = await startNeonBridge({ port });
  return { bridge, settings: { DATABASE_URL: databaseUrl, NEON_HTTP_URL: bridge.httpUrl } };
}

function urlFor(databaseUrl: string, login: StackOptions["login"]): string {
  const url = new URL(databaseUrl);
  if (login) Object.assign(url, { username: login.user, password: login.password });
  return url.href;
}

/** What has to be stopped, in which order: ticks cease first, servers go last, equals go together. */
class Started {
  readonly #stops = { scheduler: [], function: [], bridge: [], server: [] } as Record<
    string,
    (() => Promise<void>)[]
  >;
  #stopped: Promise<void> | undefined;

  add(kind: "scheduler" | "function" | "bridge" | "server", stop: () => Promise<void>): void {
    this.#stops[kind]?.push(stop);
  }

  /** Goes on whatever fails, so that nothing is left running. */
  stop(): Promise<void> {
    this.#stopped ??= (async () => {
      for (const stops of Object.values(this.#stops)) await Promise.allSettled(stops.map((stop) => stop()));
    })();
    return this.#stopped;
  }
}

/** Like Promise.all, but waits for all of them even if one fails: nothing goes on starting behind one's back. */
async function all<A, B>(a: Promise<A>, b: Promise<B>): Promise<[A, B]> {
  await Promise.allSettled([a, b]);
  return Promise.all([a, b]);
}

async function choosePorts(base: number | undefined): Promise<Ports> {
  const numbers = base === undefined ? await findFreePorts(6) : [0, 1, 2, 3, 4, 5].map((i) => base + i);
  const [ingest, supervisor, upstash, neon, redis, postgres] = numbers as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const ports = { ingest, supervisor, upstash, neon, redis, postgres };
  const purposes = {
    ...{ ingest: "ingest", supervisor: "supervisor", upstash: "Redis bridge" },
    neon: "Neon bridge",
    redis: "Redis",
    postgres: "Postgres",
  };
  for (const name of Object.keys(ports) as (keyof Ports)[])
    await requireFreePort(ports[name], purposes[name]);
  return ports;
}

/** The key of this data folder, made at the first start, so that scripts with the key in them go on working. */
function keepApiKey(dataDir: string): string {
  const file = join(dataDir, "api-key");
  if (existsSync(file)) {
    const kept = readFileSync(file, "utf8").trim();
    if (kept) return kept;
  }
  const key = newKey("secret");
  writeFileSync(file, `${key}\n`, { mode: 0o600 });
  return key;
}

/** `local:<sha256>` and whatever keys were given besides. */
function apiKeys(apiKey: string, given: string | undefined): string {
  const own = `local:${createHash("sha256").update(apiKey).digest("hex")}`;
  return given?.trim() ? `${own},${given}` : own;
}
