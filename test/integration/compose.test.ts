/**
 * compose.yaml as it runs, without a Docker engine: each service is a process with the command and the environment of the file, on real
 * servers over TCP. Only names of hosts and numbers of ports are others. The events are of the first stream of lib/streams/ that is buffered
 * and keeps ids; without one there is nothing to send.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Redis } from "ioredis";
import pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { findFreePorts } from "../../dev/stack/ports.ts";
import { findRedis } from "../../dev/stack/redis-server.ts";
import { newId } from "../../lib/schema/event-ids.ts";
import { exampleOf } from "../../lib/schema/example.ts";

import type { Stream } from "../../lib/schema/stream.ts";
import { readCompose, type Service } from "../compose-file.ts";
import { loadOwnStreams } from "../own-installation.ts";
import { workerServers } from "../worker-servers.ts";
import { createDatabase, whereabouts } from "./test-stack.ts";

const project = fileURLToPath(new URL("../../", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "spillway-compose-"));
const KEY = "composed-key";
const VARIABLES = {
  ...{ POSTGRES_PASSWORD: "a1".repeat(32), REDIS_PASSWORD: "b2".repeat(32), OPERATOR_TOKEN: "c3".repeat(32) },
  INGEST_API_KEYS: `composed:${createHash("sha256").update(KEY).digest("hex")}`,
};
const { services } = readCompose(VARIABLES);
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

const children: ChildProcess[] = [];
let sql: pg.Pool;
let redis: Redis;
/** The ports here, by what the file has in their place. */
let ports: Record<"valkey" | "ingest" | "supervisor" | "console", number>;
let postgres: string;
let stream: Stream | undefined;

beforeAll(async () => {
  const [valkey = 0, ingest = 0, supervisor = 0, page = 0] = await findFreePorts(4);
  ports = { valkey, ingest, supervisor, console: page };
  await makeDatabase();
  stream = [...(await loadOwnStreams()).values()].find(
    (one) => !one.retired && !one.existing && one.ack === "buffered" && one.key.keepsIds && exampleOf(one),
  );
});
afterAll(async () => {
  for (const child of children) child.kill("SIGKILL");
  redis?.disconnect();
  await sql?.end();
  rmSync(folder, { recursive: true, force: true });
});

/** The database and the login that the image of Postgres makes from its environment. */
async function makeDatabase(): Promise<void> {
  const { POSTGRES_USER: user, POSTGRES_PASSWORD: password } = services.postgres?.environment ?? {};
  const url = new URL(await createDatabase("composed"));
  postgres = `${url.host}/composed`;
  const admin = new pg.Client({ connectionString: workerServers().databaseUrl });
  await admin.connect();
  await admin.query(
    `drop role if exists ${user}; create role ${user} login superuser password '${password}'`,
  );
  await admin.end();
  sql = new pg.Pool({ connectionString: url.href, max: 2 });
}

/** A text of the file with the hosts and ports of this machine. */
const here = (text: string): string =>
  text
    .replace("@postgres:5432/spillway", `@${postgres}`)
    .replace("@valkey:6379", `@127.0.0.1:${ports.valkey}`)
    .replace("http://spillway:8080", `http://127.0.0.1:${ports.ingest}`)
    .replace("http://spillway:8081", `http://127.0.0.1:${ports.supervisor}`)
    .replace(/\b8080\b/g, String(ports.ingest))
    .replace(/\b8081\b/g, String(ports.supervisor))
    .replace(/\b8082\b/g, String(ports.console))
    .replace(/^\/app\//, `${project}`);

/** The ENTRYPOINT of a service's image. */
function entryOf({ build }: Service): string[] {
  const file = typeof build === "object" ? build.dockerfile : "Dockerfile";
  const [, entry = "[]"] = /^ENTRYPOINT (\[.*\])$/m.exec(readFileSync(join(project, file), "utf8")) ?? [];
  return JSON.parse(entry) as string[];
}

interface Started {
  child: ChildProcess;
  said: () => string;
}

/** Starts the process of a service. */
function start(name: string, { cwd = project, more = [] }: { cwd?: string; more?: string[] } = {}): Started {
  const service = services[name] as Service;
  const [program = "", ...args] = [...(service.entrypoint ?? entryOf(service)), ...(service.command ?? [])]
    .map(here)
    .map((word) => word.replace(project, cwd.endsWith("/") ? cwd : `${cwd}/`));
  const environment = Object.entries(service.environment ?? {}).map(([key, value]) => [key, here(value)]);
  const child = spawn(program, [...args, ...more], {
    cwd,
    env: { PATH: process.env.PATH, NODE_ENV: "production", ...Object.fromEntries(environment) },
    stdio: ["ignore", "pipe", "pipe"],
  });
  children.push(child);
  let text = "";
  for (const output of [child.stdout, child.stderr])
    output.on("data", (piece: Buffer) => {
      text += piece.toString();
    });
  return { child, said: () => text };
}

/** Waits until the health check of a service is passed, by its own command. */
async function untilHealthy(name: string, { child, said }: Started): Promise<void> {
  const [, program = "", ...args] = services[name]?.healthcheck?.test ?? [];
  while (child.exitCode === null) {
    const check = spawn(program, args.map(here), { stdio: "ignore" });
    const [status] = await once(check, "exit");
    if (status === 0) return;
    await sleep(100);
  }
  throw new Error(`expected ${name} to start, it said: ${said()}`);
}

async function startValkey(): Promise<void> {
  const [, ...flags] = services.valkey?.command ?? [];
  const { command, env } = await findRedis();
  mkdirSync(join(folder, "data"), { recursive: true });
  const places = ["--port", String(ports.valkey), "--bind", "127.0.0.1", "--dir", join(folder, "data")];
  const child = spawn(command, [...flags, ...places], { stdio: "ignore", env: { ...process.env, ...env } });
  children.push(child);
  redis = new Redis({
    port: ports.valkey,
    password: VARIABLES.REDIS_PASSWORD,
    maxRetriesPerRequest: null,
    retryStrategy: () => 50,
  });
  redis.on("error", () => {});
  await redis.ping();
}

const url = (of: "ingest" | "supervisor" | "console", path: string) => `http://127.0.0.1:${ports[of]}${path}`;

test("the flags of the buffer are taken: what is pushed is on the disk, nothing is evicted, and strangers are refused", async () => {
  await startValkey();
  const setting = async (name: string) => ((await redis.config("GET", name)) as string[])[1];
  expect(
    await Promise.all(["appendonly", "appendfsync", "save", "maxmemory", "maxmemory-policy"].map(setting)),
  ).toEqual([...["yes", "always", "", String(1024 ** 3), "noeviction"]]);
  const stranger = new Redis({ port: ports.valkey, lazyConnect: true });
  stranger.on("error", () => {});
  await expect(stranger.lpush("x", "y")).rejects.toThrow("NOAUTH");
  stranger.disconnect();
});

test("the migrations run, and run again", async () => {
  for (let times = 0; times < 2; times++) {
    const { child, said } = start("migrate");
    const [status] = await once(child, "exit");
    expect([status, said()]).toEqual([0, expect.any(String)]);
  }
  expect((await sql.query("select 1 from dead_letters")).rowCount).toBe(0);
});

test("events are stored; those that come while the process is told to end and is started again are stored once, too", async () => {
  let spillway = start("spillway");
  await untilHealthy("spillway", spillway);
  if (stream === undefined) return;
  const accepted: string[] = [];
  let isDone = false;
  const sending = (async () => {
    while (!isDone) accepted.push(...(await sendUntilAccepted(stream)));
  })();
  await expect.poll(() => accepted.length, { timeout: 20_000 }).toBeGreaterThan(500);
  spillway.child.kill("SIGTERM");
  expect(await once(spillway.child, "exit")).toEqual([0, null]);
  const before = accepted.length;
  spillway = start("spillway"); // as restart: unless-stopped
  await untilHealthy("spillway", spillway);
  await expect.poll(() => accepted.length, { timeout: 20_000 }).toBeGreaterThan(before + 500);
  isDone = true;
  await sending;

  const drained = await fetch(url("supervisor", "/drain?wait=1"), {
    method: "POST",
    headers: bearer(VARIABLES.OPERATOR_TOKEN),
  });
  expect(drained.status).toBe(200);
  const { stored, dead, held, buffered } = await whereabouts({ redis, sql } as never, stream.name);
  expect({ dead, held, buffered }).toEqual({ dead: [], held: [], buffered: [] });
  expect(stored.sort()).toEqual(accepted.sort());
});

/** Posts 50 events, again under the same ids until they are accepted, as every sender does. */
async function sendUntilAccepted(to: Stream): Promise<string[]> {
  const ids = Array.from({ length: 50 }, () => newId());
  const events = ids.map((id, i) => ({ ...exampleOf(to, i), id }));
  for (;;) {
    const response = await fetch(url("ingest", `/v1/${to.name}`), {
      method: "POST",
      headers: { ...bearer(KEY), "content-type": "application/json" },
      body: JSON.stringify(events),
    }).catch(() => undefined);
    const { ids: answered } = ((await response?.json().catch(() => undefined)) ?? {}) as { ids?: string[] };
    if (response?.ok) {
      expect(answered).toEqual(ids);
      return ids;
    }
    await sleep(50);
  }
}

test("the supervisor is asked with the token, and the doctor finds Redis and Postgres well", async () => {
  expect((await fetch(url("supervisor", "/doctor"))).status).toBe(401);
  const response = await fetch(url("supervisor", "/doctor"), { headers: bearer(VARIABLES.OPERATOR_TOKEN) });
  const { checks } = (await response.json()) as { checks: { check: string; result: string; seen: string }[] };
  expect(checks.length).toBeGreaterThan(30);
  expect(checks.filter(({ result }) => result === "wrong")).toEqual([]);
});

test("the console of its image shows the system, from the files that its build copies", async () => {
  const copied = copyForConsole();
  const page = start("console", { cwd: copied });
  await untilHealthy("console", page);
  const [, address = "", token = ""] = /^Console (\S+)\/#(\S+)$/m.exec(page.said()) ?? [];
  expect(address).toBe(`http://127.0.0.1:${ports.console}`);
  const ask = (path: string, headers: Record<string, string> = {}) =>
    fetch(`${address}${path}`, { headers: { "x-spillway-console": token, ...headers } });
  const about = await ask("/api/about");
  expect(await about.json()).toMatchObject({
    isProd: true,
    canWrite: false,
    place: `http://127.0.0.1:${ports.supervisor}`,
  });
  const status = await ask("/api/supervisor/status");
  expect([status.status, Object.keys((await status.json()) as object)]).toEqual([200, ["streams"]]);
  expect((await ask("/api/about", { "x-spillway-console": "another" })).status).toBe(401);
  page.child.kill("SIGTERM");
  expect(await once(page.child, "exit")).toEqual([0, null]);
});

/** A folder with what Dockerfile.console copies, and the packages of this checkout. */
function copyForConsole(): string {
  const to = join(folder, "console");
  const copies = [
    ...readFileSync(join(project, "Dockerfile.console"), "utf8").matchAll(/^COPY (.+) (\S+)$/gm),
  ];
  for (const [, files = "", target = ""] of copies)
    for (const file of files.split(" ")) {
      const place = join(
        to,
        target,
        target.endsWith("/") && !target.endsWith(`${file}/`) ? file.replace(/.*\//, "") : "",
      );
      mkdirSync(dirname(place), { recursive: true });
      cpSync(join(project, file), place, { recursive: true });
    }
  symlinkSync(join(project, "node_modules"), join(to, "node_modules"));
  return to;
}
