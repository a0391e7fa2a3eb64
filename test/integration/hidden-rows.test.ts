/** Tables that hide rows, swallow them or change them: each event is stored, superseded, held or dead, and counted as one of these. */
import { integer, pgSchema, text, timestamp, uuid } from "drizzle-orm/pg-core";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { z } from "zod";
import { drain } from "../../lib/drain/drain.ts";
import { newId } from "../../lib/schema/event-ids.ts";
import { registryOf } from "../../lib/schema/registry.ts";
import { defineStream } from "../../lib/schema/stream.ts";
import { type Ingest, serveIngest } from "./test-ingest.ts";
import { openWorld, type World } from "./test-stack.ts";

const columns = { id: uuid("id").notNull(), k: text("k").notNull(), n: integer("n").notNull() };
const declared = { existing: true, schema: z.strictObject({ k: z.string(), n: z.int32() }) } as const;
const streams = [
  defineStream({
    ...declared,
    name: "both",
    table: pgSchema("shown").table("both", columns),
    key: ["id", "k"],
  }),
  defineStream({
    ...{ ...declared, name: "stamped" },
    table: pgSchema("shown").table("stamped", { ...columns, storedAt: timestamp("at", { mode: "string" }) }),
    onConflict: { key: ["k"], newest: "n" },
  }),
  defineStream({
    ...{ ...declared, name: "latest", table: pgSchema("shown").table("latest", columns) },
    onConflict: { key: ["k"], newest: "n" },
  }),
];

let world: World;
let ingest: Ingest;
beforeAll(async () => {
  world = await openWorld({}, registryOf(streams));
});
/** Each test has tables, triggers and a process of its own. */
beforeEach(async () => {
  await world.sql.query(`
    drop schema if exists hidden, shown cascade; create schema hidden; create schema shown;
    create table shown.both (id uuid, k text, n integer not null, primary key (id, k));
    create table shown.stamped (id uuid not null, k text primary key, n integer not null,
      at timestamp default clock_timestamp());
    create table shown.latest (id uuid not null, k text primary key, n integer not null)`);
  await world.reset();
  await ingest?.close();
  ingest = await serveIngest(world);
});
afterAll(async () => {
  await world.sql.query("drop schema hidden, shown cascade");
  await ingest.close();
  await world.close();
});

const event = (k: string, n: number, id = newId()) => ({ id, k, n });
const tick = async (stream: string) =>
  (await drain(world.supervisor({ store: world.storeWithin(5000) }), { stream })).streams[0];
const rowsOf = async (query: string) => (await world.sql.query(query)).rows;
const triggered = (table: string, body: string) =>
  world.sql.query(`
    create function hidden.change() returns trigger language plpgsql as $$ begin ${body} end $$;
    create trigger change before insert on shown.${table} for each row execute function hidden.change()`);

test("two events under one id, with two keys, are two: both are stored after the table swallowed them", async () => {
  await world.sql.query("create table hidden.seen (k text primary key)");
  await triggered(
    "both",
    `insert into hidden.seen values (new.k) on conflict do nothing;
     if found then return null; end if; return new;`,
  );
  const id = newId();
  await ingest.post("both", [event("a", 1, id), event("b", 2, id)]);
  expect(await tick("both")).toMatchObject({ stored: 2, duplicates: 0, held: 0, dead: 0, outcome: "empty" });
  expect(await rowsOf("select k, n from shown.both order by k")).toEqual([
    { k: "a", n: 1 },
    { k: "b", n: 2 },
  ]);
});

test("a row that is written, and that a view hides, is stored once, and not tried again", async () => {
  await world.sql.query(`
    alter table shown.latest set schema hidden;
    create view shown.latest as select id, k, n from hidden.latest where n < 100`);
  await ingest.post("latest", [event("a", 1), event("b", 200)]);
  expect(await tick("latest")).toMatchObject({ stored: 2, duplicates: 0, held: 0, outcome: "empty" });
  await ingest.post("latest", [event("a", 2), event("a", 3), event("b", 201)]);
  const second = await tick("latest");
  expect(second).toMatchObject({ stored: 2, duplicates: 0, superseded: 1, held: 0, outcome: "empty" });
  expect(await rowsOf("select k, n from hidden.latest order by k")).toEqual([
    { k: "a", n: 3 },
    { k: "b", n: 201 },
  ]);
});

test.each([
  ["later", "new.n := new.n + 1000"],
  ["earlier", "new.n := new.n - 1"],
  ["another's", "new.id := gen_random_uuid()"],
])(
  "a trigger that makes an event's rank %s is said, and nothing is stored or set aside",
  async (_, change) => {
    await triggered("latest", `${change}; return new;`);
    await ingest.post("latest", [event("a", 1), event("b", 2)]);
    expect(await tick("latest")).toMatchObject({
      stored: 0,
      superseded: 0,
      held: 0,
      outcome: "misconfigured",
    });
    expect(world.said.find(({ event }) => event === "store.misconfigured")?.fields.reason).toMatch(
      /^a trigger of table shown.latest changes the keys of rows, or which of them is the newest/,
    );
    await world.sql.query("drop trigger change on shown.latest");
    expect(await tick("latest")).toMatchObject({ stored: 2, outcome: "empty" });
  },
);

test("a row that a trigger swallows after it wrote its key elsewhere is held, and not taken for stored", async () => {
  await world.sql.query("create table hidden.seen (k text primary key)");
  await triggered(
    "both",
    "insert into hidden.seen values (new.k); if new.n > 100 then return null; end if; return new;",
  );
  await ingest.post("both", [event("a", 200), event("b", 1)]);
  expect(await tick("both")).toMatchObject({ stored: 1, duplicates: 0, held: 1, dead: 0 });
  const answer = await ingest.post("both", [event("c", 201)], { query: "?ack=stored" });
  expect(answer.status).toBe(503);
});

test("a row that a view hides is there, whatever table of whatever name is behind", async () => {
  await world.sql.query(`
    alter table shown.both set schema hidden; alter table hidden.both rename to behind;
    create view hidden.between as select * from hidden.behind;
    create view shown.both as select * from hidden.between where n < 100`);
  const hidden = event("a", 200);
  await ingest.post("both", [hidden]);
  expect(await tick("both")).toMatchObject({ stored: 1 });
  await ingest.post("both", [hidden, event("b", 1)]);
  expect(await tick("both")).toMatchObject({ stored: 1, duplicates: 1, held: 0 });
  expect((await ingest.post("both", [hidden], { query: "?ack=stored" })).body.duplicates).toEqual([
    hidden.id,
  ]);
});

test("the time of storage that a table fills itself is the newest event's, too", async () => {
  await ingest.post("stamped", event("a", 1));
  expect(await tick("stamped")).toMatchObject({ stored: 1 });
  const [{ at: first }] = await rowsOf("select at from shown.stamped");
  await ingest.post("stamped", event("a", 2));
  expect(await tick("stamped")).toMatchObject({ stored: 1 });
  const [{ at: second, n }] = await rowsOf("select at, n from shown.stamped");
  expect(n).toBe(2);
  expect(second.getTime()).toBeGreaterThan(first.getTime());
});
