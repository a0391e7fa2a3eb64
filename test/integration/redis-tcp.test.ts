/**
 * Redis over TCP: a command is sent once or not at all, its caller hears in time, and a failure is told apart by its kind. Redis is real; a
 * network that fails is made by proxies.
 */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { findFreePorts } from "../../dev/stack/ports.ts";
import { startRedisProxy } from "../../dev/stack/redis-proxy.ts";
import { type RedisServer, startRedis } from "../../dev/stack/redis-server.ts";
import { createBuffer } from "../../lib/buffer/buffer.ts";
import { openRedis } from "../../lib/buffer/redis-client.ts";
import { isOfRedis, redisFailureOf } from "../../lib/buffer/redis-errors.ts";

const LIST = "{spillway}:checked:pending:0";
const PARTITION = { stream: "checked", index: 0 };

let folder: string;
let server: RedisServer;
let plain: Redis;
const closing: (() => unknown)[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "spillway-redis-tcp-"));
  const [port] = (await findFreePorts(1)) as [number];
  server = await startRedis({ dir: join(folder, "redis"), port });
  plain = new Redis(server.url);
});
afterAll(async () => {
  await plain.quit();
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(() => plain.flushall());
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** Opens a Redis of the program's; `at`: its clock. */
function open(redisUrl: string, monotonicMs = () => performance.now()) {
  const opened = openRedis({ redisUrl }, monotonicMs);
  closing.push(() => opened.close());
  return opened;
}

async function proxied() {
  const proxy = await startRedisProxy({ redisUrl: server.url });
  closing.push(() => proxy.close());
  return { proxy, url: `redis://127.0.0.1:${proxy.port}` };
}

/** The URL of a server that says this to whatever comes. */
async function answering(text: string): Promise<string> {
  const peer = createServer((socket) => {
    socket.on("data", () => socket.write(text)).on("error", () => {});
    closing.push(() => socket.destroy());
  }).listen(0, "127.0.0.1");
  await once(peer, "listening");
  closing.push(() => peer.close());
  return `redis://127.0.0.1:${(peer.address() as AddressInfo).port}`;
}

/** The kind of the failure of a promise that must fail. */
const failureOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    (value) => `resolved: ${JSON.stringify(value)}`,
    (error: unknown) => {
      expect(isOfRedis(error)).toBe(true);
      return redisFailureOf(error);
    },
  );

const isPush = ({ commands }: { commands: string[][] }) => commands[0]?.[0] === "LPUSH";

describe("a command whose reply is lost", () => {
  test.each([
    ["cut-after", "connection"],
    ["truncated", "connection"],
  ] as const)("%s: it is rejected, and never sent again", async (kind, failure) => {
    const { proxy, url } = await proxied();
    const redis = open(url).within(60_000);
    await redis.exists("warm");
    proxy.setFault((seen) => (isPush(seen) ? { kind } : undefined));
    expect(await failureOf(redis.lpush(LIST, "one"))).toBe(failure);
    proxy.setFault(undefined);
    expect(await redis.exists(LIST)).toBe(1); // on a new connection, before which nothing was replayed
    expect(await plain.llen(LIST)).toBe(1);
  });

  test("for ever: it is rejected in its caller's time, and never sent again", async () => {
    const { proxy, url } = await proxied();
    const opened = open(url);
    await opened.within(60_000).exists("warm");
    proxy.setFault((seen) => (isPush(seen) ? { kind: "slow-reply", delayMs: 600_000 } : undefined));
    expect(await failureOf(opened.within(200).lpush(LIST, "one"))).toBe("silent");
    expect(await opened.within(60_000).exists(LIST)).toBe(1);
    expect(await plain.llen(LIST)).toBe(1);
  });

  test("others that wait on its connection keep their own patience", async () => {
    const { proxy, url } = await proxied();
    const opened = open(url);
    await opened.within(60_000).exists("warm");
    proxy.setFault((seen) => (isPush(seen) ? { kind: "slow-reply", delayMs: 700 } : undefined));
    const hasty = failureOf(opened.within(200).lpush(LIST, "one"));
    const patient = opened.within(60_000).llen(LIST);
    expect(await hasty).toBe("silent");
    expect(await patient).toBe(1);
  });

  test("a push is tried once more at once by whoever pushes, so the list has two, and a drain stores one", async () => {
    const { proxy, url } = await proxied();
    const buffer = createBuffer(open(url).within(60_000));
    let cuts = 0;
    proxy.setFault((seen) => (isPush(seen) && cuts++ === 0 ? { kind: "cut-after" } : undefined));
    expect(await failureOf(buffer.push(PARTITION, ["one"]))).toBe("connection");
    expect(await buffer.push(PARTITION, ["one"])).toBe(2);
  });
});

describe("no connection", () => {
  test("nothing waits for Redis to come back", async () => {
    const [port] = (await findFreePorts(1)) as [number];
    const redis = open(`redis://127.0.0.1:${port}`).within(60_000);
    expect(await failureOf(redis.lpush(LIST, "lost"))).toBe("connection");
    const proxy = await startRedisProxy({ redisUrl: server.url, port });
    closing.push(() => proxy.close());
    expect(await redis.lpush(LIST, "kept")).toBe(1);
  });

  test("a name that nobody knows", async () => {
    expect(await failureOf(open("redis://no-such-host.invalid").within(60_000).exists("a"))).toBe(
      "connection",
    );
  });

  test("a command whose connection comes too late is not sent", async () => {
    const gate = await startGate(server.port);
    const opened = open(`redis://127.0.0.1:${gate.port}/1`); // SELECT has to be answered before a command is sent
    gate.hold();
    const patient = opened.within(60_000).exists(LIST);
    expect(await failureOf(opened.within(200).lpush(LIST, "late"))).toBe("silent");
    gate.release();
    expect(await patient).toBe(0); // on the connection that both waited for
    expect(await opened.within(60_000).exists(LIST)).toBe(0);
    expect(gate.heard()).not.toContain("LPUSH");
  });
});

describe("a connection that lay idle", () => {
  let nowMs = 0;

  test.each([
    [21_000, "is dropped: the command goes out on a new one, at the first go"],
    [20_000, "for 20 s is used"],
  ])("for %i ms %s", async (idleMs) => {
    const gate = await startGate(server.port);
    const opened = open(`redis://127.0.0.1:${gate.port}`, () => nowMs);
    expect(await opened.within(60_000).lpush(LIST, "one")).toBe(1);
    gate.forgetSilently();
    nowMs += idleMs;
    const outcome = opened.within(500).lpush(LIST, "two");
    if (idleMs > 20_000) expect(await outcome).toBe(2);
    else expect(await failureOf(outcome)).toBe("silent");
  });
});

describe("Redis's refusals", () => {
  const asked = (url = server.url) => open(url).within(60_000);

  test("READONLY: a replica; the next command asks whoever is there then", async () => {
    const redis = asked();
    await plain.replicaof("127.0.0.1", "1");
    closing.push(() => plain.replicaof("NO", "ONE"));
    expect(await failureOf(redis.lpush(LIST, "one"))).toBe("answered");
    await plain.replicaof("NO", "ONE");
    expect(await redis.lpush(LIST, "one")).toBe(1);
  });

  test("MASTERDOWN: a replica that lost its primary", async () => {
    await plain.config("SET", "replica-serve-stale-data", "no");
    await plain.replicaof("127.0.0.1", "1");
    closing.push(() => plain.replicaof("NO", "ONE"));
    expect(await failureOf(asked().exists(LIST))).toBe("answered");
  });

  test("OOM: it is full", async () => {
    await plain.config("SET", "maxmemory", "1");
    closing.push(() => plain.config("SET", "maxmemory", "0"));
    expect(await failureOf(asked().lpush(LIST, "one"))).toBe("full");
  });

  test("NOREPLICAS", async () => {
    await plain.config("SET", "min-replicas-to-write", "1");
    closing.push(() => plain.config("SET", "min-replicas-to-write", "0"));
    expect(await failureOf(asked().lpush(LIST, "one"))).toBe("answered");
  });

  test("WRONGTYPE", async () => {
    await plain.set(LIST, "text");
    expect(await failureOf(asked().lpush(LIST, "one"))).toBe("misconfigured");
  });

  test("BUSY: a script runs for long", async () => {
    await plain.config("SET", "busy-reply-threshold", "50");
    const busy = new Redis(server.url);
    const script = busy.eval("while true do end", 0).catch(() => {});
    const redis = asked();
    await expect.poll(() => failureOf(redis.exists(LIST)), { timeout: 20_000 }).toBe("answered");
    await plain.call("SCRIPT", "KILL");
    await script;
    await busy.quit();
    expect(await redis.exists(LIST)).toBe(0);
  });

  test("too many clients", async () => {
    await plain.config("SET", "maxclients", "1");
    closing.push(() => plain.config("SET", "maxclients", "1000"));
    expect(["connection", "silent"]).toContain(await failureOf(asked().exists(LIST)));
    expect(["connection", "silent"]).toContain(await failureOf(asked(`${server.url}/1`).exists(LIST)));
  });

  test("NOSCRIPT: the script is sent whole", async () => {
    const buffer = createBuffer(asked());
    await plain.script("FLUSH");
    expect(await buffer.measure(PARTITION)).toMatchObject({ depth: 0 });
    await plain.script("FLUSH");
    expect(await buffer.measure(PARTITION)).toMatchObject({ depth: 0 });
  });

  test("a database that is not there", async () => {
    expect(await failureOf(asked(`${server.url}/999`).exists(LIST))).toBe("misconfigured");
  });

  test("NOAUTH, WRONGPASS and NOPERM; the right login passes with any characters", async () => {
    const password = "p@s/s:%é";
    await plain.call("ACL", "SETUSER", "pusher", "on", `>${password}`, "~*", "+lpush", "+select");
    await plain.call("ACL", "SETUSER", "default", "on", "resetpass", ">other");
    closing.push(() => plain.call("ACL", "SETUSER", "default", "on", "nopass"));
    const at = (login: string, path = "") => asked(`redis://${login}127.0.0.1:${server.port}${path}`);
    const encoded = encodeURIComponent(password);
    expect(await failureOf(at("").lpush(LIST, "one"))).toBe("misconfigured");
    expect(await failureOf(at("pusher:wrong@").lpush(LIST, "one"))).toBe("misconfigured");
    expect(await failureOf(at(`pusher:${encoded}@`).exists(LIST))).toBe("misconfigured");
    expect(await at(`pusher:${encoded}@`, "/3").lpush(LIST, "one")).toBe(1);
    expect(await at(":other@", "/3").llen(LIST)).toBe(1);
  });

  test.each([
    ["LOADING Redis is loading the dataset in memory", "answered"],
    ["MISCONF Redis is configured to save RDB snapshots, but", "answered"],
    ["CLUSTERDOWN The cluster is down", "answered"],
    ["MOVED 12182 127.0.0.1:7002", "misconfigured"],
    ["CROSSSLOT Keys in request don't hash to the same slot", "misconfigured"],
  ])("%s", async (error, failure) => {
    const { proxy, url } = await proxied();
    proxy.setFault(() => ({ kind: "answer", status: 400, body: JSON.stringify({ error }) }));
    const redis = open(url).within(60_000);
    expect(await failureOf(redis.lpush(LIST, "one"))).toBe(failure);
    proxy.setFault(undefined);
    expect(await redis.lpush(LIST, "one")).toBe(1);
  });

  test.each([
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    "LOADING Redis is loading the dataset in memory",
    "ERR max number of clients reached",
  ])("that pass by themselves, to the SELECT of a new connection: %s", async (error) => {
    const redis = open(`${await answering(`-${error}\r\n`)}/1`).within(60_000);
    expect(await failureOf(redis.lpush(LIST, "one"))).toBe("connection");
  });

  test("DENIED: protected mode lets nobody in from elsewhere", async () => {
    const { proxy, url } = await proxied();
    const error = "DENIED Redis is running in protected mode because protected mode is enabled";
    proxy.setFault(() => ({ kind: "answer", status: 400, body: JSON.stringify({ error }) }));
    expect(await failureOf(open(url).within(60_000).lpush(LIST, "one"))).toBe("misconfigured");
  });

  test("a reply that can't be read: the replies after it are nobody's", async () => {
    const url = await answering("nonsense\r\n:1\r\n:2\r\n");
    const redis = open(url).within(60_000);
    const both = [redis.lpush(LIST, "one"), redis.lpush(LIST, "two")];
    expect(await Promise.all(both.map(failureOf))).toEqual(["connection", "connection"]);
  });

  test("an answer that is not Redis's", async () => {
    const { proxy, url } = await proxied();
    proxy.setFault(() => ({ kind: "nonsense" }));
    expect(["connection", "silent"]).toContain(await failureOf(open(url).within(500).lpush(LIST, "one")));
  });
});

describe("a Redis Cluster", () => {
  test("one node with all slots is a Redis like another, as the keys are in one slot", async () => {
    const [port] = (await findFreePorts(1)) as [number];
    const node = spawn("redis-server", ["--port", `${port}`, "--cluster-enabled", "yes", "--dir", folder], {
      stdio: "ignore",
    });
    const admin = new Redis(port, "127.0.0.1", { retryStrategy: () => 50 });
    admin.on("error", () => {});
    closing.push(() => node.kill());
    closing.push(() => admin.disconnect());
    const buffer = createBuffer(open(`redis://127.0.0.1:${port}`).within(60_000));
    await expect.poll(() => admin.ping().catch(() => "")).toBe("PONG");
    expect(await failureOf(buffer.push(PARTITION, ["one"]))).toBe("answered"); // CLUSTERDOWN: no node has the slot
    await admin.call("CLUSTER", "ADDSLOTSRANGE", "0", "16383");
    await expect.poll(() => admin.call("CLUSTER", "INFO"), { timeout: 20_000 }).toContain("cluster_state:ok");
    expect(await buffer.push(PARTITION, ["one"])).toBe(1);
    expect(await buffer.findWork(["checked"])).toMatchObject({ busy: [PARTITION] });
    const by = { token: "a:b", leaseMs: 10_000, count: 10, fullBatchesOnly: false, startedAtMs: Date.now() };
    expect(await buffer.claim(PARTITION, by)).toMatchObject({ kind: "batch", envelopes: ["one"] });
  });
});

describe("TLS", () => {
  let tlsPort: number;
  beforeAll(async () => {
    [tlsPort] = (await findFreePorts(1)) as [number];
    execFileSync("openssl", [
      ...["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"],
      ...["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
      ...["-keyout", join(folder, "key.pem"), "-out", join(folder, "cert.pem")],
    ]);
    const settings = {
      "tls-cert-file": "cert.pem",
      "tls-key-file": "key.pem",
      "tls-ca-cert-file": "cert.pem",
    };
    await plain.call("CONFIG", "SET", "tls-auth-clients", "no");
    await plain.call(
      "CONFIG",
      "SET",
      ...Object.entries(settings).flatMap(([name, file]) => [name, join(folder, file)]),
    );
    await plain.call("CONFIG", "SET", "tls-port", `${tlsPort}`);
  });

  test("a certificate that nobody trusts has to be mended", async () => {
    expect(await failureOf(open(`rediss://localhost:${tlsPort}`).within(60_000).exists("a"))).toBe(
      "misconfigured",
    );
  });

  test("a trusted one passes", () => {
    const program = `
      import { openRedis } from "./lib/buffer/redis-client.ts";
      const opened = openRedis({ redisUrl: "rediss://localhost:${tlsPort}/2" });
      console.log(await opened.within(60_000).lpush("${LIST}", "one"));`;
    const said = execFileSync(process.execPath, ["--import", "tsx", "--input-type=module", "-e", program], {
      env: { ...process.env, NODE_EXTRA_CA_CERTS: join(folder, "cert.pem") },
      encoding: "utf8",
    });
    expect(said).toBe("1\n"); // and the process has ended by itself, though its connection was not closed
  });

  test("rediss:// to a port without TLS, and redis:// to one with it, have no answer in time", async () => {
    for (const url of [`rediss://127.0.0.1:${server.port}`, `redis://127.0.0.1:${tlsPort}`])
      expect(["connection", "silent"]).toContain(await failureOf(open(url).within(500).exists("a")));
  });
});

/** A proxy that can hold all bytes back, or forget its connections without a word to either side. */
async function startGate(port: number) {
  let [isHeld, generation, heard] = [false, 0, ""];
  const held: (() => void)[] = [];
  const sockets: Socket[] = [];
  const gate = createServer((client) => {
    const born = generation;
    const upstream = connect(port, "127.0.0.1");
    sockets.push(client, upstream);
    const pass = (from: Socket, to: Socket) =>
      from.on("data", (bytes) => {
        if (born !== generation) return;
        if (to === upstream) heard += bytes.toString("latin1");
        if (isHeld) held.push(() => to.write(bytes));
        else to.write(bytes);
      });
    pass(client, upstream);
    pass(upstream, client);
    for (const socket of [client, upstream]) socket.on("error", () => {});
  });
  await new Promise<void>((resolve) => gate.listen(0, "127.0.0.1", resolve));
  closing.push(() => {
    for (const socket of sockets) socket.destroy();
    gate.close();
  });
  return {
    port: (gate.address() as AddressInfo).port,
    hold: () => {
      isHeld = true;
    },
    release: () => {
      isHeld = false;
      for (const write of held.splice(0)) write();
    },
    forgetSilently: () => {
      generation += 1;
    },
    heard: () => heard,
  };
}
