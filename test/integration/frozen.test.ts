/**
 * A process that was frozen (SIGSTOP, as Cloud Run takes its CPU away) while the network forgot its connections: what it does first, it does on
 * new ones. The connections lie idle for over 20 s, in real time, because the process has only its own clock.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { afterEach, expect, test } from "vitest";
import { workerServers } from "../worker-servers.ts";

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** For each line of its input it pushes once and asks Postgres once, and says what came of it. */
const PROGRAM = `
  import { createInterface } from "node:readline";
  import { openRedis } from "./lib/buffer/redis-client.ts";
  import { openPostgres } from "./lib/store/database.ts";
  import { createStore } from "./lib/store/store.ts";
  const monotonicMs = () => performance.now();
  const redis = openRedis({ redisUrl: process.env.REDIS_URL }).within(10_000);
  const place = { databaseUrl: process.env.DATABASE_URL, neonHttpUrl: undefined };
  const store = createStore(openPostgres(place, { connections: 1, monotonicMs }).within(10_000), 2000);
  for await (const list of createInterface({ input: process.stdin })) {
    const said = await Promise.all([redis.lpush(list, "one"), store.ping().then(() => "pong")]).catch(String);
    console.log(JSON.stringify(said));
  }`;

test("a process that was frozen for over 20 s goes on at the first go, and nothing is sent twice", async () => {
  const { redisUrl, databaseUrl } = workerServers();
  const [toRedis, toPostgres] = [await forgetful(redisUrl), await forgetful(databaseUrl)];
  const list = "{spillway}:frozen:pending:0";
  const redis = new Redis(redisUrl);
  closing.push(() => redis.quit());
  await redis.del(list);
  closing.push(() => redis.del(list));
  const child = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", PROGRAM], {
    env: { ...process.env, REDIS_URL: toRedis.url, DATABASE_URL: toPostgres.url },
    stdio: ["pipe", "pipe", "inherit"],
  });
  closing.push(() => child.kill("SIGKILL"));
  const ask = asker(child);
  expect(await ask(list)).toEqual([1, "pong"]);
  child.kill("SIGSTOP");
  for (const proxy of [toRedis, toPostgres]) proxy.forget();
  await sleep(20_500);
  child.kill("SIGCONT");
  expect(await ask(list)).toEqual([2, "pong"]);
  expect(await redis.llen(list)).toBe(2);
  child.stdin?.end();
  expect(await once(child, "exit")).toEqual([0, null]); // by itself: no connection keeps it
});

function asker(child: ChildProcess) {
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  return async (list: string): Promise<unknown> => {
    child.stdin?.write(`${list}\n`);
    return JSON.parse((await lines.next()).value as string);
  };
}

/** A proxy before a server that can forget its connections: they stay open, and nothing passes any more. */
async function forgetful(url: string) {
  const { hostname, port } = new URL(url);
  let generation = 0;
  const sockets: Socket[] = [];
  const server = createServer((client) => {
    const born = generation;
    const other = connect(Number(port), hostname);
    sockets.push(client, other);
    for (const [from, to] of [
      [client, other],
      [other, client],
    ] as const) {
      from.on("error", () => {});
      from.on("data", (bytes) => void (born === generation && to.write(bytes)));
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closing.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const own = new URL(url);
  own.port = String((server.address() as AddressInfo).port);
  return {
    url: own.href,
    forget: () => {
      generation += 1;
    },
  };
}
