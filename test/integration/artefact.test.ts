/**
 * What is deployed: the image's files and its command, without a Docker engine. `dist/` and production dependencies
 * in an empty folder, migrated by its own migrator, and events' whole way through both functions: those of the first stream
 * of lib/streams/ that takes events. Without one, the functions say so.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { findFreePorts } from "../../dev/stack/ports.ts";
import type { StreamReport } from "../../lib/drain/drain-report.ts";
import { exampleOf } from "../../lib/schema/example.ts";
import type { Stream } from "../../lib/schema/stream.ts";
import { loadOwnStreams } from "../own-installation.ts";
import { serverSettings } from "../worker-servers.ts";
import { createDatabase } from "./test-stack.ts";

const project = fileURLToPath(new URL("../../", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "spillway-artefact-"));
const KEY = "artefact-key";
const children: ChildProcess[] = [];
let databaseUrl: string;
let ports: number[];

beforeAll(async () => {
  for (const name of ["package.json", "package-lock.json", "dist"])
    cpSync(join(project, name), join(folder, name), { recursive: true });
  const npm = ["ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"];
  execFileSync("npm", npm, { cwd: folder, stdio: "pipe" });
  ports = await findFreePorts(2);
  databaseUrl = await createDatabase("artefact");
}, 180_000);

afterAll(async () => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

/** Starts a function by the command of the Dockerfile, and says after how many milliseconds it answered. */
async function start(target: "ingest" | "supervisor", port: number): Promise<number> {
  const dockerfile = readFileSync(join(project, "Dockerfile"), "utf8");
  const [, entry = ""] = /^ENTRYPOINT (\[.*\])$/m.exec(dockerfile) ?? [];
  const [command = "", ...args] = (JSON.parse(entry) as string[]).map((part) =>
    part.replace(/^\/app\b/, folder),
  );
  const child = spawn(command, [...args, `--target=${target}`], {
    cwd: folder,
    stdio: "ignore",
    env: {
      PATH: process.env.PATH,
      NODE_ENV: "production",
      PORT: String(port),
      ...serverSettings(),
      DATABASE_URL: databaseUrl,
      INGEST_API_KEYS: `artefact:${createHash("sha256").update(KEY).digest("hex")}`,
    },
  });
  children.push(child);
  const startedAt = performance.now();
  while (child.exitCode === null) {
    const response = await fetch(`http://127.0.0.1:${port}/health`).catch(() => undefined);
    if (response?.ok) return performance.now() - startedAt;
    await sleep(10);
  }
  throw new Error(`expected ${target} to start, it ended with ${child.exitCode}`);
}

test("the image's files start both functions by the image's command, and an event goes its whole way", async () => {
  const { DATABASE_URL: _mine, ...env } = process.env;
  const migrate = () =>
    execFileSync("node", [join(folder, "dist/drizzle/migrate.js")], {
      env: { ...env, DATABASE_URL: databaseUrl },
    });
  migrate();
  migrate(); // run twice, it does nothing
  expect(existsSync(join(folder, "dist/test"))).toBe(false);
  const [ingest = 0, supervisor = 0] = ports;
  const coldStarts = [await start("ingest", ingest), await start("supervisor", supervisor)];
  const kilobytes = Number(execFileSync("du", ["-sk", folder], { encoding: "utf8" }).split("\t")[0]);
  console.log(
    `artefact: ${Math.round(kilobytes / 1024)} MB, cold starts ${coldStarts.map((ms) => Math.round(ms)).join(" and ")} ms`,
  );

  const streams = [...(await loadOwnStreams()).values()];
  const stream = streams.find(
    (one) => !one.retired && !one.existing && exampleOf(one) !== undefined, // migrations make its table
  );
  if (stream) await sendTheWholeWay(stream, ingest, supervisor);
  expect((await post(ingest, "no_such_stream", {})).status).toBe(404);
  const drained = await fetch(`http://127.0.0.1:${supervisor}/drain`, { method: "POST" });
  const { streams: reports } = (await drained.json()) as { streams: { stream: string }[] };
  expect(reports.map((report) => report.stream)).toEqual(streams.map(({ name }) => name));
}, 120_000);

const headers = { authorization: `Bearer ${KEY}`, "content-type": "application/json" };
const post = (ingest: number, path: string, body: unknown) =>
  fetch(`http://127.0.0.1:${ingest}/v1/${path}`, { method: "POST", headers, body: JSON.stringify(body) });

async function sendTheWholeWay(stream: Stream, ingest: number, supervisor: number): Promise<void> {
  const [first, second, third] = [0, 1, 2].map((i) => exampleOf(stream, i));
  const buffered = await post(ingest, stream.name, [first, second]);
  const stored = await post(ingest, `${stream.name}?ack=stored`, third);
  const refused = await post(ingest, stream.name, [null]);
  const isStored = stream.ack === "stored";
  expect([buffered.status, stored.status, refused.status]).toEqual([isStored ? 201 : 202, 201, 422]);
  const ids = [
    ...((await buffered.json()) as { ids: string[] }).ids,
    ...((await stored.json()) as { ids: string[] }).ids,
  ];
  const drained = await fetch(`http://127.0.0.1:${supervisor}/drain`, { method: "POST" });
  const report = (await drained.json()) as { streams: StreamReport[] };
  const own = report.streams.find((one) => one.stream === stream.name);
  // Two examples may have one key.
  const settled = (own?.stored ?? 0) + (own?.superseded ?? 0) + (own?.duplicates ?? 0);
  expect([settled, own?.outcome]).toEqual([isStored ? 0 : 2, "empty"]);
  if (!stream.key.keepsIds) return;
  for (const id of ids) {
    const found = await fetch(`http://127.0.0.1:${ingest}/v1/${stream.name}/${id}`, { headers });
    expect(await found.json()).toEqual({ id, status: "stored" });
  }
}
