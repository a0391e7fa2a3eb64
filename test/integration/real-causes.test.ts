/** Codes of the server's class, and other answers that look like the table's, which one row causes; and the reverse. */
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { openRealDatabase, type RealDatabase, STORED } from "./real-database.ts";
import { envelopeOf, expectConserved, good, whereabouts } from "./test-stack.ts";

let db: RealDatabase;
beforeAll(async () => {
  db = await openRealDatabase("causes");
});
beforeEach(() => db.reset());
afterAll(() => db.close());

const trigger = (body: string, when = "before insert") =>
  `create function faulty() returns trigger language plpgsql as $$ begin ${body} end $$;
   create trigger faulty ${when} on checked for each row execute function faulty();`;
const NO_TRIGGER = "drop trigger faulty on checked; drop function faulty();";
const BAD = { n: 500, note: "bad" };

test("XX000 for one row: the others are stored, it is held", async () => {
  const body = "if new.note = 'bad' then perform pg_catalog.array_in('{1}', 0, -1); end if; return new;";
  await db.during(trigger(body), NO_TRIGGER, async () => {
    const ids = await db.push([...good(10), BAD]);
    expect(await db.tick()).toMatchObject({ stored: 10, held: 1, dead: 0 });
    ids.push(...(await db.push([BAD])));
    expect(await db.tick()).toMatchObject({ stored: 0, held: 1, dead: 0 });
    await expectConserved(db.world, "checked", ids);
  });
});

test("53400 for one row (its trigger sorts more than temp_file_limit): the others are stored, it is held", async () => {
  const body = `if new.note = 'bad' then perform count(*) from
    (select g, repeat('x', 200) from generate_series(1, 400000) g order by 2, 1 desc) s; end if; return new;`;
  await db.during(
    `alter role ${db.role} set work_mem = '64kB'; alter role ${db.role} set temp_file_limit = '1MB'; ${trigger(body)}`,
    `${NO_TRIGGER} alter role ${db.role} reset all`,
    async () => {
      const ids = await db.push([...good(10), BAD]);
      expect(await db.tick()).toMatchObject({ stored: 10, held: 1, dead: 0 });
      ids.push(...(await db.push([BAD])));
      expect(await db.tick()).toMatchObject({ stored: 0, held: 1, dead: 0 });
      await expectConserved(db.world, "checked", ids);
    },
  );
});

test("today's partition is missing while late events of yesterday are stored: today's good events never die", async () => {
  const columns = `id uuid primary key, received_at timestamptz not null, stored_at timestamptz not null default now(), n integer not null, note text`;
  await db.during(
    `alter table checked rename to plain; create table checked (${columns}) partition by range (id);
    create table checked_old partition of checked for values from (minvalue) to ('01000000-0000-0000-0000-000000000000');
    grant select, insert on checked to public`,
    "drop table checked; alter table plain rename to checked",
    async () => {
      const today = await db.push(good(10));
      await db.tick();
      await db.world.sql.query("update dead_letters set died_at = died_at - interval '2 hours'");
      for (let i = 0; i < 6; i++) {
        const late = envelopeOf({ n: 1 }, { id: `00000000-0000-7000-8000-00000000000${i}` });
        await db.world.buffer.push({ stream: "checked", index: 0 }, [late.envelope]);
        await db.tickAfterPause();
      }
      const { dead, held } = await whereabouts(db.world, "checked");
      expect([dead, held.length]).toEqual([[], today.length]);
    },
  );
});

test("a trigger that changes the id of some rows: never 201 for an id that is not there", async () => {
  await db.during(
    trigger("if new.note = 'bad' then new.id := gen_random_uuid(); end if; return new;"),
    NO_TRIGGER,
    async () => {
      const { status, body } = await db.ingest.post("checked", [...good(1), BAD], STORED);
      const { stored } = await whereabouts(db.world, "checked");
      expect([status, body.ids.every((id: string) => stored.includes(id))]).not.toEqual([201, false]);
    },
  );
});

test("a server behind Postgres that is away (08001 from a living backend): that row is held, the others are stored; every row: held, never dead", async () => {
  const remote = `create extension postgres_fdw; create server away foreign data wrapper postgres_fdw options (host '127.0.0.1', port '1');
    create user mapping for public server away options (user 'x', password 'x');
    create foreign table remote (n integer) server away; grant all on remote to public;`;
  const gone = `${NO_TRIGGER} drop extension postgres_fdw cascade`;
  const body = (which: string) => `if ${which} then insert into remote values (1); end if; return new;`;
  const ids: string[] = [];
  await db.during(`${remote} ${trigger(body("new.note = 'bad'"))}`, gone, async () => {
    ids.push(...(await db.push([...good(10), BAD])));
    expect(await db.tick()).toMatchObject({ stored: 10, held: 1, dead: 0 });
  });
  await db.during(`${remote} ${trigger(body("true"))}`, gone, async () => {
    ids.push(...(await db.push(good(5))));
    expect(await db.tick()).toMatchObject({ stored: 0, held: 5, dead: 0, outcome: "misconfigured" });
    await db.world.sql.query("update dead_letters set died_at = died_at - interval '2 hours'");
    for (let calls = 0; calls < 8; calls++) await db.tickAfterPause();
    expect((await whereabouts(db.world, "checked")).dead).toEqual([]);
  });
  await expectConserved(db.world, "checked", ids);
});

test("a file that is missing (58P01) for one row: the others are stored, it is held", async () => {
  const body = "if new.note = 'bad' then perform pg_read_file('/nonexistent/x'); end if; return new;";
  const right = `grant pg_read_server_files to ${db.role}; grant execute on function pg_read_file(text) to public`;
  await db.during(
    `${trigger(body)} ${right}`,
    `${NO_TRIGGER} revoke execute on function pg_read_file(text) from public; revoke pg_read_server_files from ${db.role}`,
    async () => {
      const ids = await db.push([...good(10), BAD]);
      expect(await db.tick()).toMatchObject({ stored: 10, held: 1, dead: 0 });
      await expectConserved(db.world, "checked", ids);
    },
  );
});
