/**
 * The Traffic Surge Simulator on real servers: every accepted event is found by its id, what is told is what the generator recorded, and
 * nothing is left behind, however a surge ends.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import pg from "pg";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { surgeRoutes } from "../../dev/surge/answer-surge.ts";
import { openPlace } from "../../dev/surge/place.ts";
import { createSurge, type Surge } from "../../dev/surge/surge.ts";
import { runTurn } from "../../dev/surge/turn.ts";
import type { SurgeConserved, SurgeLine, SurgeSecond } from "../../lib/contract/surge.ts";
import { loadOwnStreams } from "../own-installation.ts";
import { workerServers } from "../worker-servers.ts";
import { runSpillway } from "./run-spillway.ts";
import { serveIngest } from "./test-ingest.ts";
import { isAlive, openWorld } from "./test-stack.ts";

/** A short measurement of this machine: tests don't care how fast it is. */
const RAMP = { rates: [50], stepSeconds: 1, generatorSeconds: 1 };

const { databaseUrl, redisUrl } = workerServers();
let sql: pg.Client;
let redis: Redis;

beforeAll(async () => {
  sql = new pg.Client({ connectionString: databaseUrl });
  await sql.connect();
  redis = new Redis(redisUrl);
});
afterAll(async () => {
  await sql.end();
  redis.disconnect();
});

/** Whether nothing of a surge is left on the servers. */
async function expectNothingLeft(): Promise<void> {
  const { rows } = await sql.query("select datname from pg_database where datname like 'spillway_surge%'");
  expect(rows).toEqual([]);
  expect(await redis.info("keyspace")).not.toMatch(/^db[1-9]/m);
  expect(existsSync(`.local/surge-${new URL(databaseUrl).port}`)).toBe(false);
}

/** The processes that this one, or another, has started and that are alive. */
const childrenOf = (parent: number): number[] =>
  readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
        const [state, ppid] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
        return Number(ppid) === parent && state !== "Z";
      } catch {
        return false; // it has ended
      }
    })
    .map(Number);

const sum = (lines: readonly SurgeSecond[], of: "offered" | "answered" | "errors") =>
  lines.reduce((total, line) => total + line[of], 0);

test.each(["direct", "buffer"] as const)(
  "%s: each id that was answered is in its table, and what is told is what the generator recorded",
  async (target) => {
    const place = await openPlace({ databaseUrl, redisUrl });
    try {
      const lines: SurgeLine[] = [];
      const request = { rate: 200, seconds: 5, mode: target };
      const never = new AbortController().signal;
      const load = await runTurn(place, target, request, (line) => lines.push(line), never);
      const table = target === "direct" ? "direct" : "buffered";
      const { rows } = await place.sql.query<{ id: string }>(`select id from ${table}`);

      expect(load.ids).toHaveLength(1000);
      expect(rows.map(({ id }) => id).sort()).toEqual([...load.ids].sort());
      const seconds = lines.filter((line) => line.kind === "second").filter(({ part }) => part === "load");
      expect(sum(seconds, "offered")).toBe(1000);
      expect(sum(seconds, "answered")).toBe(load.requests);
      expect(sum(seconds, "errors")).toBe(load.errors);
      const last = seconds.at(-1);
      expect(last?.allP99Ms).toBeCloseTo(load.latencies.percentileMs(0.99), 6);
      expect(last?.allP50Ms).toBeCloseTo(load.latencies.percentileMs(0.5), 6);
      expect(last?.connectionsMax).toBe(
        Number((await sql.query("show max_connections")).rows[0]?.max_connections),
      );
      expect(last?.connections).toBeGreaterThan(0);
      expect(lines.at(-1)).toEqual({
        ...{ kind: "conserved", target, offered: 1000, errors: 0, unanswered: 0 },
        ...{ accepted: 1000, stored: 1000, dead: 0, waiting: 0, lost: 0, extra: 0, isKept: true },
        ...{ p50Ms: load.latencies.percentileMs(0.5), p99Ms: load.latencies.percentileMs(0.99) },
        text: "1,000 accepted = 1,000 stored + 0 dead + 0 waiting.",
      });
    } finally {
      await place.close();
    }
    await expectNothingLeft();
  },
);

test("an accepted event that is nowhere is told as lost", async () => {
  const place = await openPlace({ databaseUrl, redisUrl });
  try {
    await place.sql.query(`
      create function forget() returns trigger language plpgsql as $$ begin
        if new.user_id = 'driver-7' then return null; end if; return new; end $$;
      create trigger forget before insert on direct for each row execute function forget()`);
    const lines: SurgeLine[] = [];
    const request = { rate: 100, seconds: 5, mode: "direct" } as const;
    const never = new AbortController().signal;
    const load = await runTurn(place, "direct", request, (line) => lines.push(line), never);
    const { rows } = await place.sql.query<{ stored: number }>("select count(*)::int as stored from direct");
    const lost = load.ids.length - (rows[0]?.stored ?? 0);
    expect(lost).toBeGreaterThan(0);
    expect(lines.at(-1)).toMatchObject({ kind: "conserved", accepted: 500, lost, isKept: false });
  } finally {
    await place.close();
  }
});

let surge: Surge;
let server: Server;
let url: string;
beforeAll(async () => {
  surge = createSurge({ databaseUrl, redisUrl }, { ramp: RAMP });
  const routes = surgeRoutes(surge);
  server = createServer((req, res) => {
    const answer = routes.get(`${req.method} ${req.url}`);
    if (answer) void answer(req, res);
    else res.writeHead(404).end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(() => surge.stop());
afterAll(() => {
  server.close();
  server.closeAllConnections();
});

const post = async (path: string, body?: unknown) => {
  const text = body === undefined ? null : JSON.stringify(body);
  const response = await fetch(`${url}${path}`, { method: "POST", body: text });
  return { status: response.status, body: (await response.json()) as { detail?: string } };
};

/** The lines that come over HTTP, until `isEnough`. */
async function readLines(isEnough: (line: SurgeLine) => boolean): Promise<SurgeLine[]> {
  const leaving = new AbortController();
  const response = await fetch(`${url}/api/surge`, { signal: leaving.signal });
  const lines: SurgeLine[] = [];
  let rest = "";
  for await (const chunk of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
    const parts = (rest + chunk).split("\n");
    rest = parts.pop() ?? "";
    const come = parts.map((part) => JSON.parse(part) as SurgeLine);
    lines.push(...come);
    if (come.some(isEnough)) break;
  }
  leaving.abort();
  return lines;
}

const isEnded = ({ kind }: SurgeLine) => kind === "ended";
const conservedIn = (lines: readonly SurgeLine[]): SurgeConserved[] =>
  lines.filter((line) => line.kind === "conserved");

test("a surge over HTTP: both in turns, one at a time, this machine measured first, and nothing left", async () => {
  const before = childrenOf(process.pid);
  expect(await post("/api/surge", { rate: 100, seconds: 5, mode: "both" })).toEqual({
    ...{ status: 202, body: { isRunning: true } },
  });
  const second = await post("/api/surge", { rate: 100, seconds: 5, mode: "both" });
  expect(second).toMatchObject({
    ...{ status: 409, body: { detail: "A surge runs already: wait for its end, or stop it." } },
  });
  const elsewhere = createSurge({ databaseUrl, redisUrl }).start({ rate: 100, seconds: 5, mode: "direct" });
  await expect(elsewhere).rejects.toThrow(
    "A surge runs already on this machine: wait for its end, or stop it.",
  );

  const lines = await readLines(isEnded);
  const kinds = lines.map((line) => (line.kind === "second" ? `${line.target} ${line.part}` : line.kind));
  expect(kinds.filter((kind, i) => kind !== kinds[i - 1])).toEqual([
    ...["hello", "begun", "step", "direct ramp", "calibrated"],
    ...["step", "direct load", "step", "conserved"],
    ...["step", "buffer load", "step", "buffer settling", "step", "conserved", "ended"],
  ]);
  expect(lines.at(-1)).toMatchObject({ why: "finished", text: "The surge is over." });
  expect(conservedIn(lines).map(({ target, accepted, isKept }) => [target, accepted, isKept])).toEqual([
    ["direct", 500, true],
    ["buffer", 500, true],
  ]);
  const calibrated = lines.find((line) => line.kind === "calibrated");
  expect(calibrated?.generatorPerSecond).toBeGreaterThan(0);
  await expectNothingLeft();
  expect(childrenOf(process.pid).filter((pid) => !before.includes(pid))).toEqual([]);

  const later = await readLines(isEnded);
  expect(later[0]).toMatchObject({ kind: "hello", isRunning: false, calibrated });
  expect(later.slice(1)).toEqual(lines.slice(1));
});

test("a surge that is stopped halfway conserves what was accepted, says so, and leaves nothing", async () => {
  const before = childrenOf(process.pid);
  await post("/api/surge", { rate: 400, seconds: 60, mode: "both" });
  const isLoad = (line: SurgeLine) => line.kind === "second" && line.part === "load" && line.second === 2;
  await readLines(isLoad);
  expect(await post("/api/surge/stop")).toEqual({ status: 202, body: { isStopping: true } });
  const lines = await readLines(isEnded);
  expect(lines.at(-1)).toMatchObject({ why: "stopped", text: "The surge was stopped." });
  const [conserved, ...more] = conservedIn(lines);
  expect(more).toEqual([]); // the other turn was not begun
  expect(conserved).toMatchObject({ target: "direct", lost: 0, isKept: true });
  expect(conserved?.accepted).toBeGreaterThan(0);
  expect(conserved?.offered).toBeLessThan(400 * 60);
  await expectNothingLeft();
  expect(childrenOf(process.pid).filter((pid) => !before.includes(pid))).toEqual([]);
});

test("the buffer's turn is stopped as well, and what waits in it is counted", async () => {
  await post("/api/surge", { rate: 400, seconds: 60, mode: "buffer" });
  await readLines((line) => line.kind === "second" && line.part === "load" && line.second === 2);
  await post("/api/surge/stop");
  const [conserved] = conservedIn(await readLines(isEnded));
  expect(conserved).toMatchObject({ target: "buffer", lost: 0, isKept: true });
  expect(conserved?.accepted).toBeGreaterThan(0);
  await expectNothingLeft();
});

test("a request that makes no sense is refused with one sentence, and nothing begins", async () => {
  for (const [body, sentence] of [
    [{ rate: 10, seconds: 5, mode: "both" }, /^rate: expected a whole number from 50 to 5000 .*, got 10\.$/],
    [{ rate: 6000, seconds: 5, mode: "both" }, /^rate: .*, got 6000\.$/],
    [{ rate: 100, seconds: 4, mode: "both" }, /^seconds: .*, got 4\.$/],
    [{ rate: 100, seconds: 5, mode: "x" }, /^mode: expected direct, buffer or both, got "x"\.$/],
    [undefined, /^expected JSON of at most 1024 bytes/],
    ["x".repeat(2000), /^expected JSON of at most 1024 bytes/],
  ] as const) {
    const answer = await post("/api/surge", body);
    expect(answer.status).toBe(400);
    expect(answer.body.detail).toMatch(sentence);
  }
  expect((await fetch(`${url}/api/surge`, { method: "DELETE" })).status).toBe(404);
  await expectNothingLeft();
});

test("keys of somebody else in the surge's Redis database are kept, and no surge is begun over them", async () => {
  const other = new Redis(`${redisUrl}/1`);
  try {
    await other.set("mine", "kept");
    await surge.clear();
    expect(await post("/api/surge", { rate: 100, seconds: 5, mode: "buffer" })).toMatchObject({
      status: 409,
      body: { detail: expect.stringMatching(/^Redis's database 1 holds keys that are no surge's/) },
    });
    expect(await other.get("mine")).toBe("kept");
    await other.del("mine");
    await expectNothingLeft();
  } finally {
    await other.del("mine");
    other.disconnect();
  }
});

test("servers that are not on this machine are refused", async () => {
  const far = createSurge({ databaseUrl: "postgres://user:secret@db.example.com/app", redisUrl });
  await expect(far.start({ rate: 100, seconds: 5, mode: "direct" })).rejects.toThrow(
    "A surge is for the servers of this machine only: run npx spillway start.",
  );
});

/** A process that runs a surge and is killed in its midst. */
function spawnRunner(): ChildProcess {
  const script = `
    import { createSurge } from "./dev/surge/surge.ts";
    const surge = createSurge(${JSON.stringify({ databaseUrl, redisUrl })}, { ramp: ${JSON.stringify(RAMP)} });
    surge.open((line) => console.log(JSON.stringify(line)));
    await surge.start({ rate: 200, seconds: 60, mode: "buffer" });`;
  return spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
}

test("a surge whose process is killed leaves no process, and its rows are gone at the next start", async () => {
  const runner = spawnRunner();
  if (runner.stdout)
    for await (const text of createInterface({ input: runner.stdout })) {
      const line = JSON.parse(text) as SurgeLine;
      if (line.kind === "second" && line.part === "load") break;
    }
  const children = childrenOf(runner.pid ?? 0);
  expect(children.length).toBeGreaterThanOrEqual(5); // generator, ingest, supervisor, two bridges
  runner.kill("SIGKILL");
  await once(runner, "exit");
  while (children.some(isAlive)) await sleep(20);
  await surge.clear();
  await expectNothingLeft();
});

test("no ingest but the surge's own knows its streams: neither their paths nor a line of OpenAPI", async () => {
  const world = await openWorld();
  const ingest = await serveIngest(world);
  try {
    for (const name of ["buffered", "direct"])
      expect(await ingest.post(name, { userId: "a" })).toMatchObject({
        ...{ status: 404, body: { code: "unknown-stream" } },
      });
    for (const name of ["buffered", "direct"]) expect((await loadOwnStreams()).has(name)).toBe(false);
  } finally {
    await ingest.close();
    await world.close();
  }
});

test("spillway surge refuses --prod, and bad arguments, each with one sentence", async () => {
  const said = async (...args: string[]) => {
    const { code, err, out } = await runSpillway(["surge", ...args]);
    expect(out).toBe("");
    return { code, err: err.split("\n")[0] };
  };
  expect(await said("--prod")).toEqual({
    code: 2,
    err: "spillway surge: --prod: a surge is for this machine only, because it overloads Postgres on purpose",
  });
  expect(await said("--rate", "10")).toEqual({
    code: 2,
    err: "spillway surge: rate: expected a whole number from 50 to 5000 (requests a second), got 10",
  });
  expect(await said("--mode", "x")).toEqual({
    code: 2,
    err: 'spillway surge: mode: expected direct, buffer or both, got "x"',
  });
});
