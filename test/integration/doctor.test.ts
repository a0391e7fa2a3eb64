/** The doctor's checks of Spillway itself, the form of its report, what it costs, and what it tells while servers are away. */
import { readdirSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Doctor, serveDoctor } from "./doctor-look.ts";
import { envelopeOf, expectConserved, openWorld, pushEvents, type World } from "./test-stack.ts";

let world: World;
let doctor: Doctor;
beforeAll(async () => {
  world = await openWorld();
  doctor = await serveDoctor(world);
});
beforeEach(async () => {
  await world.reset();
  await world.redis.slowlog("RESET"); // what earlier files did to this Redis is no finding
});
afterAll(async () => {
  await doctor.close();
  await world.close();
});

const CHECKED = { stream: "checked", index: 3 };

/** Has a doctor of its own for one test. */
async function withDoctor(more: Parameters<typeof serveDoctor>[1], run: (other: Doctor) => Promise<void>) {
  const other = await serveDoctor(world, more);
  try {
    await run(other);
  } finally {
    await other.close();
  }
}

describe("the report", () => {
  test("has every check, in the order in which docs/operations.md explains them", async () => {
    const docs = readFileSync(new URL("../../docs/operations.md", import.meta.url), "utf8");
    const section = docs.slice(docs.indexOf("## The doctor"));
    const explained = [...section.slice(0, section.indexOf("\n## ", 3)).matchAll(/^\| `([a-z-]+)` /gm)];
    const checks = await doctor.examine();
    expect(checks.map(({ check }) => check)).toEqual(explained.map(([, name]) => name));
    expect(checks.length).toBeGreaterThanOrEqual(16);
    expect([...new Set(checks.map(({ group }) => group))]).toEqual(["redis", "postgres", "spillway"]);
  });

  test("where all is well, says so of everything that can be seen", async () => {
    await doctor.create("app", { expires: "90d" });
    await pushEvents(world, CHECKED, [{ n: 1 }]);
    await doctor.call("POST", "/drain");
    const checks = await doctor.examine();
    const right = checks.filter(({ result }) => result === "right");
    expect(right.every((one) => one.do === "nothing")).toBe(true);
    expect(checks.filter((one) => !right.includes(one)).map(({ check, result }) => [check, result])).toEqual([
      ["postgres-size", "unseen"],
    ]);
  });

  test("costs 16 commands of Redis, and 24 statements of Postgres in 12 transactions, however many streams there are", async () => {
    const commands: string[] = [];
    const transactions: number[] = [];
    world.upstash.setFault((seen) => void commands.push(...seen.commands.map(([name = ""]) => name)));
    world.neon.setFault(({ queries }) => void transactions.push(queries.length));
    await doctor.examine();
    expect(commands.sort()).toEqual(
      ["EXISTS", "HGET", "INFO", "MGET", ...Array(10).fill("PING"), "SLOWLOG", "TIME"].sort(),
    );
    expect([transactions.length, transactions.reduce((sum, n) => sum + n, 0)]).toEqual([12, 24]);
  });

  test("costs no more than a bounded number more, however many events and letters there are", async () => {
    for (const stream of world.streams.keys())
      for (let index = 0; index < 16; index++) await pushEvents(world, { stream, index }, [{ n: index }, {}]);
    await world.sql.query(
      `insert into dead_letters (stream, id, envelope, reason, burials)
       select s, gen_random_uuid(), '{}', 'dead', 1 from unnest($1::text[]) s, generate_series(1, 50)`,
      [[...world.streams.keys()]],
    );
    let measured = 0;
    let statements = 0;
    world.upstash.setFault(({ commands }) => {
      measured += commands.filter(([name, , , , runLength]) => name === "EVAL" && runLength === "64").length;
      return undefined;
    });
    world.neon.setFault(({ queries }) => {
      statements += queries.length;
      return undefined;
    });
    const before = await world.upstash.billedCommands();
    await doctor.examine();
    expect((await world.upstash.billedCommands()) - before).toBeLessThanOrEqual(
      50 + 30 * 16 * world.streams.size,
    );
    expect(measured).toBe(8);
    expect(world.streams.size).toBeLessThanOrEqual(10);
    expect(statements).toBeLessThanOrEqual(24 + 10 * 8);
  });
});

describe("servers that are away", () => {
  const resultsOf = async (group: string) =>
    (await doctor.examine())
      .filter((one) => one.group === group)
      .map(({ check, result }) => `${check} ${result}`);

  test("Redis: its ping is wrong, nothing else of it is seen, and Postgres and the keys are told all the same", async () => {
    await doctor.create("app", { expires: "10d" });
    world.upstash.setFault(() => ({ kind: "refuse" }));
    const redis = await resultsOf("redis");
    expect(redis[0]).toBe("redis-ping wrong");
    expect(redis.slice(1).every((text) => text.endsWith(" unseen"))).toBe(true);
    expect(await doctor.wrongs()).toEqual(["redis-ping", "key-expiry"]);
    expect(await resultsOf("postgres")).toContain("postgres-locks right");
    expect(await doctor.look("dead-letters")).toMatchObject({ result: "right" });
  });

  test("Postgres: the same the other way round", async () => {
    await pushEvents(world, CHECKED, [{ n: 1 }]);
    world.neon.setFault(() => ({ kind: "refuse" }));
    expect(await doctor.wrongs()).toEqual(["postgres-ping"]);
    expect(await doctor.look("redis-lists")).toMatchObject({
      seen: expect.stringContaining("checked holds 1 events"),
    });
    expect(await doctor.look("tables")).toMatchObject({ result: "unseen" });
    world.neon.setFault(undefined);
    await doctor.call("POST", "/drain");
  });

  test("both, hanging: it is answered within 10 s, and what needs no server is told", {
    timeout: 30_000,
  }, async () => {
    world.upstash.setFault(() => ({ kind: "hang" }));
    world.neon.setFault(() => ({ kind: "hang" }));
    const beganAtMs = performance.now();
    const checks = await doctor.examine();
    expect(performance.now() - beganAtMs).toBeLessThan(10_000);
    const told = checks
      .filter(({ result }) => result !== "unseen")
      .map(({ check, result }) => `${check} ${result}`);
    expect(told).toEqual(
      expect.arrayContaining(["redis-ping wrong", "postgres-ping wrong", "settings right"]),
    );
    expect(told.filter((text) => text.endsWith("wrong"))).toHaveLength(2);
    expect(checks.find(({ check }) => check === "paused")).toMatchObject({ result: "unseen" });
  });

  test("a Postgres that answers slowly: the run ends, and says what it did not reach", {
    timeout: 30_000,
  }, async () => {
    world.neon.setFault(() => ({ kind: "slow", delayMs: 1500 }));
    const beganAtMs = performance.now();
    const checks = await doctor.examine();
    expect(performance.now() - beganAtMs).toBeLessThan(10_000);
    expect(checks.find(({ check }) => check === "postgres-writable")).toMatchObject({ result: "right" });
    expect(checks.find(({ check }) => check === "postgres-size")).toMatchObject({
      result: "unseen",
      seen: "can't be seen here: it took longer than 6.5 s",
    });
  });

  test("a wrong token of Redis's is told as such, and is not in the report", async () => {
    world.upstash.setFault(() => ({
      kind: "answer",
      status: 401,
      body: '{"error":"WRONGPASS secret-token"}',
    }));
    const checks = await doctor.examine();
    expect(checks.find(({ check }) => check === "redis-ping")).toMatchObject({ result: "wrong" });
    expect(JSON.stringify(checks)).not.toContain("secret-token");
  });
});

describe("tables and migrations", () => {
  test.each([
    [
      "a column that is missing",
      "alter table checked rename n to m",
      "alter table checked rename m to n",
      "lacks column n",
    ],
    [
      "a column that nobody fills",
      "alter table checked add extra text not null",
      "alter table checked drop extra",
      "column extra of table checked is NOT NULL without a default, and the stream does not declare it",
    ],
    [
      "a column of another type",
      "alter table checked alter n type bigint",
      "alter table checked alter n type integer",
      "column n of table checked is bigint, and the stream declares integer",
    ],
    [
      "a table that is missing",
      "alter table checked rename to gone",
      "alter table gone rename to checked",
      "table checked is missing",
    ],
  ])("%s", async (_, breakIt, mendIt, says) => {
    await world.sql.query(breakIt);
    try {
      expect(await doctor.look("tables")).toMatchObject({
        result: "wrong",
        seen: expect.stringContaining(says),
      });
    } finally {
      await world.sql.query(mendIt);
    }
    expect(await doctor.look("tables")).toMatchObject({ result: "right" });
  });

  test("a migration that is not applied, of either folder", async () => {
    const ours = readdirSync(new URL("../../drizzle/spillway", import.meta.url)).filter((name) =>
      name.endsWith(".sql"),
    );
    const { rows } = await world.sql.query(
      "delete from drizzle.spillway_migrations where id = (select max(id) from drizzle.spillway_migrations) returning *",
    );
    try {
      expect(await doctor.look("migrations")).toMatchObject({
        result: "wrong",
        seen: `not applied: drizzle/spillway/${ours.sort().at(-1)}`,
        do: "spillway migrate",
      });
    } finally {
      const { id, hash, created_at: at } = rows[0];
      await world.sql.query("insert into drizzle.spillway_migrations values ($1, $2, $3)", [id, hash, at]);
    }
    const migrations = {
      ours: [],
      yours: [{ tag: "0000_streams", when: 5 }],
      yoursIn: "drizzle/migrations/",
    };
    await withDoctor({ doctor: { migrations: () => migrations } }, async (other) => {
      expect(await other.look("migrations")).toMatchObject({
        result: "wrong",
        seen: "not applied: drizzle/migrations/0000_streams.sql",
      });
      await world.sql.query(
        "create table drizzle.__drizzle_migrations (id serial primary key, hash text not null, created_at bigint); insert into drizzle.__drizzle_migrations (hash, created_at) values ('h', 5)",
      );
      try {
        expect(await other.look("migrations")).toMatchObject({ result: "right" });
      } finally {
        await world.sql.query("drop table drizzle.__drizzle_migrations");
      }
    });
    await withDoctor({ doctor: { migrations: () => undefined } }, async (other) =>
      expect(await other.look("migrations")).toMatchObject({ result: "unseen" }),
    );
  });
});

describe("what waits, and why", () => {
  test("a partition that Postgres refuses", async () => {
    await world.sql.query("alter table checked rename to elsewhere");
    const ids = await pushEvents(world, CHECKED, [{ n: 1 }]);
    try {
      await doctor.call("POST", "/drain");
      expect(await doctor.look("partitions")).toMatchObject({
        result: "wrong",
        seen: expect.stringMatching(/^partition 3 of checked waits with 1 events: .*undefined table/),
      });
    } finally {
      await world.sql.query("alter table elsewhere rename to checked");
    }
    await doctor.call("POST", "/drain");
    await expectConserved(world, "checked", ids);
    expect(await doctor.look("partitions")).toMatchObject({ result: "right" });
  });

  test("a paused stream whose events wait; without events it is as somebody wanted it", async () => {
    await withDoctor({ settings: { paused: new Set(["checked"]) } }, async (other) => {
      expect(await other.look("paused")).toMatchObject({
        result: "right",
        seen: "checked is in DRAIN_PAUSED: 0 events wait",
      });
      const { envelope } = envelopeOf({ n: 1 }, { at: Date.now() - 400_000 });
      await world.buffer.push(CHECKED, [envelope]);
      expect(await other.look("paused")).toMatchObject({
        result: "wrong",
        seen: expect.stringContaining("1 events wait"),
      });
      // Its age is no fault of a drain.
      expect(await other.look("oldest-event")).toMatchObject({ result: "right" });
    });
  });

  test("no tick for long while an event waits; a tick, and it is right", async () => {
    await withDoctor({}, async (other) => {
      expect(await other.look("tick")).toMatchObject({
        result: "unseen",
        do: expect.stringContaining("scheduler"),
      });
      const { envelope, id } = envelopeOf({ n: 1 }, { at: Date.now() - 400_000 });
      await world.buffer.push(CHECKED, [envelope]);
      expect(await other.look("tick")).toMatchObject({
        result: "wrong",
        seen: expect.stringMatching(
          /^no tick came to this instance since it began .*, and an event of checked has waited for 7 min$/,
        ),
      });
      expect(await other.look("oldest-event")).toMatchObject({
        result: "wrong",
        seen: "the oldest event that waits is of checked, accepted 7 min ago",
      });
      await other.call("POST", "/drain/checked"); // somebody drains one stream by hand: that is no tick
      expect(await other.look("tick")).toMatchObject({ result: "unseen" });
      await other.call("POST", "/drain");
      expect(await other.look("tick")).toMatchObject({ result: "right" });
      expect(await other.look("oldest-event")).toMatchObject({ result: "right" });
      await expectConserved(world, "checked", [id]);
    });
  });

  test("an event of a version that the stream does not know", async () => {
    const { envelope } = envelopeOf({ n: 1 });
    await world.buffer.push(CHECKED, [envelope.replace('"v":1', '"v":9'), envelopeOf({ n: 2 }).envelope]);
    expect(await doctor.look("versions")).toMatchObject({
      result: "wrong",
      seen: "1 events of checked have version 9 (2 events of the buffer were looked at)",
      do: "deploy the newer release of the supervisor",
    });
  });

  test("letters that are dead, and letters that are held", async () => {
    expect(await doctor.look("dead-letters")).toMatchObject({ result: "right" });
    expect(await doctor.look("held-letters")).toMatchObject({ result: "right" });
    await world.sql.query(
      `insert into dead_letters (stream, id, envelope, reason, burials, retry_at) values
       ('leads', gen_random_uuid(), '{"v":9,"id":"secret-value"}', 'dead', 1, null),
       ('leads', gen_random_uuid(), '{}', 'waits for a table', 1, now())`,
    );
    expect(await doctor.look("dead-letters")).toMatchObject({
      result: "wrong",
      seen: "1 events of leads are dead letters (1 letters have a version that this release can't read)",
    });
    expect(await doctor.look("held-letters")).toMatchObject({
      result: "wrong",
      seen: expect.stringMatching(/^1 letters of leads are held, .* most for: waits for a table$/),
    });
    expect(JSON.stringify(await doctor.examine())).not.toContain("secret-value");
  });

  test("inserts that are near their timeout; before the first one nothing is known", async () => {
    const store = world.storeWithin(5000);
    await withDoctor({ settings: { insertTimeoutMs: 2000 }, supervisor: { store } }, async (other) => {
      expect(await other.look("insert-times")).toMatchObject({ result: "unseen" });
      const ids = await pushEvents(world, CHECKED, [{ n: 1 }]);
      await other.call("POST", "/drain");
      expect(await other.look("insert-times")).toMatchObject({
        result: "right",
        seen: expect.stringContaining("last 1 inserts"),
      });
      world.neon.setFault(({ queries }) =>
        queries.some(({ query }) => query.startsWith("insert into"))
          ? { kind: "slow", delayMs: 1200 }
          : undefined,
      );
      ids.push(...(await pushEvents(world, CHECKED, [{ n: 2 }])));
      await other.call("POST", "/drain");
      world.neon.setFault(undefined);
      expect(await other.look("insert-times")).toMatchObject({
        result: "wrong",
        seen: expect.stringContaining("last 2 inserts"),
      });
      await expectConserved(world, "checked", ids);
    });
  });
});

describe("keys and settings", () => {
  test("a key that expires soon, unless a newer one replaces it", async () => {
    const key = await doctor.create("app", { expires: "10d" });
    expect(await doctor.look("key-expiry")).toMatchObject({
      result: "wrong",
      seen: expect.stringContaining('"app"'),
      do: "rotate it: spillway keys rotate app",
    });
    expect(JSON.stringify(await doctor.examine())).not.toContain(key);
    await doctor.rotate("app", { expires: "90d" });
    expect(await doctor.look("key-expiry")).toMatchObject({
      result: "right",
      seen: expect.stringContaining("newer one"),
    });
    await doctor.revoke("app");
    expect(await doctor.look("key-expiry")).toMatchObject({
      result: "right",
      seen: "no key expires within 14 days",
    });
  });

  test("a key's name that is in the environment, too; a process without the environment's keys can't tell", async () => {
    await doctor.create("app");
    expect(await doctor.look("key-names")).toMatchObject({ result: "right" });
    await world.sql.query("update api_keys set name = 'tester'");
    expect(await doctor.look("key-names")).toMatchObject({
      result: "wrong",
      seen: expect.stringContaining("tester"),
    });
    await withDoctor({ settings: { environmentNames: new Set() } }, async (other) =>
      expect(await other.look("key-names")).toMatchObject({ result: "unseen" }),
    );
  });

  test("a copy that is missing or behind; a missing one without any key is right", async () => {
    expect(await doctor.look("key-copy")).toMatchObject({ result: "right" });
    await doctor.create("app");
    expect(await doctor.look("key-copy")).toMatchObject({ result: "right" });
    const old = await world.redis.dumpBuffer("{spillway}:keys");
    await doctor.revoke("app");
    await world.redis.restore("{spillway}:keys", 0, old, "REPLACE");
    expect(await doctor.look("key-copy")).toMatchObject({
      result: "wrong",
      seen: expect.stringContaining("is not that"),
    });
    await world.redis.del("{spillway}:keys");
    expect(await doctor.look("key-copy")).toMatchObject({
      result: "wrong",
      seen: expect.stringContaining("is missing"),
    });
  });

  test("from 4,500 live keys on, that 5,000 may be", async () => {
    const insert = (from: number, to: number) =>
      world.sql.query(
        `insert into api_keys (sha256, name, kind, origins, version)
         select encode(sha256(n::text::bytea), 'hex'), 'bulk-' || n, 'secret', '{}', n from generate_series($1::int, $2) n`,
        [from, to],
      );
    await insert(1, 4499);
    expect(await doctor.look("key-count")).toMatchObject({ result: "right" });
    await insert(4500, 4500);
    expect(await doctor.look("key-count")).toMatchObject({
      result: "wrong",
      seen: "4500 keys are live, and at most 5000 may be",
    });
  });

  test("an origin that is for a public key and for secret ones, and one that no browser sends", async () => {
    await doctor.create("page", { kind: "public", streams: ["events"], origins: ["https://app.example"] });
    expect(await doctor.look("cors")).toMatchObject({ result: "right" });
    await withDoctor({ settings: { corsOrigins: ["https://shop.example"] } }, async (other) =>
      expect(await other.look("cors")).toMatchObject({ result: "right" }),
    );
    for (const origin of ["https://app.example", "*"])
      await withDoctor({ settings: { corsOrigins: [origin] } }, async (other) =>
        expect(await other.look("cors")).toMatchObject({
          result: "wrong",
          seen: expect.stringContaining('pages of https://app.example have the public key "page"'),
        }),
      );
    await world.sql.query("update api_keys set origins = '{https://app.example/shop}'");
    expect(await doctor.look("cors")).toMatchObject({
      result: "wrong",
      means: expect.stringContaining("no browser sends"),
    });
  });

  test("settings that are probably not meant", async () => {
    expect(await doctor.look("settings")).toMatchObject({ result: "right" });
    const doubts = [{ setting: "FLUSH_THRESHOLD", reason: "it is odd" }];
    await withDoctor({ settings: { doubts } }, async (other) =>
      expect(await other.look("settings")).toMatchObject({
        result: "wrong",
        seen: "FLUSH_THRESHOLD: it is odd",
      }),
    );
  });
});
