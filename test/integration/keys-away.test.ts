/** Looking keys up while Redis, Postgres or both are away, hang, were emptied or came back from an older state. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { newKey } from "../../lib/access/key-format.ts";
import { createKeyMender } from "../../lib/operate/mend-keys.ts";
import { type KeyCommands, serveKeyCommands } from "./key-commands.ts";
import { type Ingest, serveIngest } from "./test-ingest.ts";
import { expectConserved, KEY, openWorld, type World } from "./test-stack.ts";

const COPY = "{spillway}:keys";

let world: World;
let keys: KeyCommands;
/** Milliseconds that are added to the monotonic clock. */
let pausedMs = 0;
const monotonicMs = () => performance.now() + pausedMs;
let instances: Ingest[] = [];
/** The ids of what was accepted in a test. */
let accepted: string[] = [];
beforeAll(async () => {
  world = await openWorld();
  const mendKeys = createKeyMender({ ...world.keyCommands, ...world, monotonicMs });
  keys = await serveKeyCommands(world, { mendKeys });
});
beforeEach(async () => {
  await Promise.all(instances.map((one) => one.close()));
  instances = [];
  accepted = [];
  pausedMs += 60_000;
  await world.reset();
});
afterAll(async () => {
  await Promise.all(instances.map((one) => one.close()));
  await keys.close();
  await world.close();
});

/** An instance that was just started. */
async function newInstance(): Promise<Ingest> {
  const made = await serveIngest(world, { keysMonotonicMs: monotonicMs, keysTimeoutMs: 1000 });
  instances.push(made);
  return made;
}

async function post(to: Ingest, key: string): Promise<string> {
  const { status, body } = await to.post("checked", { n: 1 }, { key });
  if (status < 300) accepted.push(...body.ids);
  return body.code === undefined ? String(status) : `${status} ${body.code}`;
}
/** An instance that has a copy. */
async function instanceWith(key: string): Promise<Ingest> {
  const made = await newInstance();
  expect(await post(made, key)).toBe("202");
  return made;
}
const drain = async () => {
  expect((await keys.call("POST", "/drain?wait=1")).status).toBe(200);
};
const isOfKeys = (commands: string[][]) => commands.some((command) => command.join().includes(COPY));

/** The commands of one question. If the connection breaks, it is asked once more at once. */
const question = (redis: "refuse" | "hang", command: string) =>
  redis === "refuse" ? [command, command] : [command];

/** What the servers are asked about keys: by which commands, by how many statements. Each may be broken meanwhile. */
function watch(broken: { redis?: "refuse" | "hang"; postgres?: "refuse" | "hang" } = {}) {
  const seen = { commands: [] as string[], statements: 0 };
  world.upstash.setFault(({ commands }) => {
    if (!isOfKeys(commands)) return undefined;
    seen.commands.push(...commands.map(([name = ""]) => name));
    return broken.redis && { kind: broken.redis };
  });
  world.neon.setFault(({ queries }) => {
    if (!queries.some(({ query }) => query.includes("api_keys"))) return undefined;
    seen.statements += 1;
    return broken.postgres && { kind: broken.postgres };
  });
  return seen;
}

describe("with a copy in the instance", () => {
  test.each(["refuse", "hang"] as const)(
    "Redis away (%s): the last copy counts, and Redis is asked once in 5 s",
    async (redis) => {
      const key = await keys.create("app");
      const instance = await instanceWith(key);
      pausedMs += 60_000;
      const seen = watch({ redis });
      const many = () => Promise.all(Array.from({ length: 20 }, () => post(instance, key)));
      expect(new Set(await many())).toEqual(new Set(["202"]));
      expect(new Set(await many())).toEqual(new Set(["202"]));
      const once = question(redis, "HGET");
      expect(seen).toEqual({ commands: once, statements: 0 });
      pausedMs += 5001;
      expect(new Set(await many())).toEqual(new Set(["202"]));
      expect(seen).toEqual({ commands: [...once, ...once], statements: 0 });
      expect(await post(instance, newKey("secret"))).toBe("503 keys-away");
      expect(seen.statements).toBe(0);
      world.upstash.setFault(undefined);
      await keys.revoke("app");
      pausedMs += 5001;
      expect(await post(instance, key)).toBe("401 unknown-key");
      await drain();
      await expectConserved(world, "checked", accepted);
    },
  );

  test("both away: the last copy counts", async () => {
    const key = await keys.create("app");
    const instance = await instanceWith(key);
    pausedMs += 60_000;
    watch({ redis: "refuse", postgres: "refuse" });
    expect(await post(instance, key)).toBe("202");
    expect(await post(instance, newKey("secret"))).toBe("503 keys-away");
    const events = world.said.map(({ event }) => event);
    expect(events.filter((event) => event === "keys.away")).toHaveLength(1);
  });

  test.each(["refuse", "hang"] as const)(
    "a key that was made since the last copy is 503 and never 401 until Redis has told (%s)",
    async (redis) => {
      const instance = await instanceWith(await keys.create("app"));
      const late = await keys.create("late");
      pausedMs += 1001;
      const seen = watch({ redis });
      const codes = await Promise.all(Array.from({ length: 20 }, () => post(instance, late)));
      expect(seen).toEqual({ commands: question(redis, "HGET"), statements: 0 });
      codes.push(await post(instance, late));
      expect(new Set(codes)).toEqual(new Set(["503 keys-away"]));
      expect(await post(instance, "mistyped")).toBe("401 unknown-key");
      expect(seen.statements).toBe(0);
      world.upstash.setFault(undefined);
      pausedMs += 1001;
      expect(await post(instance, late)).toBe("202");
      expect(await post(instance, newKey("secret"))).toBe("401 unknown-key");
      await drain();
      await expectConserved(world, "checked", accepted);
    },
  );

  test.each(["refuse", "hang"] as const)(
    "Redis tells that there is a newer copy, and does not give it (%s): Postgres is read",
    async (redis) => {
      const key = await keys.create("app");
      const instance = await instanceWith(key);
      await keys.revoke("app");
      pausedMs += 5001;
      world.upstash.setFault(({ commands }) =>
        commands[0]?.[0] === "HGETALL" && isOfKeys(commands) ? { kind: redis } : undefined,
      );
      // A request waits for a second; what comes after that is for the next one.
      await expect.poll(() => post(instance, key), { timeout: 5000, interval: 200 }).toBe("401 unknown-key");
      await drain();
      await expectConserved(world, "checked", accepted);
    },
  );

  test("after a pause of any length the first request with a revoked key is refused, whatever else is wrong with it", async () => {
    const key = await keys.create("app", { streams: ["checked"] });
    const instance = await instanceWith(key);
    await keys.revoke("app");
    pausedMs += 3_600_000;
    const first = await Promise.all([
      instance.post("checked", { n: 1 }, { key }),
      instance.post("checked", { n: "none" }, { key }),
      instance.post("nowhere", { n: 1 }, { key }),
      instance.post("events", { n: 1 }, { key }),
      instance.postRaw("checked", "text/html", "<p>", { key }),
      instance.post("checked", [], { key, query: "?ack=nonsense" }),
      instance.where("checked", "1", key),
      instance.whereAll("checked", ["1"], key),
    ]);
    expect(first.map(({ status, body }) => `${status} ${body.code}`)).toEqual(
      Array(8).fill("401 unknown-key"),
    );
    await expectConserved(world, "checked", accepted);
  });

  test.each(["cut-before", "cut-after"] as const)(
    "the connection to Redis is dead after a pause (%s): the first request with a revoked key is refused all the same",
    async (kind) => {
      const key = await keys.create("app");
      const instance = await instanceWith(key);
      await keys.revoke("app");
      pausedMs += 3_600_000;
      let asked = 0;
      world.upstash.setFault(({ commands }) => {
        asked += isOfKeys(commands) ? 1 : 0;
        return isOfKeys(commands) && asked === 1 ? { kind } : undefined;
      });
      expect(await post(instance, key)).toBe("401 unknown-key");
      await expectConserved(world, "checked", accepted);
    },
  );

  test("nothing is accepted before Redis has answered", async () => {
    const key = await keys.create("app");
    const instance = await instanceWith(key);
    pausedMs += 5001;
    const order: string[] = [];
    world.upstash.setFault(({ commands }) => {
      order.push(isOfKeys(commands) ? "keys" : "push");
      return isOfKeys(commands) ? { kind: "slow", delayMs: 300 } : undefined;
    });
    await Promise.all([post(instance, key), keys.revoke("app")]);
    expect(order[0]).toBe("keys");
  });

  test("an answer that Redis gave before a pause confirms nothing after it", async () => {
    const key = await keys.create("app");
    const instance = await instanceWith(key);
    pausedMs += 5001;
    // The first question is under way while the process pauses: Redis has answered, and the answer comes after the pause.
    let asked = 0;
    world.upstash.setFault(({ commands }) => {
      if (commands[0]?.[0] !== "HGET" || !isOfKeys(commands)) return undefined;
      asked += 1;
      return asked === 1 ? { kind: "slow-reply", delayMs: 900 } : undefined;
    });
    const before = post(instance, key);
    await expect.poll(() => asked).toBe(1);
    await world.sql.query("update api_keys set revoked_at = now(), version = version + 1");
    await world.keyCommands.renewKeyCopy();
    pausedMs += 60_000;
    expect(await post(instance, key)).toBe("401 unknown-key");
    await before;
  });
});

describe("without a copy in the instance", () => {
  test("Postgres away: the copy in Redis is enough", async () => {
    const key = await keys.create("app");
    const seen = watch({ postgres: "refuse" });
    const instance = await newInstance();
    expect(await post(instance, key)).toBe("202");
    expect(await post(instance, newKey("secret"))).toBe("401 unknown-key");
    expect(seen).toEqual({ commands: ["HGETALL"], statements: 0 });
  });

  test.each(["refuse", "hang"] as const)(
    "Redis away (%s): Postgres is read once for all, and used",
    async (redis) => {
      const key = await keys.create("app");
      const revoked = await keys.create("revoked");
      await keys.revoke("revoked");
      const seen = watch({ redis });
      const instance = await newInstance();
      const codes = await Promise.all(
        [key, revoked, newKey("secret"), key, key].map((one) => post(instance, one)),
      );
      expect(codes).toEqual(["202", "401 unknown-key", "401 unknown-key", "202", "202"]);
      expect(await post(instance, key)).toBe("202");
      expect(seen).toEqual({ commands: question(redis, "HGETALL"), statements: 1 });
    },
  );

  test.each([
    ["refuse", "refuse"],
    ["hang", "refuse"],
    ["refuse", "hang"],
    ["hang", "hang"],
  ] as const)(
    "both away (Redis: %s, Postgres: %s): 503 and never 401, until one is back",
    async (redis, postgres) => {
      const key = await keys.create("app");
      watch({ redis, postgres });
      const instance = await newInstance();
      const answers = await Promise.all(
        [key, newKey("secret"), key].map((one) => instance.post("checked", { n: 1 }, { key: one })),
      );
      for (const { status, body, headers } of answers) {
        expect([status, body.code]).toEqual([503, "keys-away"]);
        expect(Number(headers.get("retry-after"))).toBeGreaterThan(0);
      }
      expect(await post(instance, KEY)).toBe("202"); // a key of the environment needs neither
      expect(await post(instance, "no-key-of-ours")).toBe("401 unknown-key"); // and this could never be one
      watch({ redis });
      pausedMs += 1001;
      expect(await post(instance, key)).toBe("202");
      await drain();
      await expectConserved(world, "checked", accepted);
    },
  );

  test("a flood while both are away asks the servers once a second", async () => {
    const key = await keys.create("app");
    const seen = watch({ redis: "refuse", postgres: "refuse" });
    const instance = await newInstance();
    const startedAtMs = performance.now();
    const codes = await Promise.all(Array.from({ length: 200 }, () => post(instance, newKey("secret"))));
    for (let i = 0; i < 50; i++) codes.push(await post(instance, key));
    expect(new Set(codes)).toEqual(new Set(["503 keys-away"]));
    expect(seen.statements).toBeGreaterThan(0);
    expect(seen.statements).toBeLessThanOrEqual(1 + (performance.now() - startedAtMs) / 1000);
  });
});

describe("a copy that is not there, or is not ours", () => {
  test.each<[string, () => Promise<unknown>]>([
    ["was emptied", async () => world.redis.flushdb()],
    ["has another type under the copy's name", async () => world.redis.set(COPY, "x")],
    ["has nonsense in the copy", async () => world.redis.hset(COPY, "f".repeat(64), "nonsense")],
    ["has a copy without its generation", async () => world.redis.hdel(COPY, "generation")],
  ])(
    "Redis %s: one of many new instances reads Postgres, the others wait, and the copy is whole again",
    async (_, spoil) => {
      const key = await keys.create("app");
      await world.redis.del(COPY, "{spillway}:keys:rebuild");
      await world.keyCommands.renewKeyCopy();
      await spoil();
      const fresh = await Promise.all(Array.from({ length: 6 }, newInstance));
      const seen = watch();
      const codes = await Promise.all(fresh.flatMap((one) => [post(one, key), post(one, newKey("secret"))]));
      expect(codes).toEqual(fresh.flatMap(() => ["202", "401 unknown-key"]));
      expect(seen.statements).toBe(1);
      world.neon.setFault(undefined);
      expect((await world.keyCopy.read())?.keys).toMatchObject([{ name: "app" }]);
    },
  );

  test("Redis was emptied under a running instance: it makes the copy anew, and goes on", async () => {
    const key = await keys.create("app");
    const instance = await instanceWith(key);
    await world.redis.flushdb();
    accepted = [];
    pausedMs += 5001;
    expect(await post(instance, key)).toBe("202");
    expect((await world.keyCopy.read())?.keys).toMatchObject([{ name: "app" }]);
  });

  test("whoever was to make the copy died: the others read Postgres after a while", async () => {
    const key = await keys.create("app");
    await world.redis.del(COPY);
    await world.redis.set("{spillway}:keys:rebuild", "1", "PX", 60_000);
    expect(await post(await newInstance(), key)).toBe("202");
  });

  test("Redis takes no copy: what was read from Postgres is used all the same", async () => {
    const key = await keys.create("app");
    await world.redis.flushdb();
    world.upstash.setFault(({ commands }) =>
      isOfKeys(commands) && /^(EVAL|EVALSHA)$/.test(commands[0]?.[0] ?? "")
        ? { kind: "answer", status: 400, body: '{"error":"OOM command not allowed"}' }
        : undefined,
    );
    const instance = await newInstance();
    expect(await post(instance, key)).toBe("202");
    expect(await post(instance, newKey("secret"))).toBe("401 unknown-key");
  });
});

describe("Redis came back from before a revocation", () => {
  test("an instance that knew better goes on refusing; a drain that stores something mends it for all", async () => {
    const key = await keys.create("app");
    const other = await keys.create("second");
    const old = await world.redis.dumpBuffer(COPY);
    const knowing = await instanceWith(key);
    await keys.revoke("app");
    pausedMs += 5001;
    expect(await post(knowing, key)).toBe("401 unknown-key");
    await world.redis.restore(COPY, 0, old, "REPLACE");
    pausedMs += 60_000;
    expect(await post(knowing, key)).toBe("401 unknown-key");
    expect(await post(knowing, other)).toBe("202");
    const knowingNothing = await newInstance();
    expect(await post(knowingNothing, key)).toBe("202"); // the drain of this very event will tell
    await drain();
    expect((await world.keyCopy.read())?.keys).toMatchObject([{ name: "second" }]);
    pausedMs += 5001;
    expect(await post(knowingNothing, key)).toBe("401 unknown-key");
    expect(await post(knowingNothing, other)).toBe("202");
    expect(world.said.filter(({ event }) => event === "keys.mended")).toHaveLength(1);
    await drain();
    await expectConserved(world, "checked", accepted);
  });

  test("Postgres came back from before a key was made: the key is known no more", async () => {
    const key = await keys.create("early");
    const { rows } = await world.sql.query("select * from api_keys");
    const late = await keys.create("late");
    const instance = await instanceWith(late);
    await world.sql.query("delete from api_keys where name = 'late'");
    expect(rows).toHaveLength(1);
    await drain();
    pausedMs += 5001;
    expect(await post(instance, late)).toBe("401 unknown-key");
    expect(await post(instance, key)).toBe("202");
  });
});

describe("a change while a server is away", () => {
  test("revoked while Redis is away: it says so, and the next drain that stores something makes it true", async () => {
    const key = await keys.create("app");
    const instance = await instanceWith(key);
    watch({ redis: "refuse" });
    const { status, body } = await keys.command({ action: "revoke", name: "app" });
    expect([status, body]).toEqual([200, { name: "app", keys: 1, isRefused: false }]);
    pausedMs += 5001;
    expect(await post(instance, key)).toBe("202");
    watch();
    await drain();
    pausedMs += 5001;
    expect(await post(instance, key)).toBe("401 unknown-key");
    await expectConserved(world, "checked", accepted);
  });

  test("made while Redis is away: the key is told, and works after the next drain that stores something", async () => {
    watch({ redis: "refuse" });
    const { status, body } = await keys.command({ action: "create", name: "app" });
    expect([status, body]).toEqual([201, { name: "app", key: expect.any(String), isCopied: false }]);
    watch();
    const instance = await newInstance();
    expect(await post(instance, KEY)).toBe("202");
    await drain();
    expect(await post(instance, body.key)).toBe("202");
  });

  test("Postgres away: nothing is changed, and it is said", async () => {
    const key = await keys.create("app");
    watch({ postgres: "refuse" });
    for (const action of ["create", "rotate", "revoke"]) {
      const { status, body } = await keys.command({ action, name: action === "create" ? "new" : "app" });
      expect([status, body.code]).toEqual([503, "database-away"]);
    }
    expect((await keys.call("GET", "/keys")).status).toBe(503);
    watch();
    expect(await keys.list()).toHaveLength(1);
    expect(await post(await newInstance(), key)).toBe("202");
  });

  test("a drain whose mending fails answers all the same", async () => {
    const key = await keys.create("app");
    const instance = await instanceWith(key);
    await world.redis.del(COPY);
    watch({ postgres: "refuse" });
    await drain();
    expect(world.said.map(({ event }) => event)).toContain("keys.not-mended");
    world.neon.setFault(undefined);
    await expectConserved(world, "checked", accepted);
    pausedMs += 5001;
    await post(instance, KEY);
    await drain();
    expect((await world.keyCopy.read())?.keys).toMatchObject([{ name: "app" }]);
  });

  test("an idle drain asks nobody about keys", async () => {
    await keys.create("app");
    const seen = watch();
    await drain();
    expect(seen).toEqual({ commands: [], statements: 0 });
  });
});
