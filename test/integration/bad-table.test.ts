/**
 * A table that letters can't be compared with blinds nobody: the letters of other streams are shown, redriven and purged as ever, and its
 * own are shown as live, with the reason. Each kind of trouble is made in Postgres itself.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createSupervisor } from "../../functions/supervisor.ts";
import { drain } from "../../lib/drain/drain.ts";
import { redrive } from "../../lib/operate/redrive.ts";
import { tryRedrive } from "../../lib/operate/redrive-trial.ts";
import { newId } from "../../lib/schema/event-ids.ts";
import { connect } from "../../lib/store/database.ts";
import { createDeadLetterStore, type LetterFilter } from "../../lib/store/dead-letter-store.ts";
import { migrateForTests } from "../streams/run/test-streams.ts";
import { serveIngest } from "./test-ingest.ts";
import {
  createDatabase,
  envelopeOf,
  expectConserved,
  letPausesEnd,
  openWorld,
  type World,
} from "./test-stack.ts";

const LIVE: LetterFilter = {
  ...{ streams: [], sqlstates: [], ids: [], since: undefined, until: undefined, isAll: false },
};
const ALL = { ...LIVE, isAll: true };

/** A role that may do what Spillway needs, and nothing that a test takes away from it. */
const ROLE = "bad_table_role";

let world: World;
beforeAll(async () => {
  const databaseUrl = await createDatabase("bad_table");
  await migrateForTests(databaseUrl);
  const owner = await openWorld({ DATABASE_URL: databaseUrl });
  await owner.sql.query(`
    do $$ begin create role ${ROLE} login password 'p'; exception when duplicate_object then null; end $$;
    grant usage on schema "warehouse 2" to ${ROLE};
    grant select, insert, update, delete, truncate on all tables in schema public, "warehouse 2" to ${ROLE};
    grant usage on all sequences in schema public, "warehouse 2" to ${ROLE}`);
  const asRole = new URL(databaseUrl);
  asRole.username = ROLE;
  asRole.password = "p";
  const world_ = await openWorld({ DATABASE_URL: asRole.href });
  world = {
    ...world_,
    sql: owner.sql,
    close: async () => void (await Promise.all([world_.close(), owner.close()])),
  };
});
beforeEach(() => world.reset());
afterAll(() => world.close());

const open = (timeoutMs = 5000) => {
  const { config, streams } = world;
  return createDeadLetterStore(
    connect(config.databaseUrl, timeoutMs, config.neonHttpUrl),
    streams,
    timeoutMs,
  );
};

/** The row of `checked` or `events` with this id, by SQL of the test's own. */
const store = (stream: string, id: string) =>
  world.sql.query(
    stream === "checked"
      ? `insert into checked (id, received_at, n) values ('${id}', now(), 1)`
      : `insert into events (id, received_at, type, payload) values ('${id}', now(), 't', '{}')`,
  );

const DATA: Record<string, unknown> = { checked: { n: 1 }, events: { type: "t", payload: {} } };

/** Sets an event aside; returns its id. */
async function setAside(stream: string, { isHeld = false } = {}): Promise<string> {
  const { id, envelope } = envelopeOf(DATA[stream]);
  await world.store.bury(world.streams.get(stream)!, [
    {
      ...{ id, envelope, stream, sqlstate: "23514", reason: "on purpose", burials: 1 },
      ...{ tries: isHeld ? 1 : 0, receivedAt: new Date().toISOString() },
    },
  ]);
  return id;
}

/** Two letters of each of two streams: one is live, and the event of the other was stored since. */
async function setFourAside() {
  const ids = { live: "", stored: "", otherLive: "", otherStored: "" };
  ids.live = await setAside("checked");
  ids.stored = await setAside("checked");
  ids.otherLive = await setAside("events");
  ids.otherStored = await setAside("events");
  await store("checked", ids.stored);
  await store("events", ids.otherStored);
  return ids;
}

/** Deletes letters whose events were stored by hand, as they are in two places. */
const forgetLetters = (ids: readonly string[]) =>
  world.sql.query("delete from dead_letters where id = any($1)", [ids]);

type Change = readonly [change: string, undo: string];

/** Kinds of trouble: SQL that makes it, SQL that ends it, and what is said of it. */
const troubles: [what: string, change: Change, why: string][] = [
  [
    "is missing",
    ["alter table checked rename to gone", "alter table gone rename to checked"],
    "undefined table (SQLSTATE 42P01): table checked; table checked is missing",
  ],
  [
    "lacks its id column",
    ["alter table checked rename id to no", "alter table checked rename no to id"],
    "undefined column (SQLSTATE 42703): table checked; table checked lacks column id",
  ],
  [
    "has another type in its id column",
    [
      "alter table checked alter id type text using id::text",
      "alter table checked alter id type uuid using id::uuid",
    ],
    "undefined function (SQLSTATE 42883): table checked; column id of table checked is text, and the stream declares uuid",
  ],
  [
    "may not be read",
    [`revoke select on checked from ${ROLE}`, `grant select on checked to ${ROLE}`],
    "permission denied (SQLSTATE 42501): table checked; this role may not select from table checked",
  ],
  [
    "fails as it is read",
    [
      `alter table checked rename to behind;
       create view checked as select case when 1 / (n - n) = 0 then id end as id, received_at, stored_at, n, note from behind;
       grant select, insert on checked to ${ROLE}`,
      "drop view checked; alter table behind rename to checked",
    ],
    "data refused (SQLSTATE 22012): table checked",
  ],
];

/** Locks `checked` until the work is done. */
async function whileLocked(work: () => Promise<void>): Promise<void> {
  const locker = await world.sql.connect();
  await locker.query("begin; lock table checked in access exclusive mode");
  try {
    await work();
  } finally {
    await locker.query("rollback");
    locker.release();
  }
}
const LOCKED = "table or row locked (SQLSTATE 55P03): table checked";

type Trouble = (work: () => Promise<void>) => Promise<void>;
const cases: [what: string, trouble: Trouble, why: string][] = [
  ...troubles.map(([what, [change, undo], why]): [string, Trouble, string] => [
    what,
    async (work) => {
      await world.sql.query(change);
      try {
        await work();
      } finally {
        await world.sql.query(undo);
      }
    },
    why,
  ]),
  ["is locked for minutes", whileLocked, LOCKED],
];

describe.each(cases)("if a table %s", (_, during, why) => {
  test("other letters are listed with what became of them, and its own as live, with the reason", async () => {
    const { live, stored, otherLive, otherStored } = await setFourAside();
    await during(async () => {
      const letters = open();
      const read = await letters.read(ALL, 10);
      expect(read.map(({ id, isLive, notCompared }) => [id, isLive, notCompared])).toEqual([
        [live, true, why],
        [stored, true, why],
        [otherLive, true, null],
        [otherStored, false, null],
      ]);
      expect((await letters.read(LIVE, 10)).map(({ id }) => id)).toEqual([live, stored, otherLive]);
      const groups = await letters.group(ALL, 10);
      expect(
        groups.map(({ stream, letters, live, notCompared }) => [stream, letters, live, notCompared]),
      ).toEqual([
        ["checked", 2, 2, why],
        ["events", 2, 1, null],
      ]);
      expect(await letters.count(LIVE, undefined)).toEqual({
        letters: 3,
        live: 3,
        notCompared: [{ stream: "checked", why }],
      });
      expect(await letters.count({ ...LIVE, streams: ["events"] }, undefined)).toEqual({
        letters: 1,
        live: 1,
        notCompared: [],
      });
    });
    await forgetLetters([stored, otherStored]);
    await expectConserved(world, "events", [otherLive, otherStored]);
    await expectConserved(world, "checked", [live, stored]);
  });

  test("the status counts every stream's letters, and says which were not compared", async () => {
    await setFourAside();
    const store = world.storeWithin(world.config.insertTimeoutMs); // remembers nothing of other tests
    const served = await world.serve(createSupervisor(world.supervisor({ store })));
    await during(async () => {
      const answer = await fetch(`${served.url}/status`);
      const { streams } = (await answer.json()) as { streams: { stream: string; [name: string]: unknown }[] };
      const of = (name: string) => streams.find(({ stream }) => stream === name);
      expect(of("checked")).toMatchObject({ deadLetters: 2, lettersNotCompared: why });
      expect(of("events")).toMatchObject({ deadLetters: 1, lettersNotCompared: null });
      expect(await store.letterVersions(world.streams.get("checked")!)).toEqual(new Map([[1, 2]]));
    });
    await served.close();
  });

  test("letters of all streams are redriven and purged", async () => {
    const { live, stored, otherLive, otherStored } = await setFourAside();
    const buried = await setAside("events");
    await during(async () => {
      const letters = open();
      const deps = {
        ...{ letters, buffer: world.buffer, streams: world.streams, partitions: 1, pageMaxRows: 1 },
        ...{ monotonicMs: () => 0, sleep: async () => {} },
      };
      const tried: string[] = [];
      for await (const page of tryRedrive({ ...deps, store: world.store }, LIVE))
        tried.push(...page.tried.map(({ letter }) => letter.id));
      expect(tried).toEqual(expect.arrayContaining([otherLive, buried]));
      expect(await letters.purge({ ...LIVE, ids: [buried] }, undefined)).toMatchObject({
        letters: 1,
        live: 1,
      });
      let report: unknown;
      for await (const one of redrive(deps, LIVE, { rate: 100 })) report = one;
      expect(report).toMatchObject({ redriven: 3, changed: 0, skipped: 0, stopped: undefined });
    });
    await drain(world.supervisor(), {});
    await forgetLetters([stored, otherStored]);
    await expectConserved(world, "events", [otherLive, otherStored]);
    await expectConserved(world, "checked", [live, stored]);
  });

  test("held letters of other streams are tried again, and other streams' events are found", async () => {
    const held = await setAside("events", { isHeld: true });
    const own = await setAside("checked", { isHeld: true });
    const there = newId();
    await store("checked", there);
    await world.supervisor().heldNotes.note();
    await letPausesEnd(world);
    const ingest = await serveIngest(world);
    await during(async () => {
      const { streams } = await drain(world.supervisor(), {});
      expect(streams.find(({ stream }) => stream === "events")).toMatchObject({ stored: 1 });
      const ofBad = ingest.where("checked", own);
      expect((await ingest.where("events", held)).body).toEqual({ id: held, status: "stored" });
      expect((await ofBad).status).toBe(503);
      const posted = await ingest.post("events", DATA.events, { query: "?ack=stored" });
      expect(posted.status).toBe(201);
      await expectConserved(world, "events", [held, ...posted.body.ids]);
    });
    await ingest.close();
    await letPausesEnd(world);
    await drain(world.supervisor(), {});
    await expectConserved(world, "checked", [own, there]);
  });
});
