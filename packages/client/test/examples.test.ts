/** Each example of examples/ sends to a real Spillway, where its runtime is to be had. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import pg from "pg";
import { chromium } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { findBrowser } from "../../../dev/stack/find-browser.ts";
import { findFreePorts } from "../../../dev/stack/ports.ts";
import { githubEvents } from "../../../examples/github/github_events.ts";
import { hasBrowser } from "../../../test/integration/browser.ts";
import { project } from "../../../test/integration/project-copy.ts";
import { openWholeStack, type WholeStack } from "../../../test/integration/whole-stack.ts";
import { migrateForTests } from "../../../test/streams/run/test-streams.ts";

const run = promisify(execFile);
const examples = fileURLToPath(new URL("../../../examples/", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "spillway-examples-"));
const hasRequests = await run("python3", ["-c", "import requests"]).then(
  () => true,
  () => false,
);
let whole: WholeStack;
let env: NodeJS.ProcessEnv;

const SECRET = "a-secret-of-github";

beforeAll(async () => {
  whole = await openWholeStack(1000, {
    streams: { source: fileURLToPath(new URL("run/example-functions.mjs", import.meta.url)), migrate },
    env: { NODE_OPTIONS: "--import tsx", GITHUB_WEBHOOK_SECRET: SECRET },
  });
  env = { ...process.env, INGEST_URL: whole.stack.ingestUrl, SPILLWAY_KEY: whole.stack.apiKey };
});
afterAll(async () => {
  await whole?.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Makes our tables and the tests', then the examples' own. */
async function migrate(databaseUrl: string): Promise<void> {
  await migrateForTests(databaseUrl);
  const { generateDrizzleJson, generateMigration } = await import("drizzle-kit/api");
  const statements = await generateMigration(generateDrizzleJson({}), generateDrizzleJson({ githubEvents }));
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  for (const statement of statements) await client.query(statement);
  await client.end();
}

/** The payloads that are stored of an example's events. */
async function storedOf(type: string): Promise<unknown[]> {
  await whole.drainAll();
  const { rows } = await whole.servers.sql.query<{ payload: unknown }>(
    "select payload from events where type = $1 order by payload::text",
    [type],
  );
  return rows.map(({ payload }) => payload);
}

test("curl", async () => {
  const { stdout } = await run(join(examples, "curl/send.sh"), { env });
  expect(JSON.parse(stdout)).toMatchObject({ accepted: 1 });
  expect(await storedOf("example.curl")).toEqual([{ from: "curl" }]);
});

test.skipIf(!hasRequests)("Python with requests", async () => {
  const { stdout } = await run("python3", [join(examples, "python/send.py")], { env });
  expect(stdout).toBe("0 rejected\n");
  expect(await storedOf("example.python")).toEqual([{ n: 0 }, { n: 1 }, { n: 2 }]);
});

test("Express: an order is kept while Spillway is away, and stored once it is back", async () => {
  const [port = 0] = await findFreePorts(1);
  const child = spawn(process.execPath, [join(examples, "express/server.mjs")], {
    env: { ...env, PORT: String(port), STORE_DIR: join(folder, "express") },
    stdio: ["ignore", "pipe", "inherit"],
  });
  await new Promise((resolve) => child.stdout?.once("data", resolve));
  const before = whole.stack.ingest.pid();
  whole.stack.ingest.kill("SIGKILL");
  const answer = await fetch(`http://127.0.0.1:${port}/orders`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: '{"sku":"a"}',
  });
  expect(answer.status).toBe(202);
  await whole.untilRestarted("ingest", before);
  await endOf(child, "SIGTERM");
  expect(await storedOf("example.express")).toEqual([{ sku: "a" }]);
});

const endOf = (child: ChildProcess, signal: NodeJS.Signals) =>
  new Promise((resolve) => {
    child.once("close", resolve);
    child.kill(signal);
  });

test("a route handler of Next.js", async () => {
  Object.assign(process.env, { INGEST_URL: whole.stack.ingestUrl, SPILLWAY_KEY: whole.stack.apiKey });
  const { POST } = await import("../../../examples/nextjs/app/api/track/route.ts");
  const answer = await POST(
    new Request("http://app.example/api/track", { method: "POST", body: '{"page":"/"}' }),
  );
  expect([answer.status, await answer.json()]).toMatchObject([202, { kind: "buffered", stream: "events" }]);
  expect(await storedOf("example.nextjs")).toEqual([{ page: "/" }]);
});

test("a GPS track that is recorded offline is stored by the next start", async () => {
  const track = (input: string, url: string) => {
    const child = spawn(process.execPath, [join(examples, "gps-track/track.mjs")], {
      env: { ...env, INGEST_URL: url, STORE_DIR: join(folder, "track") },
      stdio: ["pipe", "pipe", "inherit"],
    });
    child.stdin?.end(input);
    let said = "";
    child.stdout?.on("data", (text) => {
      said += text;
    });
    return new Promise<string>((resolve) => child.once("close", () => resolve(said)));
  };
  const fixes = Array.from({ length: 50 }, (_, n) => ({ userId: "car", lat: 48 + n / 1000, lng: 11 }));
  const lines = fixes.map((fix) => `${JSON.stringify(fix)}\n`).join("");
  expect(await track(lines, "http://127.0.0.1:9")).toBe("50 wait for the next start\n");
  expect(readdirSync(join(folder, "track")).some((name) => name.endsWith(".log"))).toBe(true);
  expect(await track(lines.split("\n")[0] as string, whole.stack.ingestUrl)).toBe("all sent\n");
  await whole.drainAll();
  const { rows } = await whole.servers.sql.query("select lat from locations where user_id = 'car'");
  expect(rows.length).toBe(51);
});

test("a GitHub webhook: a delivery that is signed is a row, once, and any other is refused", async () => {
  const sample = join(project, "node_modules/@octokit/webhooks-examples/api.github.com/index.json");
  const samples = JSON.parse(readFileSync(sample, "utf8")) as { name: string; examples: object[] }[];
  const pushed = samples.find(({ name }) => name === "push")?.examples[0];
  const file = join(folder, "push.json");
  writeFileSync(file, JSON.stringify(pushed));
  const post = (secret: string, event = "push") =>
    run(process.execPath, [join(examples, "github/post.mjs"), event, file], {
      env: { ...env, GITHUB_WEBHOOK_SECRET: secret },
    });
  expect((await post(SECRET)).stdout).toMatch(/^202 .*"accepted":1/);
  expect((await post(SECRET)).stdout).toMatch(/^202 /);
  expect((await post(SECRET, "ping")).stdout).toMatch(/^200 .*"ignored":true/);
  await expect(post("another")).rejects.toThrow();
  await whole.drainAll();
  const { rows } = await whole.servers.sql.query(
    "select event, repository, sender, payload from github_events",
  );
  expect(rows).toEqual([
    { event: "push", repository: "Codertocat/Hello-World", sender: "Codertocat", payload: pushed },
  ]);
});

test.skipIf(!(await hasBrowser()))("a page", async () => {
  const made = await fetch(`${whole.stack.supervisorUrl}/keys`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ action: "create", name: "page", kind: "public", streams: ["events"] }),
  });
  const { key } = (await made.json()) as { key: string };
  const html = readFileSync(join(examples, "browser/index.html"));
  const script = readFileSync(join(project, "packages/client/dist/spillway-client.min.js"));
  const server = createServer((req, res) => {
    const isScript = req.url === "/spillway-client.min.js";
    res.setHeader("content-type", isScript ? "text/javascript" : "text/html");
    res.end(isScript ? script : html);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const browser = await chromium.launch({ executablePath: await findBrowser(), args: ["--no-sandbox"] });
  const page = await browser.newPage();
  await page.goto(`http://127.0.0.1:${port}/?url=${encodeURIComponent(whole.stack.ingestUrl)}&key=${key}`);
  await page.click("button");
  await page.waitForFunction(() => document.querySelector("output")?.value === "buffered");
  await browser.close();
  server.close();
  expect(await storedOf("example.browser")).toEqual([{ clicked: true }]);
});

test("each example is named in the list of examples", () => {
  const list = readFileSync(join(examples, "README.md"), "utf8");
  const links = [...list.matchAll(/\]\(([^)]+)\)/g)].map(([, path = ""]) => path);
  for (const path of links) expect(existsSync(join(examples, path))).toBe(true);
  const folders = readdirSync(examples, { withFileTypes: true }).filter((one) => one.isDirectory());
  const linked = new Set(links.map((path) => path.split("/")[0]));
  expect([...linked].sort()).toEqual(folders.map(({ name }) => name).sort());
});
