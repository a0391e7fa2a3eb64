/**
 * A real Redis for the local stack. It writes an append-only file (AOF), listens on loopback only, and takes all its settings
 * from the command line.
 *
 * It is `redis-server` or `valkey-server` from the PATH. If there is neither, Debian's is installed (as root with apt-get,
 * otherwise unpacked under `.local/`). If that fails, an error names the package to install. Redis may be started again on the
 * folder and port of a Redis that was killed. It then has the data of the AOF.
 */
import { execFile } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { Redis } from "ioredis";
import { installWithApt, isExecutable, onPath } from "./installed-program.ts";
import { readReason, type ServerProcess, sizeOf, spawnServer, stopServer } from "./server-process.ts";

export interface RedisServer {
  pid: number;
  port: number;
  url: string;
  /** Resolves when the process has ended, wanted or not. */
  ended: Promise<void>;
  /** Shuts down cleanly (SIGTERM: the AOF is flushed). */
  stop(): Promise<void>;
  /** Sends a signal; resolves when the process has ended, so at once is only right with SIGKILL or SIGTERM. */
  kill(signal: NodeJS.Signals): Promise<void>;
}

export interface RedisOptions {
  /** Holds the append-only file; made if it is missing. The log is `<dir>.log`. */
  dir: string;
  port: number;
  /** @default "everysec", as Upstash; "always" loses nothing at a power cut */
  appendfsync?: "always" | "everysec" | "no";
}

const readyTimeoutMs = 60_000;
const stopTimeoutMs = 15_000;

/** Starts Redis and resolves when it answers PING. Throws one sentence for people when it can't. */
export async function startRedis({
  dir,
  port,
  appendfsync = "everysec",
}: RedisOptions): Promise<RedisServer> {
  const folder = resolve(dir);
  const logFile = `${folder}.log`;
  if (existsSync(folder) && !statSync(folder).isDirectory()) throw corrupt(folder, "it is not a folder");
  mkdirSync(folder, { recursive: true });
  const logStart = sizeOf(logFile);
  const { command, env } = await findRedis();
  const server = await spawnServer(command, redisArguments(folder, port, appendfsync), {
    cwd: folder,
    logFile,
    endSignal: "SIGTERM",
    env: { ...process.env, ...env },
  });
  try {
    await waitUntilReady(server, port);
  } catch (error) {
    await server.kill("SIGKILL");
    throw explainFailure(folder, logFile, logStart, error as Error);
  }
  return {
    pid: server.pid,
    port,
    url: `redis://127.0.0.1:${port}`,
    ended: server.ended,
    stop: () => stopServer(server, "SIGTERM", stopTimeoutMs),
    kill: server.kill,
  };
}

/** No `save`: the AOF alone is the data. The title stays the command line, so that `ps` tells whose Redis it is. */
function redisArguments(dir: string, port: number, appendfsync: string): string[] {
  const settings = {
    port: String(port),
    bind: "127.0.0.1",
    dir,
    appendonly: "yes",
    appendfsync,
    save: "",
    "set-proc-title": "no",
    daemonize: "no",
  };
  return Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
}

async function waitUntilReady(server: ServerProcess, port: number): Promise<void> {
  const redis = new Redis({
    port,
    host: "127.0.0.1",
    protocol: 2,
    maxRetriesPerRequest: null,
    maxLoadingRetryTime: 200,
    retryStrategy: () => 25,
  });
  redis.on("error", () => {});
  const timeout = new AbortController();
  try {
    await Promise.race([
      redis.ping(),
      server.ended.then(() => Promise.reject(new Error("it ended at once"))),
      new Promise((_, reject) => {
        const timer = setTimeout(
          () => reject(new Error("it did not answer PING within 60 s")),
          readyTimeoutMs,
        );
        timeout.signal.addEventListener("abort", () => clearTimeout(timer));
      }),
    ]);
  } finally {
    timeout.abort();
    redis.disconnect();
  }
}

function explainFailure(dir: string, logFile: string, logStart: number, error: Error): Error {
  const reason = readReason(logFile, logStart, /# (?!WARNING)/);
  if (/AOF|append only file|RDB|manifest|Unrecoverable/i.test(reason))
    return corrupt(dir, `Redis says: ${reason}`);
  return new Error(
    `Redis did not start on ${dir}: ${error.message} (Redis says: ${reason || "nothing"}; its log is ${logFile}).`,
    { cause: error },
  );
}

function corrupt(dir: string, reason: string): Error {
  return new Error(
    `Redis's data folder ${dir} is corrupt: repair it with redis-check-aof --fix, or move it away to start empty (${reason}).`,
  );
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, " ").slice(-300);
}

interface RedisCommand {
  command: string;
  env: NodeJS.ProcessEnv;
}

let found: Promise<RedisCommand> | undefined;

/** Where Redis is, installing it if need be; asked once per process. */
export function findRedis(): Promise<RedisCommand> {
  found ??= locateOrInstall().catch((error) => {
    found = undefined;
    throw error;
  });
  return found;
}

const howToInstall =
  "install it (Debian and Ubuntu: apt-get install redis-server; macOS: brew install redis) and start again";

async function locateOrInstall(): Promise<RedisCommand> {
  const unpackedRoot = resolve(".local", "redis-package");
  const present = locate(unpackedRoot);
  if (present) return present;
  const missing = `Spillway needs redis-server or valkey-server on the PATH: ${howToInstall}`;
  if (!onPath("apt-get")) throw new Error(`${missing}.`);
  try {
    // Debian also starts a service on 6379, which does no harm: the stack uses a port of its own.
    await (process.getuid?.() === 0 ? installWithApt("redis-server") : unpackPackages(unpackedRoot));
  } catch (error) {
    const { stderr = "", message } = error as Error & { stderr?: string };
    throw new Error(`${missing} (installing it here failed: ${oneLine(stderr || message)}).`, {
      cause: error,
    });
  }
  const installed = locate(unpackedRoot);
  if (!installed) throw new Error(`${missing}.`);
  return installed;
}

function locate(unpackedRoot: string): RedisCommand | undefined {
  const command = onPath("redis-server", "valkey-server");
  return command === undefined ? unpacked(unpackedRoot) : { command, env: {} };
}

const run = promisify(execFile);

/** Without root: Debian's packages unpacked in the project, with the two libraries that redis-server needs. */
async function unpackPackages(root: string): Promise<void> {
  console.error("redis-server is not on the PATH: unpacking Debian's package under .local/ …");
  mkdirSync(root, { recursive: true });
  await run("apt-get", ["download", "redis-server", "redis-tools", "liblzf1", "libjemalloc2"], { cwd: root });
  for (const file of readdirSync(root).filter((name) => name.endsWith(".deb")))
    await run("dpkg", ["-x", file, root], { cwd: root });
}

function unpacked(root: string): RedisCommand | undefined {
  const command = join(root, "usr/bin/redis-server");
  if (!isExecutable(command)) return undefined;
  const libraries = existsSync(join(root, "usr/lib")) ? readdirSync(join(root, "usr/lib")) : [];
  const folders = ["", ...libraries].map((name) => join(root, "usr/lib", name));
  return { command, env: { LD_LIBRARY_PATH: folders.join(":") } };
}
