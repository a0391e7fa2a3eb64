/**
 * Held letters: an event that Postgres refuses without proof is set aside, in nobody's way. It is tried again by itself, until it
 * is stored, or proven to be at fault by a witness.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createBuffer } from "../../lib/buffer/buffer.ts";
import { parseHeldNote } from "../../lib/buffer/held-note.ts";
import { connectRedis } from "../../lib/buffer/redis-client.ts";
import { drain } from "../../lib/drain/drain.ts";
import { newId } from "../../lib/schema/event-ids.ts";
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
  whileTriggered,
} from "./test-stack.ts";

let world: World;
let ingest: Ingest;
/** One supervisor process, whose memory lasts from tick to tick. */
let supervisor: ReturnType<World["supervisor"]>;
beforeAll(async () => {
  world = await openWorld();
  ingest = await serveIngest(world);
});
beforeEach(async () => {
  await world.reset();
  supervisor = world.supervisor();
});
afterAll(async () => {
  await ingest.close();
  await world.close();
});

const P = { stream: "checked", index: 0 };
const BAD = { n: -1 };
const events = () => world.said.map(({ event }) => event);

const push = (events: readonly object[]) => pushEvents(world, P, events);
const tick = async (more: Partial<typeof supervisor> = {}) =>
  (await drain({ ...supervisor, ...more }, { stream: "checked" })).streams[0];
const tickAfterPause = async (more: Partial<typeof supervisor> = {}) => {
  await letPausesEnd(world);
  return tick(more);
};
const halfAnHourPasses = () =>
  world.sql.query("update dead_letters set died_at = died_at - interval '30 min'");
const letters = async () =>
  (
    await world.sql.query(
      "select id, tries, retry_at is not null as held, sqlstate, reason from dead_letters order by id",
    )
  ).rows;
const noteInRedis = () => world.redis.hgetall("{spillway}:held");

const withTrigger = (body: string, work: () => Promise<void>) => whileTriggered(world, body, work);

describe("proof", () => {
  test("a row that is refused alone is held; once others were stored, the sixth refusal in half an hour makes it dead", async () => {
    const [bad] = await push([BAD]);
    expect(await tick()).toMatchObject({ dead: 0, held: 1, outcome: "empty" });
    expect(events()).toContain("event.held");
    const [landed] = await push(good(1));
    expect(await tick()).toMatchObject({ stored: 1, dead: 0 });
    await halfAnHourPasses();
    for (let refusals = 2; refusals <= 6; refusals++)
      expect(await tickAfterPause()).toMatchObject({ dead: refusals === 6 ? 1 : 0, outcome: "empty" });
    expect(await letters()).toMatchObject([{ id: bad, held: false, sqlstate: "23514" }]);
    expect(events()).toContain("event.buried");
    expect(await noteInRedis()).toEqual({});
    await expectConserved(world, "checked", [bad!, landed!]);
  });

  test("six refusals within seconds, as deployments make them, are too soon", async () => {
    const ids = await push([BAD]);
    await tick();
    ids.push(...(await push(good(1))));
    await tick();
    for (let refusals = 2; refusals <= 9; refusals++)
      expect(await tickAfterPause()).toMatchObject({ dead: 0 });
    await expectConserved(world, "checked", ids);
  });

  test("a letter that is refused again in the statement that stores another is dead at once", async () => {
    const ids = await push([BAD, { n: 1, note: "waits" }]);
    await world.sql.query("alter table checked add constraint waits check (note is distinct from 'waits')");
    expect(await tick()).toMatchObject({ held: 2 });
    await world.sql.query("alter table checked drop constraint waits");
    expect(await tickAfterPause()).toMatchObject({ stored: 1, dead: 1 });
    await expectConserved(world, "checked", ids);
  });

  test("without a witness it stays held, however often it is refused", async () => {
    const ids = await push([BAD]);
    await tick();
    for (let calls = 0; calls < 9; calls++) expect(await tickAfterPause()).toMatchObject({ dead: 0 });
    expect(await letters()).toMatchObject([{ held: true, tries: 10 }]);
    await expectConserved(world, "checked", ids);
  });

  test("a row that ingest stored while its sender waited is a weak witness, too; one that is older is none", async () => {
    const held = await ingest.post("checked", BAD, { query: "?ack=stored" });
    const other = newId();
    await world.sql.query(
      "insert into checked (id, received_at, n) values ($1, now() - interval '1 hour', 1)",
      [other], // its clock is ahead
    );
    for (let calls = 0; calls < 7; calls++) {
      await world.sql.query("update dead_letters set died_at = died_at - interval '5 min'");
      expect(await tickAfterPause()).toMatchObject({ dead: 0 });
    }
    const good = await ingest.post("checked", { n: 1 }, { query: "?ack=stored" });
    expect(await tickAfterPause()).toMatchObject({ dead: 1 });
    await expectConserved(world, "checked", [...held.body.ids, ...good.body.ids, other]);
  });

  test("a duplicate is no witness", async () => {
    const { id, envelope } = envelopeOf({ n: 1 });
    await world.buffer.push(P, [envelope]);
    await tick();
    const [bad] = await push([BAD]);
    await world.buffer.push(P, [envelope]);
    expect(await tick()).toMatchObject({ duplicates: 1, held: 1, dead: 0 });
    await expectConserved(world, "checked", [id, bad!]);
  });

  test("a row that was stored before the refusal proves nothing: the table may have changed since", async () => {
    const ids = await push([...good(4), BAD, BAD, BAD, BAD]);
    let inserts = 0;
    world.neon.setFault(({ queries }) => {
      const insert = queries.find(({ query }) => isInsert(query, "checked"));
      if (insert === undefined || insert.params.every((one) => one === "[]") || inserts++ > 0)
        return undefined;
      const body = JSON.stringify({ message: "no", severity: "ERROR", code: "57014", routine: "x" });
      return { kind: "answer", status: 400, body }; // so it is halved
    });
    expect(await tick()).toMatchObject({ stored: 4, dead: 0, held: 4 });
    await expectConserved(world, "checked", ids);
  });

  test("a row that another process stored after the refusal witnesses nothing here", async () => {
    const ids = await push([BAD]);
    await tick();
    ids.push(...(await push(good(3))));
    await drain(world.supervisor(), { stream: "checked" });
    expect(await tickAfterPause()).toMatchObject({ dead: 0 });
    await expectConserved(world, "checked", ids);
  });

  test("a code that does not judge data wants six refusals with a witness", async () => {
    const audit = "if new.note = 'audit' then insert into nowhere values (1); end if; return new;";
    await withTrigger(audit, async () => {
      const ids = await push([...good(3), { n: 1, note: "audit" }]);
      expect(await tick()).toMatchObject({ stored: 3, dead: 0, held: 1 });
      await halfAnHourPasses();
      for (let refusals = 2; refusals <= 6; refusals++) {
        ids.push(...(await push(good(1))));
        expect(await tickAfterPause()).toMatchObject({ stored: 1, dead: refusals === 6 ? 1 : 0 });
      }
      await expectConserved(world, "checked", ids);
    });
  });

  test("a child before its parent is held even beside a witness, and stored when the parent has come", async () => {
    await world.sql.query(`create table parents (n integer primary key); insert into parents values (1), (2), (3);
      alter table checked add constraint parent foreign key (n) references parents`);
    try {
      const ids = await push([...good(3), { n: 4 }, { n: 5 }]);
      expect(await tick()).toMatchObject({ stored: 3, dead: 0, held: 2 });
      await world.sql.query("insert into parents values (4)");
      expect(await tickAfterPause()).toMatchObject({ stored: 1, dead: 0 });
      expect(await letters()).toMatchObject([{ id: ids[4], held: true, sqlstate: "23503" }]);
      await world.sql.query("update dead_letters set died_at = died_at - interval '601 s'");
      ids.push(...(await push([{ n: 6 }])));
      await tick();
      await world.sql.query("insert into parents values (6)");
      expect(await tickAfterPause()).toMatchObject({ stored: 1, dead: 1 });
      await expectConserved(world, "checked", ids);
    } finally {
      await world.sql.query("alter table checked drop constraint parent; drop table parents");
    }
  });

  test("an outage while it is tried again counts no refusal", async () => {
    const ids = await push([BAD]);
    await tick();
    world.neon.setFault(({ queries }) =>
      queries.some(({ query }) => /^update "dead_letters" set "retry_at"/.test(query))
        ? undefined // it begins once the letter was taken
        : { kind: "refuse" },
    );
    await tickAfterPause();
    world.neon.setFault(undefined);
    expect(await letters()).toMatchObject([{ held: true, tries: 1 }]);
    const { rows } = await world.sql.query("select retry_at > now() as later from dead_letters");
    expect(rows).toEqual([{ later: true }]);
    await expectConserved(world, "checked", ids);
  });

  test("a letter that is tried alone is not counted while its stream's table is blocked", async () => {
    const ids = await push([BAD]);
    await tick();
    await world.sql.query("update dead_letters set reason = 'its insert breaks the connection to Postgres'");
    const slots = { run: async () => "blocked" as const };
    for (let calls = 0; calls < 5; calls++) await tickAfterPause({ slots });
    expect(await letters()).toMatchObject([{ held: true, tries: 1 }]);
    await expectConserved(world, "checked", ids);
  });

  test("letters that another call is taking are left to it, and nobody waits for them", async () => {
    const ids = await push([BAD, BAD]);
    await tick();
    await letPausesEnd(world);
    const other = await world.sql.connect();
    await other.query("begin");
    await other.query("select from dead_letters where id = $1 for update", [ids[0]]);
    const taken = await world.store.takeHeld(world.streams.get("checked")!, 10);
    expect(taken.map(({ id }) => id)).toEqual([ids[1]]);
    await other.query("rollback");
    other.release();
    await expectConserved(world, "checked", ids);
  });

  test("a letter whose envelope bears another id is not stored under that one", async () => {
    const ids = await push([BAD]);
    await tick();
    const other = envelopeOf({ n: 1 });
    await world.sql.query("update dead_letters set envelope = $1", [other.envelope]);
    expect(await tickAfterPause()).toMatchObject({ stored: 0, dead: 1 });
    expect(await letters()).toMatchObject([{ held: false, reason: "its envelope is not its own" }]);
    await expectConserved(world, "checked", ids);
  });

  test("two ticks at once try each letter once", async () => {
    const ids = await push([BAD, BAD, BAD]);
    await tick();
    await letPausesEnd(world);
    await Promise.all([tick(), tick(), tick()]);
    expect((await letters()).map(({ tries }) => tries)).toEqual([2, 2, 2]);
    await expectConserved(world, "checked", ids);
  });
});

describe("a table that is at fault", () => {
  const closed = "raise exception using errcode = '42P01';";

  test("good events behind a whole batch that is refused are stored in the same call", async () => {
    const body = "if new.note = 'refused' then insert into nowhere values (1); end if; return new;";
    await withTrigger(body, async () => {
      const stuck = await push(Array.from({ length: 100 }, () => ({ n: 1, note: "refused" })));
      const behind = await push(good(50));
      expect(await tick()).toMatchObject({ stored: 50, held: 100, dead: 0 });
      await expectConserved(world, "checked", [...stuck, ...behind]);
    });
  });

  test("all its letters are stored by themselves once it is mended, however long their pauses are", async () => {
    const ids = await push(good(300));
    await withTrigger("insert into nowhere values (1); return new;", async () => {
      expect(await tick()).toMatchObject({ stored: 0, held: 300, outcome: "misconfigured" });
    });
    const [first] = ids;
    await world.sql.query("update dead_letters set retry_at = now() + interval '50 min' where id <> $1", [
      first,
    ]);
    await world.sql.query("update dead_letters set retry_at = now() where id = $1", [first]);
    await world.redis.hset("{spillway}:held", "dueAtMs", "0");
    expect(await tick()).toMatchObject({ stored: 300, outcome: "empty" });
    expect([await letters(), await noteInRedis()]).toEqual([[], {}]);
    await expectConserved(world, "checked", ids);
  });

  test("while it is at fault a call tries one page of its letters", async () => {
    const ids = await push(good(300));
    await withTrigger("insert into nowhere values (1); return new;", async () => {
      await tick();
      await tickAfterPause();
      expect((await letters()).filter(({ tries }) => tries === 2)).toHaveLength(100);
    });
    await expectConserved(world, "checked", ids);
  });

  test("held for over ten minutes without a witness, it is said to be misconfigured", async () => {
    const ids = await push([BAD]);
    expect(await tick()).toMatchObject({ outcome: "empty" });
    expect(await tickAfterPause()).toMatchObject({ outcome: "empty" });
    await world.sql.query("update dead_letters set died_at = died_at - interval '11 min'");
    expect(await tickAfterPause()).toMatchObject({ outcome: "misconfigured" });
    const said = world.said.find(({ event }) => event === "store.misconfigured");
    expect(said?.fields).toMatchObject({ stream: "checked", letters: 1, sqlstate: "23514" });
    expect(said?.fields.heldForSeconds).toBeGreaterThanOrEqual(660);
    await expectConserved(world, "checked", ids);
  });

  test("a deployment tries every held letter at once, and once", async () => {
    const ids = await push(good(3));
    await withTrigger(closed, async () => void (await tick()));
    await tickAfterPause(); // this release has tried them
    await world.sql.query("truncate dead_letters, checked");
    ids.splice(0, 3, ...(await push(good(3))));
    await withTrigger(closed, async () => {
      await tick();
      await tickAfterPause();
      await tick({ release: "next" });
      expect((await letters()).map(({ tries }) => tries)).toEqual([3, 3, 3]);
      await tick({ release: "next" });
      expect((await letters()).map(({ tries }) => tries)).toEqual([3, 3, 3]);
    });
    expect(await tick({ release: "the one after" })).toMatchObject({ stored: 3 });
    await expectConserved(world, "checked", ids);
  });
});

describe("the note in Redis", () => {
  test("a letter that is held while Postgres is asked is not forgotten", async () => {
    await world.heldNotes.note();
    const read = parseHeldNote(await world.redis.hmget("{spillway}:held", "dueAtMs", "name", "release"));
    await world.heldNotes.note();
    await world.heldNotes.settle(read!, undefined, "test");
    expect(await noteInRedis()).toMatchObject({ dueAtMs: expect.any(String) });
  });

  test("if Redis has lost it, a tick that reaches Postgres finds the letters, and asks once an hour", async () => {
    const ids = await push([BAD]);
    await tick();
    await world.redis.del("{spillway}:held");
    let looks = 0;
    const store = {
      ...world.store,
      nextHeldInMs: (streams: readonly string[]) => {
        looks += 1;
        return world.store.nextHeldInMs(streams);
      },
    };
    let hours = 1;
    const monotonicMs = () => performance.now() + hours * 3_600_000;
    for (hours = 1; hours <= 2; hours++)
      for (let calls = 0; calls < 3; calls++) {
        ids.push(...(await push(good(1))));
        await tick({ store, monotonicMs });
        await world.redis.del("{spillway}:held");
      }
    expect(looks).toBe(2);
    ids.push(...(await push(good(1))));
    hours = 4;
    await tick({ store, monotonicMs });
    await tickAfterPause();
    expect(await letters()).toMatchObject([{ tries: 2 }]);
    await expectConserved(world, "checked", ids);
  });

  test.each([
    ["a string", () => world.redis.set("{spillway}:held", "x")],
    ["nonsense", () => world.redis.hset("{spillway}:held", { dueAtMs: "x", name: "y" })],
    ["a note without a name", () => world.redis.hset("{spillway}:held", { dueAtMs: "5" })],
    [
      "a time years ahead",
      () => world.redis.hset("{spillway}:held", { dueAtMs: "99999999999999", name: "y" }),
    ],
  ])(
    "if somebody wrote %s there, streams are drained, letters are held and tried, and the note is made anew",
    async (_, write) => {
      const ids = await push([BAD]);
      await tick();
      await world.redis.del("{spillway}:held");
      await write();
      ids.push(...(await push([...good(2), BAD])));
      await world.sql.query("update dead_letters set retry_at = now()");
      expect(await tick()).toMatchObject({ stored: 2, dead: 1, outcome: "empty" });
      expect(await letters()).toMatchObject(expect.arrayContaining([expect.objectContaining({ tries: 2 })]));
      expect(Number((await noteInRedis()).dueAtMs)).toBeLessThan(Date.now() + 3_600_000);
      expect((await noteInRedis()).name).toMatch(/^[0-9a-f-]{36}$/);
      await expectConserved(world, "checked", ids);
    },
  );

  test("a call that finds no letter while another one buries does not make it forgotten", async () => {
    const ids = await push([BAD]);
    const readNote = async () =>
      parseHeldNote(await world.redis.hmget("{spillway}:held", "dueAtMs", "name", "release"));
    const bury: typeof world.store.bury = async (...given) => {
      await world.heldNotes.settle((await readNote())!, undefined, "another call");
      await world.store.bury(...given);
    };
    expect(await tick({ store: { ...world.store, bury } })).toMatchObject({ held: 1 });
    expect(await readNote()).toMatchObject({ name: expect.any(String) });
    await expectConserved(world, "checked", ids);
  });

  test("while only a paused stream has held letters, the note stays and is looked at in an hour", async () => {
    const ids = await push([BAD]);
    await tick();
    await letPausesEnd(world);
    await drain({ ...supervisor, paused: new Set(["checked"]) }, {});
    const inMs = Number((await noteInRedis()).dueAtMs) - Date.now();
    expect([inMs > 3_500_000, inMs <= 3_600_000]).toEqual([true, true]);
    expect(await letters()).toMatchObject([{ held: true, tries: 1 }]);
    await expectConserved(world, "checked", ids);
  });

  test("a list that empties while busy partitions are looked for is not taken for a note", async () => {
    const ids = await push(good(1));
    const client = connectRedis(world.config, 2000);
    const racing = Object.create(client, {
      exists: { value: async (...keys: string[]) => 1 + (await client.exists(...keys)) },
    }) as typeof client;
    const { busy, held } = await createBuffer(racing).findWork(["checked"]);
    expect([busy, held]).toEqual([[P], undefined]);
    await expectConserved(world, "checked", ids);
  });

  test("it names the earliest letter, and a full Redis takes it", async () => {
    await world.redis.hset("{spillway}:held", { dueAtMs: "5", name: "x" });
    await world.redis.config("SET", "maxmemory", "1");
    try {
      await world.heldNotes.note();
    } finally {
      await world.redis.config("SET", "maxmemory", "0");
    }
    expect((await noteInRedis()).dueAtMs).toBe("5");
  });

  test("a call that dies before it buries leaves a note, which goes when Postgres has no letter", async () => {
    const ids = await push([BAD]);
    const store = {
      ...world.store,
      bury: () => Promise.reject(new TypeError("dies here")),
    };
    await tick({ store });
    expect(Object.keys(await noteInRedis())).toHaveLength(2);
    await expectConserved(world, "checked", ids);
    await world.redis.del("{spillway}:checked:claimed:0", "{spillway}:checked:claim:0");
    await tickAfterPause();
    expect(await noteInRedis()).toEqual({});
  });

  test("while nothing is held, a tick is one command and asks nothing of Postgres; with a letter that is not due, nothing of Postgres", async () => {
    let statements = 0;
    world.neon.setFault(() => {
      statements += 1;
      return undefined;
    });
    const commands = async () => {
      const before = Number(/total_commands_processed:(\d+)/.exec(await world.redis.info("stats"))?.[1]);
      await drain(supervisor, {});
      const after = Number(/total_commands_processed:(\d+)/.exec(await world.redis.info("stats"))?.[1]);
      return after - before - 1; // the INFO before
    };
    expect([await commands(), statements]).toEqual([1, 0]);
    const ids = await push([BAD]);
    await tick();
    statements = 0;
    expect(await commands()).toBeLessThanOrEqual(4);
    expect(statements).toBe(0);
    await expectConserved(world, "checked", ids);
  });
});

describe("a sender that waits", () => {
  const stored = { query: "?ack=stored" };

  test("a lone event that its table refuses: 503 with its id, and the event is held", async () => {
    const { status, body } = await ingest.post("checked", BAD, stored);
    expect([status, body.ids]).toEqual([503, [expect.any(String)]]);
    expect(await letters()).toMatchObject([{ id: body.ids[0], held: true }]);
    expect(await ingest.where("checked", body.ids[0])).toMatchObject({ status: 404 });
    await expectConserved(world, "checked", body.ids);
  });

  test("beside one that is stored it is 422's item, and not held", async () => {
    const { status, body } = await ingest.post("checked", [{ n: 1 }, BAD], stored);
    expect([status, body.accepted, body.rejected.length]).toEqual([201, 1, 1]);
    expect(await letters()).toEqual([]);
    await expectConserved(world, "checked", body.ids);
  });

  test("sent again after it was proven to be at fault, it is 422", async () => {
    const first = await ingest.post("checked", BAD, stored);
    const [landed] = await push(good(1));
    await halfAnHourPasses();
    for (let refusals = 2; refusals <= 6; refusals++) await tickAfterPause();
    const again = await ingest.post("checked", { ...BAD, id: first.body.ids[0] }, stored);
    expect(again.status).toBe(422);
    await expectConserved(world, "checked", [...first.body.ids, landed!]);
  });

  test("while Redis is away nothing is held, because nobody would try it again", async () => {
    world.upstash.setFault(() => ({ kind: "refuse" }));
    const { status } = await ingest.post("checked", BAD, stored);
    world.upstash.setFault(undefined);
    expect([status, await letters()]).toEqual([503, []]);
    expect(events()).toContain("event.not-held");
    await expectConserved(world, "checked", []);
  });

  test("a foreign key without its row: 422 beside a witness, but not while something is buffered that may bring the row", async () => {
    await world.sql.query(`create table parents (n integer primary key); insert into parents values (1);
      alter table checked add constraint parent foreign key (n) references parents`);
    try {
      const one = await ingest.post("checked", [{ n: 1 }, { n: 4 }], stored);
      expect([one.status, one.body.rejected.length]).toEqual([201, 1]);
      const other = envelopeOf({ type: "t", payload: 1 });
      await world.buffer.push({ stream: "events", index: 0 }, [other.envelope]);
      const two = await ingest.post("checked", [{ n: 1 }, { n: 4 }], stored);
      expect(two.status).toBe(503);
      await expectConserved(world, "checked", [...one.body.ids, ...two.body.ids]);
    } finally {
      await world.sql.query("alter table checked drop constraint parent; drop table parents");
    }
  });

  test("an event that was held and is stored by its sender's next try is no letter any more", async () => {
    const id = newId();
    await withTrigger("insert into nowhere values (1); return new;", async () => {
      expect(await ingest.post("checked", { n: 1, id }, stored)).toMatchObject({ status: 503 });
    });
    expect(await ingest.post("checked", { n: 1, id }, stored)).toMatchObject({ status: 201 });
    await tickAfterPause();
    expect(await letters()).toEqual([]);
    await expectConserved(world, "checked", [id]);
  });
});
