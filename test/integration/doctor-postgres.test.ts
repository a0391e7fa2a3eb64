/** The doctor's checks of Postgres: each is wrong for a real cause, names it, and tells no value. */
import pg from "pg";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { openDoctor } from "../../functions/wire-doctor.ts";
import { migrateForTests } from "../streams/run/test-streams.ts";
import { type Doctor, serveDoctor } from "./doctor-look.ts";
import { createDatabase, openWorld, type World } from "./test-stack.ts";

let world: World;
let doctor: Doctor;
let databaseUrl: string;
let clients: pg.Client[];

beforeAll(async () => {
  databaseUrl = await createDatabase("doctor");
  await migrateForTests(databaseUrl);
  world = await openWorld({ DATABASE_URL: databaseUrl });
  // A transaction counts as long at once, and so does a wait.
  doctor = await serveDoctor(world, {
    settings: { transactions: { openSeconds: 300, idleSeconds: 0 }, lockWaitSeconds: 0 },
  });
});
beforeEach(async () => {
  await world.reset();
  clients = [];
});
afterEach(async () => {
  world.neon.setFault(undefined);
  await Promise.all(clients.map((client) => client.end().catch(() => {})));
});
afterAll(async () => {
  await doctor.close();
  await world.close();
});

/** Opens a session of its own. */
async function connect(url = databaseUrl) {
  const client = new pg.Client({ connectionString: url });
  client.on("error", () => {});
  await client.connect();
  clients.push(client);
  const pid = (await client.query("select pg_backend_pid() as pid")).rows[0].pid as number;
  return { client, pid };
}

const postgresChecks = async () => (await doctor.examine()).filter(({ group }) => group === "postgres");

test("a Postgres as it should be is right, but for its disk, which SQL does not tell", async () => {
  expect((await postgresChecks()).map(({ check, result }) => [check, result])).toEqual([
    ["postgres-ping", "right"],
    ["postgres-writable", "right"],
    ["postgres-connections", "right"],
    ["postgres-locks", "right"],
    ["postgres-transactions", "right"],
    ["postgres-vacuum", "right"],
    ["postgres-size", "unseen"],
    ["postgres-host", "right"],
    ["clocks", "right"],
  ]);
});

test("a session that holds a lock, and one that waits for it, are told by their process ids", async () => {
  const holder = await connect();
  const waiter = await connect();
  await holder.client.query("begin");
  await holder.client.query("lock table checked in access exclusive mode");
  const waiting = waiter.client
    .query("insert into checked (id, received_at, n) values (gen_random_uuid(), now(), 424242)")
    .catch(() => {});
  await expect
    .poll(() => doctor.look("postgres-locks"), { timeout: 20_000 })
    .toMatchObject({
      result: "wrong",
      seen: expect.stringMatching(
        new RegExp(
          `^process ${waiter.pid} \\(active for [^:]+: insert into checked .*\\) waits for checked, blocked by process ${holder.pid} \\(idle in transaction for [^:]+: lock table checked in access exclusive mode\\)$`,
        ),
      ),
      do: expect.stringContaining(`pg_terminate_backend(${holder.pid})`),
    });
  expect(JSON.stringify(await doctor.examine())).not.toContain("424242");
  await holder.client.query("rollback");
  await waiting;
});

test("a session that waits for a row is told, too", async () => {
  await world.sql.query(
    "insert into api_keys (sha256, name, kind, origins, version) values (repeat('0', 64), 'k', 'secret', '{}', 1)",
  );
  const holder = await connect();
  const waiter = await connect();
  await holder.client.query("begin; update api_keys set name = 'a-name' ");
  const waiting = waiter.client.query("update api_keys set name = 'b-name'").catch(() => {});
  await expect
    .poll(async () => (await doctor.look("postgres-locks")).seen, { timeout: 20_000 })
    .toMatch(new RegExp(`^process ${waiter.pid} .* waits for a row, blocked by process ${holder.pid} `));
  expect((await doctor.look("postgres-locks")).seen).not.toMatch(/[ab]-name/);
  await holder.client.query("rollback");
  await waiting;
});

test("a session that is idle in a transaction", async () => {
  const { client, pid } = await connect();
  await client.query("begin");
  await client.query("select 'a-secret', 12345 from checked");
  const found = await doctor.look("postgres-transactions");
  expect(found).toMatchObject({
    result: "wrong",
    seen: expect.stringMatching(new RegExp(`^process ${pid} \\(idle in transaction for [^:]+: select …\\)$`)),
    do: expect.stringContaining(`pg_terminate_backend(${pid})`),
  });
  await client.query("rollback");
  expect(await doctor.look("postgres-transactions")).toMatchObject({ result: "right" });
});

test("connections near max_connections, and who has them", { timeout: 60_000 }, async () => {
  const { rows } = await world.sql.query("select current_setting('max_connections')::int as max");
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 200 });
  pool.on("error", () => {});
  const held = await Promise.all(Array.from({ length: rows[0].max * 0.81 }, () => pool.connect()));
  try {
    expect(await doctor.look("postgres-connections")).toMatchObject({
      result: "wrong",
      seen: expect.stringMatching(
        /^1\d\d of 197 connections of the server are used \(\d\d %\); the most: postgres 1\d\d idle/,
      ),
    });
  } finally {
    for (const client of held) client.release();
    await pool.end();
  }
});

test("a database's own limit of connections", async () => {
  await connect();
  await connect();
  await world.sql.query("alter database doctor connection limit 3");
  try {
    expect(await doctor.look("postgres-connections")).toMatchObject({
      result: "wrong",
      seen: expect.stringMatching(/^\d+ of 3 connections of this database are used/),
    });
  } finally {
    await world.sql.query("alter database doctor connection limit -1");
  }
});

test("a database that is read-only", async () => {
  await world.sql.query("alter database doctor set default_transaction_read_only = on");
  try {
    // The bridge keeps sessions, which have the old setting: for another URL it has none.
    const fresh = await serveDoctor(world, { databaseUrl: `${databaseUrl}?application_name=read-only` });
    expect(await fresh.look("postgres-writable")).toMatchObject({
      result: "wrong",
      seen: "default_transaction_read_only is on",
      do: expect.stringContaining("reset default_transaction_read_only"),
    });
    await fresh.close();
  } finally {
    await world.sql.query("alter database doctor reset default_transaction_read_only");
  }
});

test("dead rows that autovacuum does not remove", async () => {
  const { client } = await connect();
  await client.query("alter table checked set (autovacuum_enabled = false)");
  try {
    await client.query(
      "insert into checked (id, received_at, n) select gen_random_uuid(), now(), n from generate_series(1, 12000) n",
    );
    await client.query("delete from checked");
    await client.query("select pg_stat_force_next_flush()");
    expect(await doctor.look("postgres-vacuum")).toMatchObject({
      result: "wrong",
      // Postgres may count a row of an earlier test late.
      seen: expect.stringMatching(/^checked has 12000 dead rows beside \d, last vacuumed never$/),
      do: expect.stringContaining("vacuum checked"),
    });
    await client.query("vacuum checked");
    await client.query("select pg_stat_force_next_flush()");
    expect(await doctor.look("postgres-vacuum")).toMatchObject({ result: "right" });
  } finally {
    await client.query("alter table checked reset (autovacuum_enabled)");
  }
});

test("Neon's limit of a branch, where Postgres tells it", async () => {
  const look = async (limit: string) => {
    await world.sql.query(`alter database doctor set neon.max_cluster_size = '${limit}'`);
    const fresh = await serveDoctor(world, { databaseUrl: `${databaseUrl}?application_name=${limit}` });
    const found = await fresh.look("postgres-size");
    await fresh.close();
    return found;
  };
  try {
    expect(await look("8MB")).toMatchObject({
      result: "wrong",
      seen: expect.stringContaining("Neon's limit for a branch is 8.4 MB"),
    });
    expect(await look("512MB")).toMatchObject({ result: "right" });
    expect(await look("0")).toMatchObject({ result: "unseen" });
  } finally {
    await world.sql.query("alter database doctor reset neon.max_cluster_size");
  }
});

test.each([
  ["ep-cool-sun-123-pooler.eu-central-1.aws.neon.tech", "wrong"],
  ["ep-cool-sun-123.eu-central-1.aws.neon.tech", "right"],
  ["db.example.org", "unseen"],
  ["127.0.0.1", "right"],
])("the host %s is %s", async (databaseHost, result) => {
  const other = await serveDoctor(world, { settings: { databaseHost } });
  expect(await other.look("postgres-host")).toMatchObject({
    result,
    seen: expect.stringContaining(databaseHost),
  });
  await other.close();
});

test("a clock of this process that is a minute ahead of both servers'", async () => {
  const now = () => Date.now() + 60_000;
  const { config, servers, streams } = world;
  const shifted = await serveDoctor(world, {
    doctor: openDoctor({ config, servers, streams, doubts: [], now, monotonicMs: () => performance.now() }),
  });
  expect(await shifted.look("clocks")).toMatchObject({
    result: "wrong",
    seen: expect.stringMatching(
      /^Postgres is 60 s behind this process .*; Redis is 60 s behind this process /,
    ),
  });
  await shifted.close();
});

describe("a role that may see little", () => {
  let weakUrl: string;
  beforeAll(async () => {
    await world.sql.query(`
      drop role if exists doctor_weak;
      create role doctor_weak login password 'weak';
      revoke all on dead_letters, api_keys, checked from doctor_weak;
      revoke usage on schema drizzle from public`);
    const url = new URL(databaseUrl);
    url.username = "doctor_weak";
    url.password = "weak";
    weakUrl = url.href;
  });
  afterAll(async () => {
    await world.sql.query("drop owned by doctor_weak; drop role doctor_weak");
  });

  test("is told of locks without their queries, and that it may not see the rest", async () => {
    const holder = await connect();
    const waiter = await connect();
    await holder.client.query("begin; lock table checked");
    const waiting = waiter.client.query("begin; lock table checked").catch(() => {});
    const weak = await serveDoctor(world, { databaseUrl: weakUrl, settings: { lockWaitSeconds: 0 } });
    try {
      await expect
        .poll(async () => (await weak.look("postgres-locks")).seen, { timeout: 20_000 })
        .toMatch(
          new RegExp(
            `^process ${waiter.pid} \\(hidden[^:]*\\) waits for checked, blocked by process ${holder.pid} \\(hidden\\)$`,
          ),
        );
      const checks = await weak.examine();
      const of = (name: string) => checks.find(({ check }) => check === name);
      expect(of("postgres-connections")).toMatchObject({ result: "right" });
      expect(of("postgres-transactions")).toMatchObject({
        result: "unseen",
        do: expect.stringContaining("pg_read_all_stats"),
      });
      for (const name of ["migrations", "dead-letters", "held-letters", "key-expiry"])
        expect(of(name)).toMatchObject({
          result: "unseen",
          seen: expect.stringContaining("permission denied"),
        });
      expect(of("tables")).toMatchObject({
        result: "wrong",
        seen: expect.stringContaining("this role may not insert into table"),
      });
      expect(JSON.stringify(checks)).not.toContain("weak:weak");
    } finally {
      await holder.client.query("rollback");
      await waiting;
      await weak.close();
    }
  });
});

test("a query that hangs hides no other check", { timeout: 30_000 }, async () => {
  world.neon.setFault(({ queries }) =>
    queries.some(({ query }) => query.includes("pg_locks")) ? { kind: "hang" } : undefined,
  );
  const startedAtMs = performance.now();
  const checks = await doctor.examine();
  expect(performance.now() - startedAtMs).toBeLessThan(10_000);
  const results = new Map(checks.map(({ check, result }) => [check, result]));
  expect(results.get("postgres-locks")).toBe("unseen");
  for (const check of ["postgres-transactions", "postgres-vacuum", "tables", "dead-letters"])
    expect([check, results.get(check)]).toEqual([check, "right"]);
});
