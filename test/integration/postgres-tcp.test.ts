/**
 * Postgres over TCP: a batch is one transaction in one round trip, on a connection that is sound before and after it, and a failure is told
 * apart by its kind. The oldest and the newest Postgres that are installed are real; a network that fails is made by proxies.
 */
import { execFileSync, spawn } from "node:child_process";
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sql } from "drizzle-orm";
import pg from "pg";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { findFreePorts } from "../../dev/stack/ports.ts";
import { startPostgresProxy } from "../../dev/stack/postgres-proxy.ts";
import { type PostgresServer, startPostgres } from "../../dev/stack/postgres-server.ts";
import { type Database, openPostgres, statementBound } from "../../lib/store/database.ts";
import { type Failure, failureOf } from "../../lib/store/postgres-errors.ts";

const OLDEST = "/usr/lib/postgresql/15/bin";
const VERSIONS = [["the newest", undefined] as const, ["Debian's 15", OLDEST] as const].filter(
  ([, programs]) => programs === undefined || existsSync(programs),
);
const PATIENCE_MS = 20_000;

const closing: (() => unknown)[] = [];
const closeAll = async () => {
  for (const close of closing.splice(0).reverse()) await close();
};
afterEach(closeAll);

/** What became of a promise that must fail. */
const failed = (promise: PromiseLike<unknown>): Promise<Failure> =>
  Promise.resolve(promise).then(
    (value) => {
      throw new Error(`expected a failure, got ${JSON.stringify(value)}`);
    },
    (error: unknown) => failureOf(error),
  );

describe.each(VERSIONS)("%s", (_name, programs) => {
  let folder: string;
  let server: PostgresServer;
  let admin: pg.Pool;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "spillway-pg-tcp-"));
    chmodSync(folder, 0o755);
    mkdirSync(join(folder, "sockets"));
    chmodSync(join(folder, "sockets"), 0o777);
    const [port] = (await findFreePorts(1)) as [number];
    server = await startPostgres({
      ...{ dir: join(folder, "postgres"), port, programs },
      settings: { unix_socket_directories: join(folder, "sockets") },
    });
    admin = new pg.Pool({ connectionString: server.url, max: 2 });
    admin.on("error", () => {});
    await admin.query("create table t (id int primary key, n int not null)");
  }, 180_000);
  afterAll(async () => {
    await admin.end();
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  function open(databaseUrl = server.url, connections = 3, monotonicMs = () => performance.now()) {
    const postgres = openPostgres({ databaseUrl, neonHttpUrl: undefined }, { connections, monotonicMs });
    closing.push(() => postgres.close());
    return postgres;
  }

  const ask = async (db: Database, statement = sql`select pg_backend_pid()::text as found`) => {
    const [, { rows }] = await db.batch([statementBound(db, PATIENCE_MS), db.execute(statement)]);
    return (rows as { found: string }[])[0]?.found;
  };
  const at = (change: (url: URL) => void) => {
    const url = new URL(server.url);
    change(url);
    return url.href;
  };
  const openTransactions = async () =>
    (await admin.query("select count(*)::int as n from pg_stat_activity where state like 'idle in%'")).rows[0]
      .n;

  test("a batch is one transaction, bounded, in one round trip, without names and startup options", async () => {
    const spy = await startSpy(server.port);
    const postgres = open(
      at((url) => Object.assign(url, { port: spy.port })),
      1,
    );
    const db = postgres.within(PATIENCE_MS);
    await ask(db);
    const before = spy.turns();
    const [, { rows }, written] = await db.batch([
      statementBound(db, 10_000),
      db.execute(sql`select current_setting('statement_timeout') as s, current_setting('lock_timeout') as l`),
      db.execute(sql`insert into t values (${1}, ${1}), (2, 2) on conflict do nothing`),
    ]);
    expect(spy.turns() - before).toBe(1);
    expect([rows, written.rowCount]).toEqual([[{ s: "9s", l: "3s" }], 2]);
    expect(await ask(db, sql`select current_setting('statement_timeout') as found`)).toBe("18s"); // this one's own
    expect(spy.heard()).toMatch(/^.{8}user\0postgres\0database\0spillway\0client_encoding\0UTF8\0\0/s);
    expect(spy.heard()).not.toMatch(/options\0|statement_timeout\0/);
    const names = [...spy.heard().matchAll(/P\0\0..([^\0]*)\0(?:select|insert)/gs)].map(([, name]) => name);
    expect([names.length, new Set(names)]).toEqual([7, new Set([""])]);
  });

  test("a refused statement takes the others back, and leaves its connection as it was", async () => {
    const db = open(server.url, 1).within(PATIENCE_MS);
    const pid = await ask(db);
    const both = db.batch([
      db.execute(sql`insert into t values (11, 11)`),
      db.execute(sql`insert into t values (11, null)`),
    ]);
    expect(await failed(both)).toMatchObject({
      ...{ kind: "refused", sqlstate: "23502", names: { table: "t", column: "n" } },
    });
    expect(await ask(db)).toBe(pid);
    expect((await admin.query("select from t where id = 11")).rowCount).toBe(0);
    expect(await openTransactions()).toBe(0);
  });

  test("what COMMIT refuses is refused", async () => {
    await admin.query("create table if not exists child (id int references t deferrable initially deferred)");
    const db = open().within(PATIENCE_MS);
    expect(await failed(db.batch([db.execute(sql`insert into child values (99)`)]))).toMatchObject({
      ...{ kind: "refused", sqlstate: "23503" },
    });
    expect(await openTransactions()).toBe(0);
  });

  test.each(["cut-before", "cut-after", "truncated", "refuse"] as const)(
    "%s: nothing is known, nothing is left open, and the next batch has another connection",
    async (kind) => {
      const proxy = await startPostgresProxy({ databaseUrl: server.url });
      closing.push(() => proxy.close());
      const db = open(proxy.through(server.url), 1).within(PATIENCE_MS);
      const pid = await ask(db);
      proxy.setFault(() => ({ kind }));
      const failure = await failed(ask(db, sql`insert into t values (20, 1) on conflict do nothing`));
      expect([failure.kind, failure.isUnsent]).toEqual(["no-answer", undefined]);
      proxy.setFault(undefined);
      expect(await ask(db)).not.toBe(pid);
      await expect.poll(openTransactions).toBe(0);
    },
  );

  test("no answer in time: the caller hears, the connection is closed, and Postgres ends the statement", async () => {
    const postgres = open(server.url, 1);
    const quick = postgres.within(300);
    expect(await failed(quick.batch([quick.execute(sql`select pg_sleep(2)`)]))).toMatchObject({
      kind: "no-answer",
    });
    const bounded = quick.batch([statementBound(quick, 300), quick.execute(sql`select pg_sleep(600)`)]);
    expect(["timeout", "no-answer"]).toContain((await failed(bounded)).kind);
    expect(await ask(postgres.within(PATIENCE_MS))).toBeDefined();
    const left = () =>
      admin.query(
        "select from pg_stat_activity where query like '%pg_sleep(600)%' and pid <> pg_backend_pid()",
      );
    await expect.poll(async () => (await left()).rowCount, { timeout: 10_000 }).toBe(0);
  });

  test("more callers than connections wait for one another, each as long as it may", async () => {
    const postgres = open(server.url, 3);
    const db = postgres.within(PATIENCE_MS);
    const slow = sql`select pg_backend_pid()::text as found, pg_sleep(0.05)`;
    const pids = await Promise.all(Array.from({ length: 30 }, () => ask(db, slow)));
    expect(new Set(pids).size).toBeLessThanOrEqual(3);
    const holders = Array.from({ length: 3 }, () => ask(db, sql`select 'a' as found, pg_sleep(1)`));
    expect(await failed(ask(postgres.within(200)))).toMatchObject({ kind: "no-answer" });
    await Promise.all(holders);
    expect(pids).toContain(await ask(db));
  });

  test.each([20_000, 20_001])("a connection that lay idle for %i ms", async (idleMs) => {
    let nowMs = 0;
    const gate = await startSpy(server.port);
    const postgres = open(
      at((url) => Object.assign(url, { port: gate.port })),
      1,
      () => nowMs,
    );
    await ask(postgres.within(PATIENCE_MS));
    gate.forgetSilently();
    nowMs += idleMs;
    const answer = ask(postgres.within(1500));
    if (idleMs > 20_000)
      expect(await answer).toBeDefined(); // dropped: a new one, at the first go
    else expect(await failed(answer)).toMatchObject({ kind: "no-answer" });
  });

  test("a server that ends connections: idle ones are replaced, one in use is no answer", async () => {
    const db = open(server.url, 1).within(PATIENCE_MS);
    const pid = await ask(db);
    await admin.query("select pg_terminate_backend($1)", [pid]);
    await expect
      .poll(async () => (await admin.query("select from pg_stat_activity where pid = $1", [pid])).rowCount)
      .toBe(0);
    await expect.poll(() => ask(db).catch(() => pid)).not.toBe(pid);
    const ended = failed(ask(db, sql`select pg_terminate_backend(pg_backend_pid())::text as found`));
    expect(await ended).toMatchObject({ kind: "no-answer", sqlstate: "57P01" });
    expect(await ask(db)).toBeDefined();
    expect(await openTransactions()).toBe(0);
  });

  describe("a connection that can't be made", () => {
    const failureAt = (change: (url: URL) => void) => failed(ask(open(at(change)).within(PATIENCE_MS)));

    test("the network's reasons pass by themselves", async () => {
      const [free] = (await findFreePorts(1)) as [number];
      const unsent = { kind: "no-answer", isUnsent: true };
      const refused = await failureAt((url) => Object.assign(url, { port: free }));
      expect(refused).toMatchObject({ ...unsent, reason: expect.stringContaining("refused") });
      const unknown = await failureAt((url) => Object.assign(url, { hostname: "no-such-host.invalid" }));
      expect(unknown).toMatchObject({ ...unsent, reason: expect.stringContaining("host's name") });
      const noSocket = await failureAt((url) => url.searchParams.set("host", "/no/such/folder"));
      expect(noSocket).toMatchObject({ ...unsent, reason: expect.stringContaining("Unix socket") });
    });

    test("a wrong password, no such database, a right that is missing", async () => {
      await admin.query("drop database if exists closed");
      await admin.query("create database closed");
      await admin.query("revoke connect on database closed from public");
      await admin.query("drop role if exists guest");
      await admin.query("create role guest login password 'p@s/s:%é'");
      const misconfigured = (sqlstate: string) => ({ kind: "misconfigured", sqlstate, isUnsent: true });
      const as = (username: string, password: string, pathname: string) => (url: URL) =>
        Object.assign(url, { username, password: encodeURIComponent(password), pathname });
      expect(await failureAt(as("guest", "wrong", "/spillway"))).toMatchObject(misconfigured("28P01"));
      expect(await failureAt(as("postgres", "postgres", "/nowhere"))).toMatchObject(misconfigured("3D000"));
      expect(await failureAt(as("guest", "p@s/s:%é", "/closed"))).toMatchObject(misconfigured("42501"));
      expect(await ask(open(at(as("guest", "p@s/s:%é", "/spillway"))).within(PATIENCE_MS))).toBeDefined();
    });

    test("too many connections pass by themselves", async () => {
      await admin.query("drop role if exists few");
      await admin.query("create role few login password 'few' connection limit 0");
      const few = await failureAt((url) => Object.assign(url, { username: "few", password: "few" }));
      expect(few).toMatchObject({ kind: "no-answer", sqlstate: "53300", isUnsent: true });
    });

    test("a read-only database has to be mended", async () => {
      await admin.query("drop role if exists reader");
      await admin.query("create role reader login password 'reader'");
      await admin.query("grant all on t to reader");
      await admin.query("alter role reader set default_transaction_read_only = on");
      const db = open(at((url) => Object.assign(url, { username: "reader", password: "reader" }))).within(
        PATIENCE_MS,
      );
      expect(await failed(ask(db, sql`insert into t values (40, 1)`))).toMatchObject({
        ...{ kind: "misconfigured", sqlstate: "25006" },
      });
    });
  });

  test("a Unix socket, in either form", async () => {
    const folderOfSockets = encodeURIComponent(join(folder, "sockets"));
    for (const url of [
      `postgres://postgres:postgres@/spillway?host=${folderOfSockets}&port=${server.port}`,
      `postgresql://postgres:postgres@${folderOfSockets}:${server.port}/spillway`,
    ])
      expect(
        await ask(
          open(url).within(PATIENCE_MS),
          sql`select coalesce(inet_client_addr()::text, 'socket') as found`,
        ),
      ).toBe("socket");
  });

  test("application_name passes", async () => {
    const db = open(at((url) => url.searchParams.set("application_name", "shop"))).within(PATIENCE_MS);
    expect(await ask(db, sql`select current_setting('application_name') as found`)).toBe("shop");
  });

  describe("TLS", () => {
    const mode = (sslmode: string, more: Record<string, string> = {}, host = "127.0.0.1") =>
      at((url) => {
        url.hostname = host;
        for (const [name, value] of Object.entries({ sslmode, ...more })) url.searchParams.set(name, value);
      });
    const encrypted = (url: string) =>
      ask(
        open(url).within(PATIENCE_MS),
        sql`select ssl::text as found from pg_stat_ssl where pid = pg_backend_pid()`,
      );

    test("a server without it has to be mended, if sslmode wants it", async () => {
      expect(await failed(encrypted(mode("require")))).toMatchObject({
        ...{ kind: "misconfigured", reason: "the server has no TLS, which sslmode wants" },
      });
    });

    test("each sslmode checks what it checks in libpq", async () => {
      const ca = join(folder, "ca.pem");
      execFileSync(
        "openssl",
        [
          ...["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"],
          ...["-addext", "subjectAltName=DNS:localhost", "-keyout", join(folder, "key.pem"), "-out", ca],
        ],
        { stdio: "ignore" },
      );
      for (const [from, to] of [
        ["ca.pem", "server.crt"],
        ["key.pem", "server.key"],
      ] as const) {
        copyFileSync(join(folder, from), join(server.dataDir, to));
        chmodSync(join(server.dataDir, to), 0o600);
        if (process.getuid?.() === 0)
          execFileSync("chown", ["--reference", server.dataDir, join(server.dataDir, to)]);
      }
      await admin.query("alter system set ssl = on");
      await admin.query("select pg_reload_conf()");
      await expect.poll(() => encrypted(mode("require")).catch(() => ""), { timeout: 20_000 }).toBe("true");
      expect(await encrypted(mode("disable"))).toBe("false");
      expect(await encrypted(mode("verify-ca", { sslrootcert: ca }))).toBe("true"); // the name does not fit, and need not
      expect(
        await encrypted(mode("verify-full", { sslrootcert: ca, channel_binding: "require" }, "localhost")),
      ).toBe("true");
      const toMend = {
        kind: "misconfigured",
        isUnsent: true,
        reason: expect.stringContaining("not trusted"),
      };
      expect(await failed(encrypted(mode("verify-full", {}, "localhost")))).toMatchObject(toMend);
      expect(await failed(encrypted(mode("verify-full", { sslrootcert: ca })))).toMatchObject(toMend);
    });
  });

  test.skipIf(!existsSync("/usr/sbin/pgbouncer"))(
    "PgBouncer in transaction mode, with one connection for all",
    async () => {
      const [port] = (await findFreePorts(1)) as [number];
      writeFileSync(join(folder, "users.txt"), '"postgres" "postgres"\n');
      writeFileSync(
        join(folder, "pgbouncer.ini"),
        `[databases]\nspillway = host=127.0.0.1 port=${server.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = ${port}
auth_type = plain\nauth_file = ${join(folder, "users.txt")}\npool_mode = transaction\ndefault_pool_size = 1\nunix_socket_dir =\n`,
      );
      const as = process.getuid?.() === 0 ? ["-u", "postgres"] : [];
      const bouncer = spawn("/usr/sbin/pgbouncer", [...as, join(folder, "pgbouncer.ini")], {
        stdio: "ignore",
      });
      closing.push(() => bouncer.kill("SIGKILL"));
      const db = open(
        at((url) => Object.assign(url, { port })),
        6,
      ).within(PATIENCE_MS);
      await expect
        .poll(
          () =>
            ask(db).then(
              () => "up",
              () => "down",
            ),
          { timeout: 20_000 },
        )
        .toBe("up");
      const pids = await Promise.all(
        Array.from({ length: 40 }, (_, n) =>
          ask(
            db,
            sql`insert into t values (${1000 + n}, 1) on conflict (id) do update set n = t.n + 1 returning pg_backend_pid()::text as found`,
          ),
        ),
      );
      expect(new Set(pids).size).toBe(1);
      expect((await admin.query("select from t where id >= 1000 and n = 1")).rowCount).toBe(40);
      expect(await failed(ask(db, sql`insert into t values (1, null)`))).toMatchObject({ sqlstate: "23502" });
      expect(await ask(db, sql`select current_setting('lock_timeout') as found`)).toBe("6s");
    },
  );

  test("it is shutting down, or starting: it passes by itself", async () => {
    const holder = new pg.Client({ connectionString: server.url });
    holder.on("error", () => {});
    await holder.connect();
    const db = open(server.url, 1).within(PATIENCE_MS);
    process.kill(server.pid, "SIGTERM"); // ends when the last client has gone
    await expect
      .poll(
        async () =>
          failed(ask(db)).then(
            ({ sqlstate }) => sqlstate,
            () => "",
          ),
        { timeout: 20_000 },
      )
      .toBe("57P03");
    expect(await failed(ask(db))).toMatchObject({ kind: "no-answer", isUnsent: true });
    await holder.end();
  });
});

/** A proxy that counts how often the client begins to speak, and can forget its connections without a word to either side. */
async function startSpy(port: number) {
  let [generation, heard, turns, isClientsTurn] = [0, "", 0, false];
  const sockets: Socket[] = [];
  const spy = createServer({ noDelay: true }, (client) => {
    const born = generation;
    const upstream = connect({ port, host: "127.0.0.1", noDelay: true });
    sockets.push(client, upstream);
    client.on("data", (bytes) => {
      if (born !== generation) return;
      if (!isClientsTurn) turns += 1;
      isClientsTurn = true;
      heard += bytes.toString("latin1");
      upstream.write(bytes);
    });
    upstream.on("data", (bytes) => {
      if (born !== generation) return;
      isClientsTurn = false;
      client.write(bytes);
    });
    for (const socket of [client, upstream]) socket.on("error", () => {});
    client.on("close", () => upstream.destroy());
  });
  await new Promise<void>((resolve) => spy.listen(0, "127.0.0.1", resolve));
  closing.push(() => {
    for (const socket of sockets) socket.destroy();
    spy.close();
  });
  return {
    port: String((spy.address() as AddressInfo).port),
    forgetSilently: () => {
      generation += 1;
    },
    heard: () => heard,
    turns: () => turns,
  };
}
