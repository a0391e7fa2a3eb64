/**
 * Real moments in which a good table refuses good rows: a full disk, locks, deadlocks, other transactions, limits of the role. Nobody is
 * blamed, nothing is lost, and all are stored when the moment is over. Nothing here is a bridge's answer: Postgres itself refuses.
 */
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chownSync, mkdtempSync, rmSync, statfsSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type pg from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { newId } from "../../lib/schema/event-ids.ts";
import { openRealDatabase, type RealDatabase, STORED, withClient } from "./real-database.ts";
import { envelopeOf, expectConserved, good, whereabouts } from "./test-stack.ts";

let db: RealDatabase;
beforeAll(async () => {
  db = await openRealDatabase("real_moments", { LEASE_MS: "10000" });
});
beforeEach(() => db.reset());
afterAll(() => db.close());

const sleepy = (seconds: number) =>
  `create function sleepy() returns trigger language plpgsql as $$ begin perform pg_sleep(${seconds}); return new; end $$;
   create trigger sleepy before insert on checked for each row execute function sleepy()`;
const AWAKE = "drop trigger sleepy on checked; drop function sleepy()";

const INSERT = "insert into checked (id, received_at, n) values ($1, now(), 5)";
const post = (events: unknown) => db.ingest.post("checked", events, STORED);
const withIds = (ids: readonly string[]) => good(ids.length).map((one, i) => ({ ...one, id: ids[i] }));

/** Waits until somebody waits for a lock. */
const untilWaiting = () =>
  expect
    .poll(async () => (await db.world.sql.query("select 1 from pg_locks where not granted")).rows.length, {
      ...{ timeout: 20_000, interval: 10 },
    })
    .toBeGreaterThan(0);

/** Runs while a client's transaction is open that has run `query`; ends it by `end` afterwards. */
const whileOpen = (work: (client: pg.Client) => Promise<void>, query: string, params: unknown[] = []) =>
  withClient(db.world, async (client) => {
    await client.query("begin");
    await client.query(query, params);
    await work(client);
  });

/** A counter of Postgres's for this database; it follows a little later. */
const counted = async (what: "deadlocks" | "xact_rollback") =>
  Number(
    (await db.world.sql.query(`select ${what} from pg_stat_database where datname = current_database()`))
      .rows[0][what],
  );

describe("a full disk", () => {
  /** A file system of 1 MB that Postgres may write to; undefined if this process may not mount one. */
  function mountSmallDisk(owner: { uid: number; gid: number }) {
    const folder = mkdtempSync(join(tmpdir(), "spillway-small-disk-"));
    try {
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", folder], { stdio: "ignore" });
    } catch {
      rmSync(folder, { recursive: true });
      return undefined;
    }
    chownSync(folder, owner.uid, owner.gid);
    const unmount = () => {
      execFileSync("umount", ["-l", folder]); // Postgres may still have a file open that is gone
      rmSync(folder, { recursive: true });
    };
    return { folder, unmount };
  }

  /** Incompressible, so that it takes pages of its own. */
  const large = () => ({ n: 1, note: randomBytes(12_000).toString("base64") });

  test("blames no row, large or small: 503 with ids, and all are stored once there is room", async ({
    skip,
  }) => {
    const { data_directory } = (await db.world.sql.query("show data_directory")).rows[0];
    const disk = mountSmallDisk(statSync(data_directory));
    if (disk === undefined) return skip("this process may not mount a file system");
    const filler = join(disk.folder, "filler");
    try {
      await db.world.sql.query(`create tablespace small_disk location '${disk.folder}'`);
      await db.world.sql.query("alter table checked set tablespace small_disk");
      const { bavail, bsize } = statfsSync(disk.folder);
      writeFileSync(filler, Buffer.alloc(bavail * bsize - 40_000));
      const mixed = await db.push([...good(10), large(), large(), large(), large(), ...good(10)]);
      const small = await db.push(good(20), 1);
      for (let calls = 0; calls < 3; calls++)
        expect(await db.tickAfterPause()).toMatchObject({ dead: 0, held: 0, outcome: "unavailable" });
      expect(db.world.said.map(({ fields }) => fields.sqlstate)).toContain("53100");
      const sent = await post([{ n: 1 }, large(), large(), large(), large(), { n: 2 }]);
      expect([sent.status, sent.body.ids.length]).toEqual([503, 6]);
      expect((await db.world.sql.query("select 1 from dead_letters")).rows).toEqual([]);
      await expectConserved(db.world, "checked", [...mixed, ...small]);

      rmSync(filler);
      expect((await post(withIds(sent.body.ids))).status).toBe(201);
      expect(await db.tick()).toMatchObject({ dead: 0, outcome: "empty" });
      await db.expectAllStored([...mixed, ...small, ...sent.body.ids]);
    } finally {
      rmSync(filler, { force: true });
      await db.world.sql.query("alter table checked set tablespace pg_default");
      await db.world.sql.query("drop tablespace if exists small_disk");
      disk.unmount();
    }
  });
});

describe("another transaction", () => {
  test.each(["commit", "rollback"])("alters the table for a while, and ends with %s", async (end) => {
    const ids = await db.push(good(10));
    await whileOpen(async (client) => {
      expect(await db.tick()).toMatchObject({ stored: 0, dead: 0, held: 0, outcome: "unavailable" });
      const sent = await post(good(3));
      expect([sent.status, sent.body.ids.length]).toEqual([503, 3]);
      await client.query(end);
      expect(await db.tick()).toMatchObject({ stored: 10, outcome: "empty" });
      expect((await post(withIds(sent.body.ids))).status).toBe(201);
      ids.push(...sent.body.ids);
    }, "alter table checked add column extra text");
    await db.world.sql.query("alter table checked drop column if exists extra");
    await db.expectAllStored(ids);
  });

  test.each(["commit", "rollback"])(
    "ends with %s while the insert waits for it, which goes on",
    async (end) => {
      const ids = await db.push(good(10));
      await whileOpen(async (client) => {
        const call = db.tick();
        await untilWaiting();
        await client.query(end);
        expect(await call).toMatchObject({ dead: 0, held: 0, outcome: "empty" });
      }, "alter table checked add column extra text");
      await db.world.sql.query("alter table checked drop column if exists extra");
      await db.expectAllStored(ids);
    },
  );

  test.each(["commit", "rollback"])("holds an event's id, and ends with %s", async (end) => {
    const ids = await db.push(good(10));
    const own = newId();
    await whileOpen(
      async (client) => {
        await client.query(INSERT, [own]);
        expect(await db.tick()).toMatchObject({ stored: 0, dead: 0, held: 0, outcome: "unavailable" });
        const sent = await post({ n: 5, id: own });
        expect([sent.status, sent.body.ids]).toEqual([503, [own]]);
        await client.query(end);
      },
      INSERT,
      [ids[4]],
    );
    expect(await db.tick()).toMatchObject(end === "commit" ? { stored: 9, duplicates: 1 } : { stored: 10 });
    expect((await post({ n: 5, id: own })).status).toBe(201);
    await db.expectAllStored([...ids, own]);
  });

  test("takes the ids in the opposite order: the deadlock is nobody's fault, and each is stored once", async () => {
    const made = good(60).map((event) => envelopeOf(event));
    const ids = made.map(({ id }) => id);
    const envelopes = made.map(({ envelope }) => envelope);
    await db.during(sleepy(0.01), AWAKE, async () => {
      await db.world.buffer.push({ stream: "checked", index: 0 }, envelopes);
      await db.world.buffer.push({ stream: "checked", index: 1 }, [...envelopes].reverse());
      const call = db.tick();
      await untilWaiting(); // each of the two has rows for which the other waits, or will wait
      const { status, body } = await post([...withIds(ids)].reverse());
      expect([[201, 503], body.ids]).toEqual([expect.arrayContaining([status]), [...ids].reverse()]);
      expect(await call).toMatchObject({ dead: 0, held: 0 });
    });
    await db.tick();
    await db.expectAllStored(ids);
    await expect.poll(() => counted("deadlocks"), { timeout: 20_000 }).toBeGreaterThan(0); // Postgres counts them a little later
  });
});

describe("settings of the role", () => {
  const settings = async (set: string, work: () => Promise<void>) => {
    await db.during(`alter role ${db.role} set ${set}`, `alter role ${db.role} reset all`, work);
  };

  /** Fills eight partitions; drains them while four senders wait. Those that are answered 503 send again after `mend`. */
  async function drainBesidePosts(mend: () => Promise<unknown> = async () => {}) {
    const ids: string[] = [];
    for (let index = 0; index < 8; index++) ids.push(...(await db.push(good(10), index)));
    const posts = Array.from({ length: 4 }, () => post(good(5)));
    const [drained, ...sent] = await Promise.all([db.tick(), ...posts]);
    await mend();
    for (const { status, body } of sent) {
      expect([201, 503]).toContain(status);
      if (status === 503) expect((await post(withIds(body.ids))).status).toBe(201);
      ids.push(...body.ids);
    }
    expect(drained).toMatchObject({ dead: 0, held: 0 });
    return { ids, drained };
  }

  test("serializable: those that can't be serialized are tried again, and nobody is blamed", async () => {
    const counts = `create function counts() returns trigger language plpgsql as $$
        begin perform count(*) from checked; perform pg_sleep(0.005); return new; end $$;
      create trigger counts before insert on checked for each row execute function counts()`;
    await db.during(counts, "drop trigger counts on checked; drop function counts()", () =>
      settings("default_transaction_isolation = 'serializable'", async () => {
        const before = await counted("xact_rollback");
        const { ids } = await drainBesidePosts();
        await expect.poll(() => counted("xact_rollback"), { timeout: 20_000 }).toBeGreaterThan(before);
        // Each call stores at least the batch that is not in conflict with a later one.
        for (let calls = 0; calls < 8; calls++) await db.tick();
        await db.expectAllStored(ids);
      }),
    );
  });

  test.each(["statement_timeout = 20", "lock_timeout = 1", "idle_in_transaction_session_timeout = 20"])(
    "%s, lower than ours, ends no insert",
    async (set) => {
      await db.during(sleepy(0.01), AWAKE, () =>
        settings(set, async () => {
          const ids = await db.push(good(20));
          expect(await db.tick()).toMatchObject({ stored: 20, dead: 0, held: 0, outcome: "empty" });
          const { status, body } = await post(good(10));
          expect(status).toBe(201);
          await db.expectAllStored([...ids, ...body.ids]);
        }),
      );
    },
  );

  test("idle_session_timeout: a connection that ends before its next statement blames nobody", async () => {
    const ids: string[] = [];
    await settings("idle_session_timeout = 20", async () => {
      for (let rounds = 0; rounds < 10; rounds++) {
        ids.push(...(await db.push(good(2))));
        expect(await db.tick()).toMatchObject({ dead: 0, held: 0 });
        const { status, body } = await post(good(2));
        expect([201, 503]).toContain(status);
        ids.push(...body.ids);
      }
    });
    await db.restart();
    expect((await post(withIds(ids))).status).toBe(201);
    await db.tick();
    await db.expectAllStored(ids);
  });

  test("transaction_timeout lower than an insert takes: the batch is halved until it fits", async () => {
    await db.during(sleepy(0.01), AWAKE, () =>
      settings("transaction_timeout = 300", async () => {
        const ids = await db.push(good(100));
        expect(await db.tick()).toMatchObject({ stored: 100, dead: 0, held: 0, outcome: "empty" });
        const { status, body } = await post(good(60));
        expect(status).toBe(201);
        await db.expectAllStored([...ids, ...body.ids]);
      }),
    );
  });

  test("one connection and no more: those that get none wait, and nobody is blamed", async () => {
    const mend = () => db.world.sql.query(`alter role ${db.role} connection limit -1`);
    await db.during(sleepy(0.005), AWAKE, async () => {
      await db.world.sql.query(`alter role ${db.role} connection limit 1`);
      const { ids, drained } = await drainBesidePosts(mend);
      expect(drained).toMatchObject({ outcome: "unavailable" });
      expect(await db.tick()).toMatchObject({ dead: 0, held: 0, outcome: "empty" });
      await db.expectAllStored(ids);
    });
  });
});

describe("somebody ends the statement", () => {
  /** Ends whatever of Spillway waits for a lock. */
  const endWaiting = (how: string) =>
    db.world.sql.query(
      `select ${how}(pid) from pg_stat_activity where usename = $1 and wait_event_type = 'Lock'`,
      [db.role],
    );

  test.each(["pg_terminate_backend", "pg_cancel_backend"])(
    "%s: nobody is blamed, and all are stored",
    async (how) => {
      const ids = await db.push(good(10));
      await whileOpen(async (client) => {
        const call = db.tick();
        await untilWaiting();
        await endWaiting(how);
        await call;
        const sending = post(good(3));
        await untilWaiting();
        await endWaiting(how);
        const sent = await sending;
        expect([sent.status, sent.body.ids.length]).toEqual([503, 3]);
        expect(await whereabouts(db.world, "checked")).toMatchObject({ dead: [], held: [] });
        await client.query("rollback");
        expect((await post(withIds(sent.body.ids))).status).toBe(201);
        ids.push(...sent.body.ids);
      }, "lock table checked in share mode");
      expect(await db.tick()).toMatchObject({ stored: 10, outcome: "empty" });
      await db.expectAllStored(ids);
    },
  );
});

describe("a reply that was lost", () => {
  test("a lead that is there is 201 when it is sent again, though its table refuses every lead by now", async () => {
    const lead = { id: newId(), name: "n", source: "s" };
    const first = await db.ingest.post("leads", { name: "n", source: "s" }); // the process's ids are checked by now
    db.world.neon.setFault(() => ({ kind: "cut-after" }));
    expect((await db.ingest.post("leads", lead)).status).toBe(503);
    db.world.neon.setFault(undefined);
    await db.during(
      "alter table leads add constraint closed check (false) not valid",
      "alter table leads drop constraint closed",
      async () => {
        const again = await db.ingest.post("leads", lead);
        expect([again.status, again.body.ids]).toEqual([201, [lead.id]]);
        const other = await db.ingest.post("leads", { name: "n", source: "s" });
        expect(other.status).toBe(503);
        await expectConserved(db.world, "leads", [...first.body.ids, lead.id, ...other.body.ids]);
      },
    );
  });
});
