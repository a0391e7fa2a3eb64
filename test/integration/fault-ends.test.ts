/** A table is at fault for a while: when the fault ends between two rows, what is stored after it is no witness of what came before. */
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { drain } from "../../lib/drain/drain.ts";
import { expectConserved, letPausesEnd, openWorld, pushEvents, type World } from "./test-stack.ts";

let world: World;
/** Another session, which holds what a trigger waits for. */
let holder: pg.Client;
beforeAll(async () => {
  world = await openWorld();
  holder = new pg.Client({ connectionString: world.config.databaseUrl });
  await holder.connect();
});
beforeEach(() => world.reset());
afterAll(async () => {
  await holder.end();
  await world.close();
});

const P = { stream: "checked", index: 0 };

const push = (events: readonly object[]) => pushEvents(world, P, events);
const letters = async () =>
  (await world.sql.query("select retry_at is not null as held from dead_letters")).rows;

/** Polls until `sql` finds a row. */
async function untilFound(sql: string): Promise<void> {
  while ((await holder.query(sql)).rows.length === 0) await sleep(5);
}

const REFUSES_ALL = "raise exception 'no' using errcode = '42501';";
const create = (body: string) => `
  create or replace function fault() returns trigger language plpgsql as $$ begin ${body} end $$;
  create or replace trigger fault before insert on checked for each row execute function fault()`;
const DROP = "drop trigger if exists fault on checked; drop function if exists fault()";

test("a table that is mended while its rows are told apart: none of them is dead", async () => {
  // The first row of the block waits (but not that of a trial), so that the mending statement queues behind it.
  await world.sql.query(
    create(
      `if current_query() like 'do %' and current_query() not like '%SPW00%' then perform pg_advisory_xact_lock_shared(77); end if; ${REFUSES_ALL}`,
    ),
  );
  await holder.query("select pg_advisory_lock(77)");
  try {
    const ids = await push(Array.from({ length: 5 }, (_, i) => ({ n: i + 1 })));
    const draining = drain(world.supervisor(), { stream: "checked" });
    await untilFound("select 1 from pg_locks where locktype = 'advisory' and not granted");
    const mending = world.sql.query("drop trigger fault on checked");
    await untilFound("select 1 from pg_locks where locktype = 'relation' and not granted");
    await holder.query("select pg_advisory_unlock(77)");
    await Promise.all([draining, mending]);
    expect((await letters()).filter(({ held }) => !held)).toEqual([]);
    await expectConserved(world, "checked", ids);
  } finally {
    await holder.query("select pg_advisory_unlock_all()");
    await world.sql.query(DROP);
  }
});

test("a table that is at fault twice, and took rows in between: an event that met both faults is not dead", async () => {
  const supervisor = world.supervisor();
  const tick = () => drain(supervisor, { stream: "checked" });
  const good = [{ n: 1 }];
  try {
    await world.sql.query(create(REFUSES_ALL));
    const ids = await push([...good, ...good, ...good]);
    await tick();
    await world.sql.query("drop trigger fault on checked");
    ids.push(...(await push(good)));
    await tick();
    await world.sql.query(create(REFUSES_ALL));
    await letPausesEnd(world);
    await tick();
    expect(await letters()).toEqual([{ held: true }, { held: true }, { held: true }]);
    await expectConserved(world, "checked", ids);
  } finally {
    await world.sql.query(DROP);
  }
});

test("a table that is mended between two parts of a batch: none of the first part is dead", async () => {
  const store = world.storeWithin(2000);
  store.sizes.timedOut("checked", 6); // so that an insert has three rows
  const { buffer } = world;
  const mendFirst: typeof buffer.renew = async (...lease) => {
    await world.sql.query("drop trigger if exists fault on checked");
    return buffer.renew(...lease);
  };
  try {
    await world.sql.query(create(REFUSES_ALL));
    const ids = await push(Array.from({ length: 6 }, () => ({ n: 1 })));
    const supervisor = world.supervisor({ store, buffer: { ...buffer, renew: mendFirst } });
    const { streams } = await drain(supervisor, { stream: "checked" });
    expect(streams[0]).toMatchObject({ stored: 3, held: 3, dead: 0 });
    await expectConserved(world, "checked", ids);
  } finally {
    await world.sql.query(DROP);
  }
});

test.each([
  ["ends", "truncate maintenance", "insert into maintenance values (1)"],
  ["begins", "insert into maintenance values (1)", "truncate maintenance"],
])(
  "a fault outside of the table that %s between two rows of a block makes no good event dead",
  async (_, change, before) => {
    await world.sql.query("create table maintenance (n integer)");
    await world.sql.query(before);
    // The block is slow enough for the change to come in its middle; the insert before it is refused by the last row.
    await world.sql.query(
      create(`if current_query() like 'do %' and current_query() not like '%SPW00%' then perform pg_sleep(0.01); end if;
      if exists (select from maintenance) or new.note = 'bad' then raise exception 'maintenance'; end if; return new;`),
    );
    try {
      const ids = await push([...Array.from({ length: 60 }, () => ({ n: 1 })), { n: 1, note: "bad" }]);
      const draining = drain(world.supervisor(), { stream: "checked" });
      await untilFound(
        "select 1 from pg_stat_activity where query like 'do $spillway$%' and query not like '%SPW00%' and state = 'active'",
      );
      await sleep(200); // the middle of the block, more or less: whenever it is, nobody good may be dead
      await holder.query(change);
      await draining;
      const { rows } = await world.sql.query("select id from dead_letters where retry_at is null");
      expect(rows.filter(({ id }) => id !== ids[60])).toEqual([]);
      await expectConserved(world, "checked", ids);
    } finally {
      await world.sql.query(`${DROP}; drop table maintenance`);
    }
  },
);
