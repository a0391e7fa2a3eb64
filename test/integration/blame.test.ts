/**
 * Whose fault an error is: an event is blamed only for its own data. Whatever speaks of the server, the table or the
 * moment keeps every event, and holds up no other stream.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createBuffer } from "../../lib/buffer/buffer.ts";
import { connectRedis } from "../../lib/buffer/redis-client.ts";
import { drain } from "../../lib/drain/drain.ts";
import { FairSlots } from "../../lib/flow/fair-slots.ts";
import { encodeEnvelope } from "../../lib/schema/envelope.ts";
import { newId } from "../../lib/schema/event-ids.ts";
import { connect } from "../../lib/store/database.ts";
import { createStore } from "../../lib/store/store.ts";
import { type Ingest, serveIngest } from "./test-ingest.ts";
import {
  envelopeOf,
  expectConserved,
  good,
  isInsert,
  letPausesEnd,
  openWorld,
  pushEvents,
  type World,
  whereabouts,
  whileTriggered,
} from "./test-stack.ts";

let world: World;
let ingest: Ingest;
beforeAll(async () => {
  world = await openWorld();
  ingest = await serveIngest(world);
});
beforeEach(() => world.reset());
afterAll(async () => {
  await ingest.close();
  await world.close();
});

const P = { stream: "checked", index: 0 };
const events = () => world.said.map(({ event }) => event);

const push = (events: readonly object[]) => pushEvents(world, P, events);
const tick = async (more: Parameters<World["supervisor"]>[0] = {}) =>
  (await drain(world.supervisor(more), { stream: "checked" })).streams[0];

/** The store of somebody else, or of another database, on the same server. */
function storeAt(databaseUrl: string) {
  const { insertTimeoutMs, neonHttpUrl } = world.config;
  return createStore(connect(databaseUrl, insertTimeoutMs, neonHttpUrl), insertTimeoutMs);
}

/**
 * Answers each insert of rows into `checked` as Postgres would, with this SQLSTATE and the routine of its source that gives
 * it. An insert without rows succeeds, as it does on a full disk.
 */
const refuseInserts = (code: string, routine: string) =>
  world.neon.setFault(({ queries }) =>
    queries.some(({ query, params }) =>
      isInsert(query, "checked")
        ? params.some((one) => one !== "[]")
        : query.startsWith("do ") && query.includes('"checked"'),
    )
      ? {
          kind: "answer",
          status: 400,
          body: JSON.stringify({ message: "no", severity: "ERROR", code, routine }),
        }
      : undefined,
  );

const withTrigger = (body: string, work: () => Promise<void>, level?: "row" | "statement") =>
  whileTriggered(world, body, work, level);

describe("an answer that speaks of the server blames nobody", () => {
  const answers = [
    ["disk full", "53100", "mdextend"],
    ["out of memory", "53200", "AllocSetAlloc"],
    ["too many connections", "53300", "InitProcess"],
    ["a lock that is not available", "55P03", "ProcessInterrupts"],
    ["an idle session ended", "57P05", "ProcessInterrupts"],
    ["an I/O error", "58030", "mdread"],
    ["a corrupted index", "XX002", "bt_page"],
    ["an internal error", "XX000", "elog"],
    ["a deadlock", "40P01", "DeadLockReport"],
    ["a serialization failure", "40001", "ExecUpdate"],
  ] as const;

  test.each(answers)(
    "%s (%s): the batch is kept, and other streams are drained",
    async (_, code, routine) => {
      const ids = await push(good(10));
      const other = envelopeOf({ type: "t", payload: 1 });
      await world.buffer.push({ stream: "events", index: 0 }, [other.envelope]);
      refuseInserts(code, routine);
      for (let calls = 0; calls < 3; calls++) {
        const { streams } = await drain(world.supervisor(), {});
        expect(streams.find(({ stream }) => stream === "checked")).toMatchObject({
          ...{ stored: 0, dead: 0, outcome: "unavailable" },
        });
      }
      await expectConserved(world, "events", [other.id]);
      expect((await world.sql.query("select id from events")).rows).toEqual([{ id: other.id }]);
      expect((await world.sql.query("select 1 from dead_letters")).rows).toEqual([]);
      world.neon.setFault(undefined);
      expect(await tick()).toMatchObject({ stored: 10, dead: 0, outcome: "empty" });
      await expectConserved(world, "checked", ids);
    },
  );

  test.each(answers)("%s (%s): a sender that waits is answered 503 with ids", async (_, code, routine) => {
    refuseInserts(code, routine);
    const { status, body } = await ingest.post("checked", good(3), { query: "?ack=stored" });
    expect([status, body.ids]).toEqual([503, [expect.any(String), expect.any(String), expect.any(String)]]);
    world.neon.setFault(undefined);
    const again = good(3).map((one, i) => ({ ...one, id: body.ids[i] }));
    expect(await ingest.post("checked", again, { query: "?ack=stored" })).toMatchObject({ status: 201 });
    await expectConserved(world, "checked", body.ids);
  });

  test("the first sign ends the call for every partition of that stream, and for no other stream", async () => {
    const ids: string[] = [];
    const others: string[] = [];
    for (let index = 0; index < 16; index++) {
      const one = envelopeOf({ n: index + 1 });
      const other = envelopeOf({ type: "t", payload: index });
      await world.buffer.push({ stream: "checked", index }, [one.envelope]);
      await world.buffer.push({ stream: "events", index }, [other.envelope]);
      ids.push(one.id);
      others.push(other.id);
    }
    let inserts = 0;
    world.neon.setFault(({ queries }) => {
      if (!queries.some(({ query }) => isInsert(query, "checked"))) return undefined;
      inserts += 1;
      const body = JSON.stringify({ message: "no", severity: "ERROR", code: "53100", routine: "mdextend" });
      return { kind: "answer", status: 400, body };
    });
    const { streams } = await drain(world.supervisor({ slots: new FairSlots(2) }), {});
    expect(inserts).toBeLessThanOrEqual(2); // those under way when the first was answered
    expect(streams.find(({ stream }) => stream === "checked")).toMatchObject({ outcome: "unavailable" });
    expect(streams.find(({ stream }) => stream === "events")).toMatchObject({ stored: 16, outcome: "empty" });
    world.neon.setFault(undefined);
    expect(await tick()).toMatchObject({ stored: 16 });
    await expectConserved(world, "checked", ids);
    await expectConserved(world, "events", others);
  });

  test("a locked table: that stream waits, and the others are drained in the same call", async () => {
    const ids = await push(good(50));
    const other = envelopeOf({ type: "t", payload: 1 });
    await world.buffer.push({ stream: "events", index: 0 }, [other.envelope]);
    const locker = await world.sql.connect();
    await locker.query("begin; lock table checked in access exclusive mode");
    const { streams } = await drain(world.supervisor(), {});
    expect(streams.find(({ stream }) => stream === "checked")).toMatchObject({ outcome: "unavailable" });
    expect(streams.find(({ stream }) => stream === "events")).toMatchObject({ stored: 1, outcome: "empty" });
    await locker.query("rollback");
    locker.release();
    expect(await tick()).toMatchObject({ stored: 50 });
    await expectConserved(world, "checked", ids);
    await expectConserved(world, "events", [other.id]);
  });
});

describe("a row is told apart from its table", () => {
  test("an undefined table for which one row's trigger asks: the others are stored, that row alone is held", async () => {
    await withTrigger(
      "if new.note = 'audit' then insert into nowhere values (1); end if; return new;",
      async () => {
        const ids = await push([...good(59), { n: 1, note: "audit" }]);
        expect(await tick()).toMatchObject({ stored: 59, held: 1, outcome: "empty" });
        await expectConserved(world, "checked", ids);
      },
    );
    const { rows } = await world.sql.query("select sqlstate, reason from dead_letters");
    expect(rows).toEqual([{ sqlstate: "42P01", reason: "undefined table (SQLSTATE 42P01): table checked" }]);
  });

  test.each(["08001", "53100", "57014", "40001", "XX000", "42P01", "ZZ999"])(
    "a trigger of the user's that raises %s for one row: the others are stored, that row alone is dead",
    async (code) => {
      await withTrigger(
        `if new.note = 'odd' then raise exception 'no' using errcode = '${code}'; end if; return new;`,
        async () => {
          const ids = await push([...good(20), { n: 1, note: "odd" }, ...good(20)]);
          for (let calls = 0; calls < 3; calls++) await tick();
          await expectConserved(world, "checked", ids);
          expect((await world.sql.query("select 1 from checked")).rows).toHaveLength(40);
        },
      );
    },
  );

  test("a policy that forbids a row: the others are stored, that row alone is dead", async () => {
    await world.sql.query(`
      create role blamed login password 'blamed'; grant usage on schema public, drizzle to blamed;
      grant all on all tables in schema public to blamed;
      alter table checked enable row level security;
      create policy small on checked using (true) with check (n < 1000)`);
    try {
      const url = new URL(world.config.databaseUrl);
      url.username = url.password = "blamed";
      const ids = await push([...good(30), { n: 5000 }]);
      expect(await tick({ store: storeAt(url.href) })).toMatchObject({
        stored: 30,
        dead: 1,
        outcome: "empty",
      });
      await expectConserved(world, "checked", ids);
    } finally {
      await world.sql.query(`
        drop policy if exists small on checked; alter table checked disable row level security;
        drop owned by blamed; drop role blamed`);
    }
  });

  const everyRow: [string, string, string, RegExp][] = [
    [
      "a trigger asks for a table that is missing",
      `create function audit() returns trigger language plpgsql as $$ begin insert into nowhere values (1); return new; end $$;
       create trigger audit before insert on checked for each row execute function audit()`,
      "drop trigger audit on checked; drop function audit()",
      /^undefined table \(SQLSTATE 42P01\)/,
    ],
    [
      "a new column is NOT NULL, and the stream does not declare it",
      "alter table checked add column extra text not null",
      "alter table checked drop column extra",
      /^null in a column that is NOT NULL \(SQLSTATE 23502\): table checked, column extra/,
    ],
    [
      "a sequence ran out",
      `create sequence short maxvalue 2; select nextval('short'), nextval('short');
       alter table checked add column serial integer default nextval('short')`,
      "alter table checked drop column serial; drop sequence short",
      /^sequence exhausted \(SQLSTATE 2200H\)/,
    ],
  ];
  test.each(everyRow)(
    "every row is refused because %s: kept, misconfigured, 503, and stored once mended",
    async (_, spoil, mend, reason) => {
      await world.sql.query(spoil);
      const ids: string[] = [];
      try {
        ids.push(...(await push(good(10))));
        expect(await tick()).toMatchObject({ stored: 0, dead: 0, held: 10, outcome: "misconfigured" });
        await letPausesEnd(world);
        expect(await tick()).toMatchObject({ stored: 0, dead: 0, outcome: "misconfigured" });
        const said = world.said.find(({ event }) => event === "store.misconfigured");
        expect(said?.fields.reason).toMatch(reason);
        const { status, body } = await ingest.post("checked", { n: 1 }, { query: "?ack=stored" });
        expect(status).toBe(503);
        ids.push(...body.ids);
      } finally {
        await world.sql.query(mend);
      }
      await letPausesEnd(world);
      expect(await tick()).toMatchObject({ stored: 11, dead: 0, outcome: "empty" });
      expect((await world.sql.query("select 1 from dead_letters")).rows).toEqual([]);
      await expectConserved(world, "checked", ids);
    },
  );

  test("row-level security without a policy: kept, misconfigured, and stored once there is one", async () => {
    await world.sql.query(`
      create role unpolicied login password 'unpolicied'; grant usage on schema public to unpolicied;
      grant all on all tables in schema public to unpolicied; alter table checked enable row level security`);
    const ids = await push(good(10));
    try {
      const url = new URL(world.config.databaseUrl);
      url.username = url.password = "unpolicied";
      const store = storeAt(url.href);
      expect(await tick({ store })).toMatchObject({ stored: 0, dead: 0, outcome: "misconfigured" });
      await world.sql.query("create policy everything on checked using (true)");
      await letPausesEnd(world);
      expect(await tick({ store })).toMatchObject({ stored: 10, outcome: "empty" });
    } finally {
      await world.sql.query(`
        drop policy if exists everything on checked; alter table checked disable row level security;
        drop owned by unpolicied; drop role unpolicied`);
    }
    await expectConserved(world, "checked", ids);
  });

  test("a trigger that raises for the whole statement: kept, misconfigured, and 503", async () => {
    await withTrigger(
      "raise exception 'closed';",
      async () => {
        const ids = await push(good(10));
        expect(await tick()).toMatchObject({ stored: 0, dead: 0, held: 0, outcome: "misconfigured" });
        const { status } = await ingest.post("checked", { n: 1 }, { query: "?ack=stored" });
        expect(status).toBe(503);
        await expectConserved(world, "checked", ids);
      },
      "statement",
    );
  });

  test("1,000 rows, half of them bad, are isolated in a few statements", async () => {
    const given = Array.from({ length: 1000 }, (_, i) => ({ n: i % 2 === 0 ? i + 1 : -i }));
    const ids = await push(given);
    let statements = 0;
    world.neon.setFault(() => {
      statements += 1;
      return undefined;
    });
    expect(await tick({ batchMaxRows: 1000 })).toMatchObject({ stored: 500, dead: 500, outcome: "empty" });
    expect(statements).toBeLessThan(10);
    await expectConserved(world, "checked", ids);
  });
});

describe("a table that is slow", () => {
  test("a batch that takes too long is halved, and the next batch begins with the size that worked", async () => {
    const store = world.storeWithin(1000);
    const sizes: number[] = [];
    const first = await push(good(1)); // its ids are checked by now
    await tick({ store });
    world.neon.setFault(({ queries }) => {
      const insert = queries.find(({ query }) => isInsert(query, "checked"));
      const rows = (insert?.params ?? []).reduce<number>(
        (sum, one) => sum + (JSON.parse(String(one)) as unknown[]).length,
        0,
      );
      if (rows > 0) sizes.push(rows);
      return undefined;
    });
    await withTrigger("perform pg_sleep(0.02); return new;", async () => {
      const ids = [...first, ...(await push(good(100)))];
      expect(await tick({ store })).toMatchObject({ stored: 100, dead: 0, held: 0, outcome: "empty" });
      expect(sizes[0]).toBe(100);
      sizes.length = 0;
      ids.push(...(await push(good(100))));
      expect(await tick({ store })).toMatchObject({ stored: 100, dead: 0, held: 0, outcome: "empty" });
      expect(Math.max(...sizes)).toBeLessThan(50); // 50 rows take longer than a statement may
      await expectConserved(world, "checked", ids);
    });
  });
});

describe("a row that the table swallows is not a duplicate", () => {
  const swallow = "if new.note = 'swallow' then return null; end if; return new;";

  test("it is held, its neighbours are stored, and a true duplicate is one", async () => {
    const stored = envelopeOf({ n: 7 });
    await world.buffer.push(P, [stored.envelope]);
    await tick();
    await withTrigger(swallow, async () => {
      const [swallowed, landed] = await push([{ n: 1, note: "swallow" }, { n: 2 }]);
      await world.buffer.push(P, [stored.envelope]);
      expect(await tick()).toMatchObject({ stored: 1, duplicates: 1, dead: 0, held: 1 });
      const { rows } = await world.sql.query("select id, reason from dead_letters");
      expect(rows).toEqual([{ id: swallowed, reason: "the table swallowed the row" }]);
      await expectConserved(world, "checked", [stored.id, swallowed!, landed!]);
    });
  });

  test("its sender never hears 201", async () => {
    await withTrigger(swallow, async () => {
      const event = { n: 1, note: "swallow" };
      const { status, body } = await ingest.post("checked", event, { query: "?ack=stored" });
      expect(status).toBe(503);
      await expectConserved(world, "checked", body.ids);
    });
  });
});

describe("copies of one event on a table that swallows it", () => {
  test("no sender hears 201, whichever copy is theirs", async () => {
    const id = newId();
    await withTrigger("if new.note = 'swallow' then return null; end if; return new;", async () => {
      const copies = [
        { id, n: 1, note: "swallow" },
        { id, n: 2, note: "swallow" },
      ];
      const together = await ingest.post("checked", copies, { query: "?ack=stored" });
      const apart = await Promise.all(
        [...copies, ...copies].map((one) => ingest.post("checked", one, { query: "?ack=stored" })),
      );
      expect([together, ...apart].map(({ status }) => status)).toEqual([503, 503, 503, 503, 503]);
    });
    await expectConserved(world, "checked", [id]);
  });

  test("of copies that a trigger swallowed once, the first is stored", async () => {
    const id = newId();
    await world.sql.query("create table swallowed_once ()");
    const body = `if exists (select from pg_class where relname = 'swallowed_once' and relnatts = 0) then
      execute 'alter table swallowed_once add column done int'; return null; end if;
      if (select count(*) from pg_attribute where attrelid = 'swallowed_once'::regclass and attnum > 0) < 2 then
      execute 'alter table swallowed_once add column twice int'; return null; end if; return new;`;
    try {
      await withTrigger(body, async () => {
        for (const n of [1, 2]) await world.buffer.push(P, [envelopeOf({ n }, { id }).envelope]);
        expect(await tick()).toMatchObject({ stored: 1, duplicates: 1, dead: 0 });
      });
    } finally {
      await world.sql.query("drop table swallowed_once");
    }
    expect((await world.sql.query("select n from checked")).rows).toEqual([{ n: 1 }]);
    await expectConserved(world, "checked", [id]);
  });
});

describe("a row that is there was stored, whatever the error says", () => {
  test("a reply was lost, and the table's check was added since: sent again it is 201", async () => {
    const id = newId();
    world.neon.setFault(() => ({ kind: "cut-after" }));
    expect(await ingest.post("checked", { id, n: 5 }, { query: "?ack=stored" })).toMatchObject({
      status: 503,
    });
    world.neon.setFault(undefined);
    await withTrigger("raise exception 'a duplicate lead' using errcode = '23505';", async () => {
      const again = await ingest.post("checked", { id, n: 5 }, { query: "?ack=stored" });
      expect([again.status, again.body.ids]).toEqual([201, [id]]);
    });
    await expectConserved(world, "checked", [id]);
  });

  test("only the reply was lost: 201 at once, and a drain counts the rows as there", async () => {
    const cutOnce = () => {
      let isCut = false;
      world.neon.setFault(({ queries }) => {
        if (isCut || !queries.some(({ query }) => isInsert(query, "checked"))) return undefined;
        isCut = true;
        return { kind: "cut-after" };
      });
    };
    await ingest.post("checked", { n: 1 }, { query: "?ack=stored" }); // its ids have been checked by now
    cutOnce();
    const { status, body } = await ingest.post("checked", good(3), { query: "?ack=stored" });
    expect(status).toBe(201);
    cutOnce();
    const ids = await push(good(4));
    expect(await tick()).toMatchObject({ duplicates: 4, dead: 0, held: 0, outcome: "empty" });
    const { rows } = await world.sql.query("select id from checked");
    expect(rows.map(({ id }) => id)).toEqual(expect.arrayContaining([...body.ids, ...ids]));
  });

  test("a network that fails by turns: 201 only for what is there, else 503, and nobody is blamed", async () => {
    let requests = 0;
    const kinds = ["cut-before", undefined, "cut-after", undefined, undefined, "refuse"] as const;
    world.neon.setFault(() => {
      const kind = kinds[requests++ % kinds.length];
      return kind && { kind };
    });
    const promised: string[] = [];
    for (let posts = 0; posts < 30; posts++) {
      const { status, body } = await ingest.post("checked", good(2), { query: "?ack=stored" });
      expect([201, 503]).toContain(status);
      if (status === 201) promised.push(...body.ids);
    }
    world.neon.setFault(undefined);
    const { stored, held, dead } = await whereabouts(world, "checked");
    expect(stored).toEqual(expect.arrayContaining(promised));
    expect([promised.length > 0, held, dead]).toEqual([true, [], []]);
  });

  test("another transaction holds the id: 503, and once it has committed 201", async () => {
    const id = newId();
    const holder = await world.sql.connect();
    await holder.query("begin");
    await holder.query("insert into checked (id, received_at, n) values ($1, now(), 5)", [id]);
    const waiting = await ingest.post("checked", { id, n: 5 }, { query: "?ack=stored" });
    expect([waiting.status, waiting.body.ids]).toEqual([503, [id]]);
    await holder.query("commit");
    holder.release();
    expect(await ingest.post("checked", { id, n: 5 }, { query: "?ack=stored" })).toMatchObject({
      status: 201,
    });
    await expectConserved(world, "checked", [id]);
  });
});

describe("the proxy in front of Postgres", () => {
  test.each([
    ["a wrong password", { password: "wrong" }, /^HTTP 400 .*password authentication failed/],
    ["no such database", { pathname: "/nowhere" }, /^HTTP 500 .*"nowhere" does not exist/],
  ])("%s is misconfigured, in the proxy's words", async (_, change, words) => {
    const ids = await push(good(3));
    const url = Object.assign(new URL(world.config.databaseUrl), change);
    expect(await tick({ store: storeAt(url.href) })).toMatchObject({
      stored: 0,
      dead: 0,
      outcome: "misconfigured",
    });
    const said = world.said.find(({ event }) => event === "store.misconfigured");
    expect(said?.fields.reason).toMatch(words);
    await expectConserved(world, "checked", ids);
  });

  test("413 halves the batch; a quota is an outage, in the proxy's words", async () => {
    const ids = await push(good(8));
    world.neon.setFault(({ queries }) =>
      (queries.at(-1)?.params[0]?.toString().split('"n"').length ?? 0) > 4
        ? { kind: "answer", status: 413, body: '{"message":"request is too large"}' }
        : undefined,
    );
    expect(await tick()).toMatchObject({ stored: 8, dead: 0, outcome: "empty" });
    ids.push(...(await push(good(2))));
    world.neon.setFault(() => ({
      kind: "answer",
      status: 500,
      body: '{"message":"exceeded the compute quota"}',
    }));
    expect(await tick()).toMatchObject({ stored: 0, dead: 0, outcome: "unavailable" });
    const said = world.said.find(({ event }) => event === "store.unavailable");
    expect(said?.fields.reason).toBe("HTTP 500 from the database's proxy: exceeded the compute quota");
    world.neon.setFault(undefined);
    await tick();
    await expectConserved(world, "checked", ids);
  });
});

describe("a trigger that changes ids", () => {
  const changes = "new.id := gen_random_uuid(); return new;";

  test("stores no row, however often it is tried: kept, misconfigured, 503, and stored once it is gone", async () => {
    const ids = await push(good(5));
    const other = await serveIngest(world);
    await withTrigger(changes, async () => {
      const store = world.storeWithin(world.config.insertTimeoutMs); // of a process that has stored none yet
      for (let calls = 0; calls < 2; calls++)
        expect(await tick({ store })).toMatchObject({ stored: 0, dead: 0, outcome: "misconfigured" });
      const said = world.said.find(({ event }) => event === "store.misconfigured");
      expect(said?.fields.reason).toBe("a trigger of table checked changes the keys of rows");
      expect(await other.post("checked", { n: 1 }, { query: "?ack=stored" })).toMatchObject({ status: 503 });
      expect((await world.sql.query("select 1 from checked")).rows).toEqual([]);
    });
    await other.close();
    expect(await tick()).toMatchObject({ stored: 5, outcome: "empty" });
    await expectConserved(world, "checked", ids);
  });
});

describe("ours", () => {
  test("an answer without a verdict for each row settles nothing", async () => {
    const ids = await push([...good(5), { n: -1 }]);
    const text = {
      dataTypeID: 25,
      tableID: 0,
      columnID: 0,
      dataTypeSize: -1,
      dataTypeModifier: -1,
      format: "text",
    };
    const none = { fields: [], rows: [], command: "DO", rowCount: null, rowAsArray: true };
    const short = { ...none, fields: [{ ...text, name: "verdicts" }], rows: [["[1, 1]"]], rowCount: 1 };
    world.neon.setFault(({ queries }) =>
      queries.some(({ query }) => query.startsWith("do "))
        ? { kind: "answer", status: 200, body: JSON.stringify({ results: [none, none, none, short] }) }
        : undefined,
    );
    expect(await tick()).toMatchObject({ dead: 0, outcome: "misconfigured" });
    expect(events()).toContain("drain.failed");
    world.neon.setFault(undefined);
    expect(await tick()).toMatchObject({ stored: 5, dead: 1, outcome: "empty" });
    await expectConserved(world, "checked", ids);
  });

  test("an exception of our own is said as such, with its stack, and the batch is kept", async () => {
    const ids = await push(good(3));
    const store = {
      ...world.store,
      insert: async () => {
        throw new TypeError("undefined is not a function");
      },
    };
    expect(await tick({ store })).toMatchObject({ stored: 0, dead: 0, outcome: "misconfigured" });
    const said = world.said.find(({ event }) => event === "drain.failed");
    expect(said?.fields).toMatchObject({
      error: "TypeError",
      at: [
        expect.stringContaining("blame.test.ts"),
        expect.anything(),
        expect.anything(),
        expect.anything(),
        expect.anything(),
      ],
    });
    expect(events()).not.toContain("buffer.unavailable");
    expect(await tick()).toMatchObject({ stored: 3 });
    await expectConserved(world, "checked", ids);
  });

  test("an envelope of a newer release is kept, and those beside it are stored", async () => {
    const newer = newId();
    const receivedAt = new Date().toISOString();
    const text = encodeEnvelope({ v: 2, id: newer, receivedAt, dataJson: `{"n":1,"isNew":true}` });
    await world.buffer.push(P, [text]);
    const ids = await push(good(5));
    expect(await tick()).toMatchObject({ stored: 5, dead: 0, outcome: "misconfigured" });
    const status = await world.buffer.inspect([P]);
    expect(status[0]?.lastReason).toBe("buffered by a newer release");
    await expectConserved(world, "checked", [...ids, newer]);
  });

  test.each(["2026-02-30T00:00:00.000Z", "0000-01-01T00:00:00.000Z", "2026-13-01T00:00:00.000Z"])(
    "an envelope received at %s, which Postgres refuses, is buried like any other foreign text",
    async (receivedAt) => {
      const text = `{"v":1,"id":"${newId()}","receivedAt":"${receivedAt}","data":{"n":1}}`;
      await world.redis.lpush("{spillway}:checked:pending:0", text);
      const ids = await push(good(2));
      expect(await tick()).toMatchObject({ stored: 2, dead: 1, outcome: "empty" });
      expect((await world.sql.query("select id from checked order by n")).rows).toEqual(
        ids.map((id) => ({ id })),
      );
    },
  );
});

describe("Redis that has to be mended is no outage", () => {
  test("a wrong token is misconfigured, loudly, and events are stored while they wait", async () => {
    const wrong = { ...world.config, restToken: "wrong" };
    const buffer = createBuffer(connectRedis(wrong, 2000));
    expect(await tick({ buffer })).toMatchObject({ outcome: "misconfigured" });
    expect(events()).toContain("buffer.misconfigured");
    const other = await serveIngest(world, { restToken: "wrong" });
    const { status, body } = await other.post("checked", { n: 1 });
    expect([status, body.ack]).toEqual([201, "stored"]);
    await other.close();
    await expectConserved(world, "checked", body.ids);
  });

  test("a key that holds another type: that partition is misconfigured, the others are drained", async () => {
    const ids = await push(good(3));
    await world.redis.set("{spillway}:checked:pending:7", "a string");
    expect(await tick()).toMatchObject({ stored: 3, outcome: "misconfigured" });
    expect(events()).toContain("buffer.misconfigured");
    await world.redis.del("{spillway}:checked:pending:7", "{spillway}:checked:sealed:7");
    await expectConserved(world, "checked", ids);
  });
});
