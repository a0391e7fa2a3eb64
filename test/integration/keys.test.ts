/** Keys that are made by command: on running instances, over HTTP, on real servers. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { newKey } from "../../lib/access/key-format.ts";
import { digestOf, type KeyCommands, serveKeyCommands } from "./key-commands.ts";
import { type Ingest, serveIngest } from "./test-ingest.ts";
import { KEY, openWorld, type World } from "./test-stack.ts";

let world: World;
let keys: KeyCommands;
let ingest: Ingest;
/** Milliseconds that are added to the clock by which instances judge the age of their copy, and to the wall clock. */
let pausedMs = 0;
let laterMs = 0;
beforeAll(async () => {
  world = await openWorld();
  keys = await serveKeyCommands(world);
  ingest = await serveIngest(world, {
    keysMonotonicMs: () => performance.now() + pausedMs,
    keysNow: () => Date.now() + laterMs,
  });
});
beforeEach(async () => {
  pausedMs += 5001;
  laterMs = 0;
  await world.reset();
});
afterAll(async () => {
  await keys.close();
  await ingest.close();
  await world.close();
});

/** An instance that was just started. */
async function freshIngest<T>(use: (fresh: Ingest) => Promise<T>): Promise<T> {
  const fresh = await serveIngest(world, { keysMonotonicMs: () => performance.now() + pausedMs });
  try {
    return await use(fresh);
  } finally {
    await fresh.close();
  }
}

const post = (key: string, to = ingest, event: unknown = { n: 1 }, stream = "checked") =>
  to.post(stream, event, { key });
const codeOf = async (answer: ReturnType<typeof post>) => {
  const { status, body } = await answer;
  return body.code === undefined ? status : `${status} ${body.code}`;
};

/** The statements that reached Postgres while `work` ran, of the table of keys. */
async function statementsWhile(work: () => Promise<void>): Promise<string[]> {
  const seen: string[] = [];
  world.neon.setFault(({ queries }) => {
    seen.push(...queries.map(({ query }) => query).filter((query) => query.includes("api_keys")));
    return undefined;
  });
  await work();
  world.neon.setFault(undefined);
  return seen;
}

/** The commands that reached Redis while `work` ran, without those of the buffer. */
async function keyCommandsWhile(work: () => Promise<void>): Promise<string[]> {
  const seen: string[] = [];
  world.upstash.setFault(({ commands }) => {
    for (const [name = "", ...args] of commands) if (args.join().includes("}:keys")) seen.push(name);
    return undefined;
  });
  await work();
  world.upstash.setFault(undefined);
  return seen;
}

describe("the commands", () => {
  test("a key is told once, and works on a running instance within a second", async () => {
    expect(await codeOf(post(newKey("secret")))).toBe("401 unknown-key");
    const key = await keys.create("billing");
    pausedMs += 1001;
    expect(await codeOf(post(key))).toBe(202);
    expect(key).toMatch(/^spw_[0-9A-Za-z]{36}$/);
    const { rows } = await world.sql.query("select * from api_keys");
    expect(rows).toMatchObject([{ sha256: digestOf(key), kind: "secret", streams: null, revoked_at: null }]);
    const copy = await world.redis.hgetall("{spillway}:keys");
    const told = JSON.stringify([rows, await keys.list(), world.said, copy]);
    expect(told).not.toContain(key.slice(4));
  });

  test("a key has the rights that it was made with", async () => {
    const key = await keys.create("app", {
      streams: ["leads", "checked"],
      eventsPerSecond: 50,
      expires: "90d",
    });
    const publicKey = await keys.create("page", {
      ...{ kind: "public", streams: ["checked"], perAddressPerSecond: 5 },
      origins: ["https://app.example"],
    });
    expect(publicKey).toMatch(/^spw_pub_/);
    expect(await codeOf(post(key))).toBe(202);
    expect(await codeOf(post(key, ingest, {}, "events"))).toBe("403 stream-not-allowed");
    const [app, page] = await keys.list();
    expect(app).toMatchObject({
      ...{ name: "app", digest: digestOf(key).slice(0, 8), state: "live", kind: "secret" },
      ...{ streams: ["leads", "checked"], eventsPerSecond: 50, perAddressPerSecond: null, origins: [] },
      revokedAt: null,
    });
    const livesMs = Date.parse(app.expiresAt) - Date.parse(app.createdAt);
    expect(Math.abs(livesMs - 90 * 86_400_000)).toBeLessThan(60_000);
    expect(page).toMatchObject({
      ...{ name: "page", kind: "public", perAddressPerSecond: 5, origins: ["https://app.example"] },
      expiresAt: null,
    });
    const found = await world.keyCopy.read();
    expect(found?.keys.find(({ name }) => name === "page")).toEqual({
      ...{ name: "page", sha256: Buffer.from(digestOf(publicKey), "hex"), kind: "public" },
      ...{ streams: new Set(["checked"]), eventsPerSecond: undefined, perAddressPerSecond: 5 },
      ...{ origins: ["https://app.example"], expiresAt: undefined },
    });
  });

  test("rotated, both keys work under one scope of ids until the old one expires, and the new one lives as long as the old was made to", async () => {
    const old = await keys.create("app", { streams: ["checked"], expires: "90d" });
    const { body: first } = await ingest.post("checked", { id: "1", n: 1 }, { key: old });
    const next = await keys.rotate("app", { overlap: "2d" });
    expect(next).not.toBe(old);
    pausedMs += 6000;
    const { body: second } = await ingest.post("checked", { id: "1", n: 1 }, { key: next });
    expect(second.ids).toEqual(first.ids);
    expect(await codeOf(post(next, ingest, {}, "events"))).toBe("403 stream-not-allowed");
    expect(await codeOf(post(old))).toBe(202);
    laterMs = 3 * 86_400_000;
    expect(await codeOf(post(old))).toBe("401 expired-key");
    expect(await codeOf(post(next))).toBe(202);
    const [newest, oldest] = await keys.list();
    const days = (from: string, to: string) => Math.round((Date.parse(to) - Date.parse(from)) / 86_400_000);
    expect(days(newest.createdAt, newest.expiresAt)).toBe(90);
    expect(days(oldest.createdAt, oldest.expiresAt)).toBe(2);
    // Rotated again and again, no old key lives longer than it would have, and the new one never shorter.
    await keys.rotate("app", { overlap: "60d" });
    const [third, ...others] = await keys.list();
    expect(days(third.createdAt, third.expiresAt)).toBe(90);
    expect(others.map((one: typeof third) => days(one.createdAt, one.expiresAt))).toEqual([60, 2]);
  });

  test("a length of time may be as long as a command can say", async () => {
    const made = await keys.create("app", { expires: "99999d" });
    const next = await keys.rotate("app", { expires: "99999d", overlap: "99999d" });
    pausedMs += 6000;
    expect([await codeOf(post(made)), await codeOf(post(next))]).toEqual([202, 202]);
    const days = (await keys.list()).map((one: { createdAt: string; expiresAt: string }) =>
      Math.round((Date.parse(one.expiresAt) - Date.parse(one.createdAt)) / 86_400_000),
    );
    expect(days).toEqual([99_999, 99_999]);
  });

  test("revoked, all keys of a name are refused, and stay in the table", async () => {
    const old = await keys.create("app");
    expect(await codeOf(post(old))).toBe(202);
    const next = await keys.rotate("app");
    pausedMs += 1001;
    expect([await codeOf(post(old)), await codeOf(post(next))]).toEqual([202, 202]);
    expect((await keys.command({ action: "revoke", name: "app" })).body).toEqual({
      ...{ name: "app", keys: 2, isRefused: true },
    });
    pausedMs += 5001;
    expect([await codeOf(post(old)), await codeOf(post(next))]).toEqual([
      ...["401 unknown-key", "401 unknown-key"],
    ]);
    const all = await keys.list();
    expect(all.map(({ state }: { state: string }) => state)).toEqual(["revoked", "revoked"]);
    await keys.revoke("app"); // may be repeated
    const again = await keys.create("app"); // the name is free
    pausedMs += 1001;
    expect(await codeOf(post(again))).toBe(202);
    expect(await codeOf(post(old))).toBe("401 unknown-key");
  });

  test.each([
    ["a name that a live key has", { action: "create", name: "taken" }, "409 name-taken"],
    ["a name of the environment", { action: "create", name: "tester" }, "409 name-taken"],
    [
      "a stream that nobody declared",
      { action: "create", name: "a", streams: ["chekced"] },
      "400 invalid-body",
    ],
    ["an empty list of streams", { action: "create", name: "a", streams: [] }, "400 invalid-body"],
    ["a name that no id can have", { action: "create", name: "a b" }, "400 invalid-body"],
    ["no action", { name: "a" }, "400 invalid-body"],
    ["a field that no command has", { action: "create", name: "a", rate: 5 }, "400 invalid-body"],
    ["no time to live", { action: "create", name: "a", expires: "0d" }, "400 invalid-body"],
    ["a time without a unit", { action: "create", name: "a", expires: "90" }, "400 invalid-body"],
    [
      "origins of a secret key",
      { action: "create", name: "a", origins: ["https://a.example"] },
      "400 invalid-body",
    ],
    ["a public key without streams", { action: "create", name: "a", kind: "public" }, "400 invalid-body"],
    [
      "a public key for a stream that is stored before the answer",
      { action: "create", name: "a", kind: "public", streams: ["leads"] },
      "400 invalid-body",
    ],
    [
      "an origin that no browser sends",
      { action: "create", name: "a", kind: "public", streams: ["checked"], origins: ["app.example"] },
      "400 invalid-body",
    ],
    ["rotating a name that no key has", { action: "rotate", name: "nobody" }, "404 unknown-name"],
    ["rotating a key of the environment", { action: "rotate", name: "tester" }, "404 unknown-name"],
    ["rotating a revoked key", { action: "rotate", name: "revoked" }, "404 unknown-name"],
    ["revoking a name that no key has", { action: "revoke", name: "nobody" }, "404 unknown-name"],
  ])("%s is refused, and nothing is changed", async (_, body, code) => {
    await keys.create("taken");
    await keys.create("revoked");
    await keys.revoke("revoked");
    const before = await keys.list();
    const answer = await keys.command(body);
    expect(`${answer.status} ${answer.body.code}`).toBe(code);
    expect(await keys.list()).toEqual(before);
  });

  test("of two keys made at once under one name, one is made", async () => {
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => keys.command({ action: "create", name: "app" })),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([201, ...Array(7).fill(409)]);
    expect(await keys.list()).toHaveLength(1);
  });

  test("5,000 keys may be live: each works, one more is refused, a revoked one makes room", async () => {
    await world.sql.query(
      `insert into api_keys (sha256, name, kind, streams, origins, version)
       select encode(sha256(n::text::bytea), 'hex'), 'bulk-' || n, 'secret', array['checked', 'events'], '{}', n from generate_series(1, 4998) n`,
    );
    const key = await keys.create("last-but-one");
    const last = await keys.create("last");
    expect((await world.keyCopy.read())?.keys).toHaveLength(5000);
    expect([await codeOf(post(key)), await codeOf(post(last))]).toEqual([202, 202]);
    expect(await keys.command({ action: "create", name: "more" })).toMatchObject({
      ...{ status: 409, body: { code: "too-many-keys" } },
    });
    await keys.rotate("bulk-1"); // a key that leaked can be rotated all the same
    await keys.revoke("bulk-1");
    await keys.create("more");
  });

  test("a key of the environment wins over one of the table with its name", async () => {
    const key = await keys.create("app");
    await world.sql.query("update api_keys set name = 'tester'");
    await world.keyCommands.renewKeyCopy();
    await freshIngest(async (fresh) => {
      expect(await codeOf(post(KEY, fresh))).toBe(202);
      expect(await codeOf(post(key, fresh))).toBe("401 unknown-key");
    });
  });

  test("a key that expires soon is said in each answer, and in the log once an hour", async () => {
    const key = await keys.create("app", { expires: "20d" });
    const ofToday = await post(key);
    expect(ofToday.headers.get("x-key-expires")).toBeNull();
    laterMs = 7 * 86_400_000;
    const [{ expiresAt }] = await keys.list();
    for (let i = 0; i < 3; i++) expect((await post(key)).headers.get("x-key-expires")).toBe(expiresAt);
    expect((await post(key, ingest, "nonsense")).headers.get("x-key-expires")).toBe(expiresAt);
    const said = () => world.said.filter(({ event }) => event === "key.expiring");
    expect(said()).toEqual([{ event: "key.expiring", fields: { key: "app", expiresAt } }]);
    laterMs += 3_600_000;
    await post(key);
    expect(said()).toHaveLength(2);
    laterMs = 20 * 86_400_000;
    const { body } = await post(key);
    expect(body).toMatchObject({ code: "expired-key", detail: expect.stringContaining(expiresAt) });
  });
});

describe("what a look-up costs", () => {
  test("a key of the environment costs no look at the copy, and one of the copy costs one command in 5 s", async () => {
    const key = await keys.create("app");
    await freshIngest(async (fresh) => {
      expect(await keyCommandsWhile(async () => void (await post(KEY, fresh)))).toEqual([]);
      expect(await keyCommandsWhile(async () => void (await post(key, fresh)))).toEqual(["HGETALL"]);
      const many = async () => void (await Promise.all(Array.from({ length: 50 }, () => post(key, fresh))));
      expect(await keyCommandsWhile(many)).toEqual([]);
      pausedMs += 5001;
      expect(await keyCommandsWhile(many)).toEqual(["HGET"]);
      expect(await keyCommandsWhile(many)).toEqual([]);
    });
  });

  test("20,000 random keys cause no query of Postgres, and one command a second", async () => {
    const key = await keys.create("app");
    expect(await codeOf(post(key))).toBe(202);
    const random = (i: number) => (i % 2 === 0 ? newKey("secret") : `spw_${"x".repeat(30)}${i}`);
    let seconds = 0;
    const statements = await statementsWhile(async () => {
      const commands = await keyCommandsWhile(async () => {
        const startMs = performance.now();
        for (let i = 0; i < 20_000; i += 200) {
          const codes = await Promise.all(Array.from({ length: 200 }, (_, j) => codeOf(post(random(i + j)))));
          expect(new Set(codes)).toEqual(new Set(["401 unknown-key"]));
        }
        seconds = (performance.now() - startMs) / 1000;
      });
      expect(new Set(commands)).toEqual(new Set(["HGET"]));
      expect(commands.length).toBeLessThanOrEqual(Math.ceil(seconds) + 1);
    });
    expect(statements).toEqual([]);
  });
});
