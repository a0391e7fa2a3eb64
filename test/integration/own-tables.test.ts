/** Tables that somebody had before: a serial id beside the event's, a text key in another schema, ids as text. Nothing is lost, by key. */
import { integer, pgSchema, pgTable, serial, text, timestamp, uuid } from "drizzle-orm/pg-core";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { drain } from "../../lib/drain/drain.ts";
import { newId } from "../../lib/schema/event-ids.ts";
import { rowOf } from "../../lib/schema/json-row.ts";
import { registryOf } from "../../lib/schema/registry.ts";
import { defineStream, timestampText } from "../../lib/schema/stream.ts";
import { connect } from "../../lib/store/database.ts";
import { createDeadLetterStore } from "../../lib/store/dead-letter-store.ts";
import { type Ingest, serveIngest } from "./test-ingest.ts";
import { letPausesEnd, openWorld, type World } from "./test-stack.ts";

const invoices = defineStream({
  name: "invoices",
  table: pgSchema("billing").table("invoice", {
    no: serial("id").primaryKey(),
    id: uuid("event_id").notNull().unique(),
    customer: text("customer_name").notNull(),
    cents: integer("amount").notNull(),
  }),
  existing: true,
  schema: z.strictObject({ customer: z.string().min(1), cents: z.int() }),
});
const shipments = defineStream({
  name: "shipments",
  table: pgSchema("shop").table("shipments", {
    trackingCode: text("code").primaryKey(),
    shippedAt: timestamp("shipped_at", { withTimezone: true, mode: "string" }).notNull(),
  }),
  existing: true,
  schema: z.strictObject({ trackingCode: z.string().min(1).max(64), shippedAt: timestampText() }),
  key: ["trackingCode"],
});
const notes = defineStream({
  name: "notes",
  table: pgTable("old notes", { id: text("key").primaryKey(), body: text("the body").notNull() }),
  existing: true,
  schema: z.strictObject({ body: z.string() }),
});

let world: World;
let ingest: Ingest;
beforeAll(async () => {
  world = await openWorld({}, registryOf([invoices, shipments, notes]));
  await world.sql.query(`
    drop schema if exists billing cascade; drop schema if exists shop cascade; drop table if exists "old notes";
    create schema billing;
    create table billing.invoice (id serial primary key, event_id uuid not null unique,
      customer_name text not null, amount integer not null check (amount <> 13));
    create schema shop;
    create table shop.shipments (code text primary key, shipped_at timestamptz not null check (extract(year from shipped_at) < 2100));
    create table "old notes" (key text primary key, "the body" text not null check ("the body" <> 'bad'));`);
  ingest = await serveIngest(world);
});
beforeEach(() => world.reset());
afterAll(async () => {
  await world.sql.query('drop schema billing cascade; drop schema shop cascade; drop table "old notes"');
  await ingest.close();
  await world.close();
});

const tick = async (stream: string) => (await drain(world.supervisor(), { stream })).streams[0];
const rowsOf = async (query: string) => (await world.sql.query(query)).rows;
const lettersOf = async (stream: string) =>
  (await rowsOf(`select id, key, retry_at is null as dead from dead_letters where stream = '${stream}'`)) as {
    id: string;
    key: string | null;
    dead: boolean;
  }[];

/** What each table has to keep: how an event of it is found again, and one that its CHECK refuses. */
const cases = [
  {
    stream: "invoices",
    event: (i: number) => ({ customer: `c${i}`, cents: i === 13 ? 14 : i }),
    bad: { customer: "bad", cents: 13 },
    stored: "select customer_name as mark from billing.invoice",
    markOf: (i: number) => `c${i}`,
    hasKey: false,
  },
  {
    stream: "shipments",
    event: (i: number) => ({ trackingCode: `t${i}`, shippedAt: "2026-01-01T00:00:00Z" }),
    bad: { trackingCode: "bad", shippedAt: "2200-01-01T00:00:00Z" },
    stored: "select code as mark from shop.shipments",
    markOf: (i: number) => `t${i}`,
    hasKey: true,
  },
  {
    stream: "notes",
    event: (i: number) => ({ body: `n${i}` }),
    bad: { body: "bad" },
    stored: 'select "the body" as mark from "old notes"',
    markOf: (i: number) => `n${i}`,
    hasKey: false,
  },
] as const;

describe.each(cases)("the table of $stream", ({ stream, event, bad, stored, markOf, hasKey }) => {
  const marks = async () => (await rowsOf(stored)).map(({ mark }) => mark as string).sort();
  const made = (count: number) => Array.from({ length: count }, (_, i) => ({ id: newId(), ...event(i) }));
  const marksOf = (count: number) => Array.from({ length: count }, (_, i) => markOf(i)).sort();

  test("takes each event once, however often it comes, by every way", async () => {
    const sent = made(250);
    await ingest.post(stream, sent);
    expect(await tick(stream)).toMatchObject({ stored: 250, duplicates: 0, outcome: "empty" });
    await ingest.post(stream, sent.slice(0, 100));
    expect(await tick(stream)).toMatchObject({ stored: 0, duplicates: 100, differing: 0 });
    const again = await ingest.post(stream, [...sent.slice(0, 2), ...made(252).slice(250)], {
      query: "?ack=stored",
    });
    expect([again.status, again.body.duplicates]).toEqual([201, sent.slice(0, 2).map(({ id }) => id)]);
    expect(await marks()).toEqual(marksOf(252));
  });

  test("a lost reply loses nothing and doubles nothing", async () => {
    const sent = made(120);
    await ingest.post(stream, sent);
    let faults = 0;
    world.neon.setFault(() => (++faults % 3 === 1 && faults < 10 ? { kind: "cut-after" } : undefined));
    for (let calls = 0; calls < 12; calls++) await tick(stream);
    world.neon.setFault(undefined);
    await tick(stream);
    expect(await marks()).toEqual(marksOf(120));
    expect(await lettersOf(stream)).toEqual([]);
  });

  test("a bad event is dead beside good ones, and a redrive after the mend stores it", async () => {
    const worse = { id: newId(), ...bad };
    await ingest.post(stream, [...made(5), worse]);
    expect(await tick(stream)).toMatchObject({ stored: 5, dead: 1, held: 0 });
    const letters = await lettersOf(stream);
    expect(letters).toEqual([
      { id: worse.id, key: hasKey ? JSON.stringify({ trackingCode: "bad" }) : null, dead: true },
    ]);
    const found = await ingest.where(stream, worse.id);
    expect([found.status, found.body.status]).toEqual([200, "dead"]);
    const answer = await ingest.post(
      stream,
      [
        { ...worse, id: newId() },
        { id: newId(), ...event(7) },
      ],
      {
        query: "?ack=stored",
      },
    );
    expect([answer.status, answer.body.rejected.length]).toEqual([201, 1]);
  });

  test("an event that is refused alone is held, and stored by itself once the table takes it", async () => {
    const only = { id: newId(), ...bad };
    await ingest.post(stream, [only]);
    expect(await tick(stream)).toMatchObject({ held: 1, dead: 0 });
    const live = createDeadLetterStore(
      connect(world.config.databaseUrl, 2000, world.config.neonHttpUrl),
      world.streams,
      2000,
    );
    const filter = {
      ...{ streams: [stream], sqlstates: [], ids: [], since: undefined, until: undefined, isAll: false },
    };
    expect(await live.count(filter, undefined)).toMatchObject({ letters: 1, live: 1 });
    const constraints = await rowsOf(
      `select conrelid::regclass::text as table, quote_ident(conname) as name from pg_constraint
       where contype = 'c' and conrelid in ('billing.invoice'::regclass, 'shop.shipments'::regclass, '"old notes"'::regclass)`,
    );
    const definitions = await rowsOf(
      `select conrelid::regclass::text as table, quote_ident(conname) as name, pg_get_constraintdef(oid) as text from pg_constraint
       where contype = 'c' and conrelid in ('billing.invoice'::regclass, 'shop.shipments'::regclass, '"old notes"'::regclass)`,
    );
    for (const one of constraints)
      await world.sql.query(`alter table ${one.table} drop constraint ${one.name}`);
    try {
      await letPausesEnd(world);
      await tick(stream);
      expect(await lettersOf(stream)).toEqual([]);
      expect(await marks()).toEqual([Object.values(bad)[0]]);
    } finally {
      await world.reset();
      for (const one of definitions)
        await world.sql.query(`alter table ${one.table} add constraint ${one.name} ${one.text}`);
    }
  });

  test("GET finds what is stored by its id, or says that the stream keeps none", async () => {
    const [one] = made(1);
    await ingest.post(stream, one, { query: "?ack=stored" });
    const { status, body } = await ingest.where(stream, one?.id ?? "");
    if (hasKey) expect([status, body.detail]).toEqual([404, expect.stringMatching(/keeps no ids/)]);
    else expect([status, body.status]).toEqual([200, "stored"]);
  });
});

test("of two events with one key the first is kept, whatever their ids and whichever way they come", async () => {
  const [first, second] = ["2026-01-01T00:00:00Z", "2026-02-02T00:00:00Z"].map((shippedAt) => ({
    ...{ id: newId(), trackingCode: "same", shippedAt },
  }));
  await ingest.post("shipments", first);
  await tick("shipments");
  await ingest.post("shipments", second);
  expect(await tick("shipments")).toMatchObject({ stored: 0, duplicates: 1, differing: 1 });
  const answer = await ingest.post("shipments", second, { query: "?ack=stored" });
  expect([answer.status, answer.body.duplicates]).toEqual([201, [second?.id]]);
  expect(await rowsOf("select shipped_at from shop.shipments")).toEqual([
    { shipped_at: new Date("2026-01-01") },
  ]);
});

test("a letter whose key was stored meanwhile needs nobody's attention", async () => {
  await world.sql.query("alter table shop.shipments add constraint none check (code <> 'late') not valid");
  await ingest.post("shipments", [
    { trackingCode: "late", shippedAt: "2026-01-01T00:00:00Z" },
    { trackingCode: "other", shippedAt: "2026-01-01T00:00:00Z" },
  ]);
  await tick("shipments");
  await world.sql.query("alter table shop.shipments drop constraint none");
  expect(await world.store.countLetters(shipments)).toMatchObject({ dead: 1 });
  await world.sql.query("insert into shop.shipments values ('late', now())");
  expect(await world.store.countLetters(shipments)).toMatchObject({ dead: 0 });
});

test("inserts that share keys in opposite orders don't wait for each other", async () => {
  const rowFor = (i: number) => {
    const data = { trackingCode: `t${i}`, shippedAt: "2026-01-01T00:00:00Z" };
    const row = rowOf(shipments, {
      ...{ v: 1, id: newId(), receivedAt: new Date().toISOString() },
      dataJson: JSON.stringify(data),
    });
    return "reason" in row ? expect.fail(row.reason) : row;
  };
  const codes = Array.from({ length: 20 }, (_, i) => i);
  await world.store.insert(shipments, [rowFor(-1)]); // the key check of this store is done by now
  await world.sql.query(
    `create function slow() returns trigger language plpgsql as $$ begin perform pg_sleep(0.01); return new; end $$;
     create trigger slow before insert on shop.shipments for each row execute function slow()`,
  );
  try {
    const inserts = [codes, codes.toReversed(), codes, codes.toReversed()].map((order) =>
      world.store.insert(shipments, order.map(rowFor)),
    );
    const counts = (await Promise.all(inserts)).map(({ count }) => count);
    expect(counts.reduce((a, b) => a + b, 0)).toBe(20);
  } finally {
    await world.sql.query("drop trigger slow on shop.shipments; drop function slow()");
  }
});
