/**
 * Real tables that refuse some rows: every good event is stored in the same call, and a bad one is dead if its neighbours witness
 * against it, or held. Nothing here is a bridge's answer: Postgres itself refuses.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { newId } from "../../lib/schema/event-ids.ts";
import { openRealDatabase, type RealDatabase, STORED } from "./real-database.ts";
import { envelopeOf, expectConserved, good, whereabouts } from "./test-stack.ts";

let db: RealDatabase;
beforeAll(async () => {
  db = await openRealDatabase("real_rows");
});
beforeEach(() => db.reset());
afterAll(() => db.close());

/** A table that refuses some rows. */
interface Fault {
  name: string;
  spoil: string;
  mend: string;
  bad: object;
  /** What becomes of a bad event beside good ones. */
  end: "dead" | "held";
  sqlstate: string | null;
  /** What its sender hears if good ones are stored beside it. Absent: that it is rejected if it would be dead. */
  isRejected?: boolean;
}

const trigger = (body: string, when = "before insert") =>
  `create function faulty() returns trigger language plpgsql as $$ begin ${body} end $$;
   create trigger faulty ${when} on checked for each row execute function faulty();`;
const NO_TRIGGER = "drop trigger faulty on checked; drop function faulty();";
/** A row that was there before. */
const OTHER = "00000000-0000-0000-0000-000000000000";
const BAD = { n: 500, note: "bad" };
const post = (events: unknown) => db.ingest.post("checked", events, STORED);
const whenBad = (what: string) => `if new.note = 'bad' then ${what} end if; return new;`;

const faults: Fault[] = [
  {
    name: "its column became smaller",
    spoil: "alter table checked alter n type smallint",
    mend: "alter table checked alter n type integer",
    ...{ bad: { n: 70_000 }, end: "dead", sqlstate: "22003" },
  },
  {
    name: "its column became shorter",
    spoil: "alter table checked alter note type varchar(5)",
    mend: "alter table checked alter note type text",
    ...{ bad: { n: 1, note: "longer than five" }, end: "dead", sqlstate: "22001" },
  },
  {
    name: "a column became NOT NULL, and it has none",
    spoil:
      "update checked set note = ''; alter table checked alter note set default '', alter note set not null",
    mend: "alter table checked alter note drop not null, alter note drop default",
    ...{ bad: { n: 1 }, end: "held", sqlstate: "23502" },
  },
  {
    name: "another row has its value of a unique column",
    spoil: `insert into checked (id, received_at, n, note) values ('${OTHER}', now(), 1, 'bad');
      create unique index one_note on checked (note)`,
    mend: `drop index one_note; delete from checked where id = '${OTHER}'`,
    ...{ bad: BAD, end: "dead", sqlstate: "23505" },
  },
  {
    name: "it overlaps another row (an exclusion constraint)",
    spoil: `insert into checked (id, received_at, n, note) values ('${OTHER}', now(), 500, 'bad');
      alter table checked add constraint apart exclude using gist (int4range(n, n + 2) with &&) where (n >= 500)`,
    mend: `alter table checked drop constraint apart;
      delete from checked where id = '${OTHER}'`,
    ...{ bad: { n: 501 }, end: "dead", sqlstate: "23P01" },
  },
  {
    name: "a check divides by it",
    spoil: "alter table checked add constraint ratio check (1000 / (n - 500) < 2000)",
    mend: "alter table checked drop constraint ratio",
    ...{ bad: BAD, end: "dead", sqlstate: "22012" },
  },
  {
    name: "a generated column can't be computed from it",
    spoil: "alter table checked add column ratio integer generated always as (1000 / (n - 500)) stored",
    mend: "alter table checked drop column ratio",
    ...{ bad: BAD, end: "dead", sqlstate: "22012" },
  },
  {
    name: "an index on an expression can't be computed from it",
    spoil: "create index ratio on checked ((1000 / (n - 500)))",
    mend: "drop index ratio",
    ...{ bad: BAD, end: "dead", sqlstate: "22012" },
  },
  {
    name: "a policy forbids it",
    spoil: `alter table checked enable row level security; create policy seen on checked for select using (true);
      create policy small on checked for insert with check (n < 400)`,
    mend: "drop policy seen on checked; drop policy small on checked; alter table checked disable row level security",
    ...{ bad: BAD, end: "dead", sqlstate: "42501" },
  },
  {
    name: "a policy hides it",
    spoil: `alter table checked enable row level security; create policy seen on checked for select using (n < 400);
      create policy every on checked for insert with check (true)`,
    mend: "drop policy seen on checked; drop policy every on checked; alter table checked disable row level security",
    ...{ bad: BAD, end: "dead", sqlstate: "42501" },
  },
  {
    name: "a constraint trigger raises for it at COMMIT",
    spoil: `create function faulty() returns trigger language plpgsql as $$ begin if new.note = 'bad' then raise 'no'; end if; return null; end $$;
      create constraint trigger faulty after insert on checked deferrable initially deferred for each row execute function faulty()`,
    mend: NO_TRIGGER,
    ...{ bad: BAD, end: "dead", sqlstate: "P0001" },
  },
  {
    name: "a foreign key that is checked at COMMIT has no row for it",
    spoil: `create table parents (n integer primary key); insert into parents select generate_series(1, 100);
      grant select on parents to public;
      alter table checked add constraint parent foreign key (n) references parents deferrable initially deferred`,
    mend: "alter table checked drop constraint parent; drop table parents",
    // The buffer is empty, so nothing comes that may bring its row.
    ...{ bad: BAD, end: "held", sqlstate: "23503", isRejected: true },
  },
  {
    name: "its trigger calls itself for ever",
    spoil: `create function deep(n bigint) returns bigint language plpgsql as $$ begin return deep(n + 1); end $$;
      ${trigger(whenBad("perform deep(1);"))}`,
    mend: `${NO_TRIGGER} drop function deep`,
    ...{ bad: BAD, end: "dead", sqlstate: "54001" },
  },
  {
    name: "its trigger asks for more memory than a value may have",
    spoil: trigger(whenBad("perform length(repeat('x', 1073741824));")),
    mend: NO_TRIGGER,
    ...{ bad: BAD, end: "dead", sqlstate: "54000" },
  },
  {
    name: "its trigger calls a function that is missing",
    spoil: trigger(whenBad("perform missing(new.note);")),
    mend: NO_TRIGGER,
    ...{ bad: BAD, end: "held", sqlstate: "42883" },
  },
  {
    name: "its trigger names a text search configuration that is missing",
    spoil: trigger(whenBad("perform to_tsvector('klingon', new.note);")),
    mend: NO_TRIGGER,
    ...{ bad: BAD, end: "held", sqlstate: "42704" },
  },
  {
    name: "its trigger writes it into another table that refuses it",
    spoil: `create table audit (n integer constraint small check (n < 400)); grant insert on audit to public;
      ${trigger("insert into audit values (new.n); return null;", "after insert")}`,
    mend: `${NO_TRIGGER} drop table audit`,
    ...{ bad: BAD, end: "dead", sqlstate: "23514" },
  },
  {
    name: "its trigger leaves a column of another table NULL that has the name of one of the stream's",
    spoil: `create table audit (n integer not null); grant insert on audit to public;
      ${trigger("insert into audit values (nullif(new.n, 500)); return null;", "after insert")}`,
    mend: `${NO_TRIGGER} drop table audit`,
    ...{ bad: BAD, end: "held", sqlstate: "23502" },
  },
  {
    name: "its trigger asks for a sequence's value that the session has not",
    spoil: trigger(whenBad("perform lastval();")),
    mend: NO_TRIGGER,
    ...{ bad: BAD, end: "held", sqlstate: "55000" },
  },
  {
    name: "its trigger swallows it",
    spoil: trigger("if new.note = 'bad' then return null; end if; return new;"),
    mend: NO_TRIGGER,
    ...{ bad: BAD, end: "held", sqlstate: null },
  },
];

describe("some rows are refused", () => {
  test.each(faults)("$name: the good ones are stored, it is $end", async (fault) => {
    const { spoil, mend, bad, end, sqlstate, isRejected = end === "dead" } = fault;
    const ids: string[] = [];
    const fine = (count: number, mark: string) => good(count).map(({ n }) => ({ n, note: `${mark}${n}` }));
    await db.during(spoil, mend, async () => {
      ids.push(...(await db.push([...fine(10, "a"), bad, ...fine(9, "b")])));
      expect(await db.tick()).toMatchObject({ stored: 19, [end]: 1, outcome: "empty" });
      expect((await db.world.sql.query("select id, sqlstate from dead_letters")).rows).toEqual([
        { id: ids[10], sqlstate },
      ]);

      const beside = await post([...fine(3, "c"), bad]);
      expect([beside.status, beside.body.rejected?.length]).toEqual(isRejected ? [201, 1] : [503, undefined]);
      ids.push(...beside.body.ids);
      const alone = await post(bad);
      expect([alone.status, alone.body.ids.length]).toEqual([503, 1]);
      ids.push(...alone.body.ids);
      await db.world.sql.query("delete from checked where id = $1", [OTHER]);
      await expectConserved(db.world, "checked", ids);
    });
    await db.restart(); // connections of before may have cached the plan of a trigger on the old types
    const dead = end === "dead" ? [ids[10]] : [];
    expect(await db.tickAfterPause()).toMatchObject({ dead: 0, outcome: "empty" });
    const there = await whereabouts(db.world, "checked");
    expect([there.stored.sort(), there.dead]).toEqual([ids.filter((id) => !dead.includes(id)).sort(), dead]);
    await expectConserved(db.world, "checked", ids);
  });

  test("a lead whose e-mail address another lead has is no duplicate: neither 201 nor lost", async () => {
    await db.during("create unique index one_email on leads (email)", "drop index one_email", async () => {
      const lead = (email: string, id = newId()) => ({ id, name: "n", source: "s", email });
      const first = await db.ingest.post("leads", lead("a@example.com"));
      expect(first.status).toBe(201);
      const taken = lead("a@example.com");
      const second = await db.ingest.post("leads", taken);
      expect([second.status, second.body.ids]).toEqual([503, [taken.id]]);
      const third = await db.ingest.post("leads", [lead("b@example.com"), lead("a@example.com")]);
      expect([third.status, third.body.accepted, third.body.rejected.length]).toEqual([201, 1, 1]);
      expect((await whereabouts(db.world, "leads")).held).toEqual([taken.id]);
      await expectConserved(db.world, "leads", [...first.body.ids, taken.id, ...third.body.ids]);
    });
  });

  test.each([
    [
      "no right on dead_letters",
      "revoke all on dead_letters from real_rows_role",
      "grant all on dead_letters to real_rows_role",
    ],
    [
      "no table dead_letters",
      "alter table dead_letters rename to letters",
      "alter table letters rename to dead_letters",
    ],
  ])(
    "%s: the good ones are stored, and the batch waits in its place until letters can be written",
    async (_, spoil, mend) => {
      const ids = await db.push([...good(10), { n: -1 }]);
      let sent: string[] = [];
      await db.during(spoil, mend, async () => {
        expect(await db.tick()).toMatchObject({ stored: 10, dead: 0, held: 0, outcome: "misconfigured" });
        expect(await db.tick()).toMatchObject({ duplicates: 10, dead: 0, held: 0, outcome: "misconfigured" });
        const alone = await post({ n: -1 });
        expect(alone.status).toBe(503);
        sent = alone.body.ids;
      });
      await expectConserved(db.world, "checked", ids);
      expect(await db.tickAfterPause()).toMatchObject({ duplicates: 10, dead: 0, held: 1, outcome: "empty" });
      expect((await post({ n: -1, id: sent[0] })).status).toBe(503);
      await expectConserved(db.world, "checked", [...ids, ...sent]);
    },
  );

  test("two events of one batch that want the same unique value: the first is stored, the second is dead", async () => {
    await db.during("create unique index one_note on checked (note)", "drop index one_note", async () => {
      const ids = await db.push([
        { n: 1, note: "same" },
        { n: 2, note: "same" },
        { n: 3, note: "other" },
      ]);
      expect(await db.tick()).toMatchObject({ stored: 2, duplicates: 0, dead: 1, outcome: "empty" });
      expect((await whereabouts(db.world, "checked")).dead).toEqual([ids[1]]);
      await expectConserved(db.world, "checked", ids);
    });
  });

  test("an event that is stored already is a duplicate, though a unique value of it is taken by itself", async () => {
    await db.during("create unique index one_note on checked (note)", "drop index one_note", async () => {
      const { id, envelope } = envelopeOf({ n: 1, note: "mine" });
      for (let times = 0; times < 2; times++) {
        await db.world.buffer.push({ stream: "checked", index: 0 }, [envelope]);
        expect(await db.tick()).toMatchObject({ duplicates: times, dead: 0, held: 0 });
      }
      const again = await post({ id, n: 1, note: "mine" });
      expect([again.status, again.body.ids]).toEqual([201, [id]]);
      await expectConserved(db.world, "checked", [id]);
    });
  });
});
