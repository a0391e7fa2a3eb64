/** Values of keys: those that their column can't read, and each type whose equality Postgres alone knows. */
import {
  boolean,
  char,
  customType,
  date,
  inet,
  integer,
  numeric,
  pgEnum,
  pgSchema,
  pgTable,
  text,
  timestamp,
  uuid,
  varchar,
} from "drizzle-orm/pg-core";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { drain } from "../../lib/drain/drain.ts";
import { newId } from "../../lib/schema/event-ids.ts";
import { registryOf } from "../../lib/schema/registry.ts";
import { defineStream, type Json } from "../../lib/schema/stream.ts";
import { connect } from "../../lib/store/database.ts";
import { createDeadLetterStore } from "../../lib/store/dead-letter-store.ts";
import { type Ingest, serveIngest } from "./test-ingest.ts";
import { letPausesEnd, openWorld, type World } from "./test-stack.ts";

type Column = ReturnType<typeof text>;
const withId = { id: uuid("id").notNull() };
const n = integer("n").notNull();

/** Three streams with such a key: alone, beside the id, and of which the newest wins. */
function keyed(name: string, column: unknown, value: z.ZodType<Json>) {
  const k = (column as Column).notNull();
  const schema = z.strictObject({ k: value as z.ZodString, n: z.int32() });
  const declared = { existing: true, schema } as const;
  const [byId, newest] = [`${name}_id`, `${name}_newest`] as const;
  return [
    defineStream({ ...declared, name, key: ["k"], table: pgTable(name, { k, n }) }),
    defineStream({ ...declared, name: byId, key: ["id", "k"], table: pgTable(byId, { ...withId, k, n }) }),
    defineStream({
      ...{ ...declared, name: newest, table: pgTable(newest, { ...withId, k, n }) },
      onConflict: { key: ["k"], newest: "n" },
    }),
  ];
}

/** A stream that keeps the newest by such a column. */
const ranked = (name: string, newest: unknown) =>
  defineStream({
    ...{ name, existing: true, schema: z.strictObject({ k: z.string(), n: z.string() }) },
    onConflict: { key: ["k"], newest: "n" },
    table: pgTable(name, { ...withId, k: text("k").notNull(), n: (newest as Column).notNull() }),
  });

const shop = pgSchema("Key shop");
const citext = customType<{ data: string }>({ dataType: () => "citext" });
const lower = customType<{ data: string; driverData: string }>({
  dataType: () => "text",
  toDriver: (v) => v.toLowerCase(),
});
const t = z.string();
const types = {
  kuuid: {
    sql: "uuid",
    column: uuid("k"),
    schema: t,
    same: ["4F6F5A0E-0000-4000-8000-00000000000a", "4f6f5a0e-0000-4000-8000-00000000000A"],
    bad: "nope",
  },
  kdate: {
    sql: "date",
    column: date("k", { mode: "string" }),
    schema: t,
    same: ["2026-01-02", "Jan 2, 2026"],
    bad: "nope",
  },
  kstamp: {
    sql: "timestamptz(3)",
    column: timestamp("k", { mode: "string", withTimezone: true, precision: 3 }),
    schema: t,
    same: ["2026-01-02T00:00:00.0004Z", "2026-01-02T01:00:00+01:00"],
    bad: "nope",
  },
  knumeric: {
    sql: "numeric(10,2)",
    column: numeric("k", { precision: 10, scale: 2 }),
    schema: t,
    same: ["1.10", "1.1"],
    bad: "nope",
  },
  kinet: { sql: "inet", column: inet("k"), schema: t, same: ["10.0.0.1/32", "10.0.0.1"], bad: "nope" },
  kchar: {
    sql: "char(5)",
    column: char("k", { length: 5 }),
    schema: t,
    same: ["ab", "ab  "],
    bad: undefined,
  },
  kvarchar: {
    sql: "varchar(5)",
    column: varchar("k", { length: 5 }),
    schema: t,
    same: ["ab", "ab"],
    bad: undefined,
  },
  ktext: { sql: "text", column: text("k"), schema: t, same: ["ab  😀'\"\\", "ab  😀'\"\\"], bad: undefined },
  kci: { sql: 'text collate "Key ci"', column: text("k"), schema: t, same: ["Bob", "bOB"], bad: undefined },
  kcitext: { sql: "citext", column: citext("k"), schema: t, same: ["Bob", "bOB"], bad: undefined },
  klower: {
    sql: "text check (k <> 'nope')",
    column: lower("k"),
    schema: t,
    same: ["Bob", "bOB"],
    bad: "NOPE",
  },
  kbool: { sql: "boolean", column: boolean("k"), schema: z.boolean(), same: [true, true], bad: undefined },
  kenum: {
    sql: '"Key shop"."A mood"',
    column: shop.enum("A mood", ["ok", "so so"])("k"),
    schema: z.enum(["ok", "so so"]),
    same: ["so so", "so so"],
    bad: undefined,
  },
  kenum2: {
    sql: '"Other mood"',
    column: pgEnum("Other mood", ["ok", "so so"])("k"),
    schema: z.enum(["ok", "so so"]),
    same: ["so so", "so so"],
    bad: undefined,
  },
};
const names = Object.keys(types) as (keyof typeof types)[];
const rankTypes = {
  rdate: {
    sql: "date",
    column: date("n", { mode: "string" }),
    order: ["2026-01-02", "2026-01-03"],
    bad: "nope",
  },
  rnum: { sql: "numeric", column: numeric("n"), order: ["9", "10"], bad: "nope" },
  rstamp: {
    sql: "timestamptz",
    column: timestamp("n", { mode: "string", withTimezone: true }),
    order: ["2026-01-02T00:00:00.000001Z", "infinity"],
    bad: "nope",
  },
};
const ranks = Object.keys(rankTypes) as (keyof typeof rankTypes)[];

let world: World;
let ingest: Ingest;
const tables = names.flatMap((name) => [name, `${name}_id`, `${name}_newest`]);
beforeAll(async () => {
  world = await openWorld(
    {},
    registryOf([
      ...names.flatMap((name) => keyed(name, types[name].column, types[name].schema)),
      ...ranks.map((name) => ranked(name, rankTypes[name].column)),
    ]),
  );
  await world.sql.query(`
    create schema if not exists "Key shop"; create extension if not exists citext;
    drop collation if exists "Key ci" cascade; create collation "Key ci" (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
    drop table if exists ${[...tables, ...ranks].join(", ")};
    drop type if exists "Key shop"."A mood"; create type "Key shop"."A mood" as enum ('ok', 'so so');
    drop type if exists "Other mood"; create type "Other mood" as enum ('ok', 'so so');
    ${names
      .map(
        (name) => `
      create table ${name} (k ${types[name].sql}, primary key (k), n integer not null check (n <> 13));
      create table ${name}_id (id uuid not null, k ${types[name].sql}, primary key (id, k), n integer not null check (n <> 13));
      create table ${name}_newest (id uuid not null, k ${types[name].sql}, primary key (k), n integer not null check (n <> 13));`,
      )
      .join("")}
    ${ranks.map((name) => `create table ${name} (id uuid not null, k text primary key, n ${rankTypes[name].sql} not null);`).join("")}`);
  ingest = await serveIngest(world);
});
beforeEach(() => world.reset());
afterAll(async () => {
  await world.sql.query(
    `drop table ${[...tables, ...ranks].join(", ")}; drop schema "Key shop" cascade; drop type "Other mood"; drop collation "Key ci"`,
  );
  await ingest.close();
  await world.close();
});

const tick = async (stream: string) => (await drain(world.supervisor(), { stream })).streams[0];
const count = async (table: string) =>
  (await world.sql.query(`select count(*)::int as n from ${table}`)).rows[0].n;
const letters = async (stream: string) =>
  (
    await world.sql.query(
      `select id, key, sqlstate, retry_at is null as dead from dead_letters where stream = '${stream}' order by died_at`,
    )
  ).rows;

describe.each(names)("a key of %s", (name) => {
  const {
    same: [a, b],
  } = types[name];

  test("equal values are one key", async () => {
    const sent = [
      { k: a, n: 1, id: newId() },
      { k: b, n: 1, id: newId() },
    ];
    await ingest.post(name, sent);
    expect(await tick(name)).toMatchObject({ stored: 1, duplicates: 1, outcome: "empty" });
    await ingest.post(name, sent);
    expect(await tick(name)).toMatchObject({ stored: 0, duplicates: 2, outcome: "empty" });
    const answer = await ingest.post(name, sent, { query: "?ack=stored" });
    expect(answer).toMatchObject({ status: 201, body: { duplicates: sent.map(({ id }) => id) } });
    expect(await count(name)).toBe(1);
  });
  test("equal values are one key beside an id", async () => {
    const id = newId();
    const sent = [
      { k: a, n: 1, id },
      { k: b, n: 1, id },
      { k: a, n: 1, id: newId() },
    ];
    await ingest.post(`${name}_id`, sent);
    expect(await tick(`${name}_id`)).toMatchObject({ stored: 2, duplicates: 1, outcome: "empty" });
    const answer = await ingest.post(`${name}_id`, sent, { query: "?ack=stored" });
    expect(answer).toMatchObject({ status: 201, body: { duplicates: [id, sent[2]!.id] } });
    expect((await ingest.where(`${name}_id`, id)).body).toMatchObject({ status: "stored" });
  });
  test("equal values are one key of which the newest wins", async () => {
    const sent = [
      { k: a, n: 2, id: newId() },
      { k: b, n: 3, id: newId() },
      { k: a, n: 1, id: newId() },
    ];
    await ingest.post(`${name}_newest`, sent);
    expect(await tick(`${name}_newest`)).toMatchObject({
      stored: expect.any(Number),
      duplicates: 0,
      held: 0,
      dead: 0,
      outcome: "empty",
    });
    const answer = await ingest.post(`${name}_newest`, sent, { query: "?ack=stored" });
    expect(answer).toMatchObject({
      status: 201,
      body: { duplicates: [sent[1]!.id], superseded: [sent[0]!.id, sent[2]!.id] },
    });
    const { rows } = await world.sql.query(`select n, id from ${name}_newest`);
    expect(rows).toEqual([{ n: 3, id: sent[1]!.id }]);
  });
  test("a refused event is a letter, found and counted", async () => {
    for (const stream of [name, `${name}_id`, `${name}_newest`]) {
      const bad = { k: a, n: 13, id: newId() };
      await ingest.post(stream, [bad]);
      expect(await tick(stream)).toMatchObject({ stored: 0, held: 1 });
      const declared = world.streams.get(stream) ?? expect.fail("no stream");
      expect(await world.store.countLetters(declared)).toMatchObject({ held: 1, notCompared: null });
      await ingest.post(stream, [{ ...bad, k: b, n: 14 }]);
      expect(await tick(stream)).toMatchObject({ stored: 1 });
      expect(await world.store.countLetters(declared)).toMatchObject({ held: 0, notCompared: null });
    }
  });
});

const bads: [string, object, object][] = [
  ...names.flatMap((name) =>
    types[name].bad === undefined
      ? []
      : ["", "_id", "_newest"].map((end): [string, object, object] => [
          `${name}${end}`,
          { k: types[name].bad, n: 1 },
          { k: types[name].same[0], n: 1 },
        ]),
  ),
  ...ranks.map((name): [string, object, object] => [
    name,
    { k: "a", n: rankTypes[name].bad },
    { k: "b", n: rankTypes[name].order[0] },
  ]),
];
describe.each(bads)("%s: a value that the type can't read", (stream, bad, good) => {
  test("is one event's fault, beside a good one", async () => {
    const [one, two] = [
      { ...bad, id: newId() },
      { ...good, id: newId() },
    ];
    expect((await ingest.post(stream, [one, two])).status).toBe(202);
    expect(await tick(stream)).toMatchObject({ stored: 1, dead: 1, held: 0, outcome: "empty" });
    expect(await letters(stream)).toMatchObject([{ id: one.id, dead: true }]);
    expect((await ingest.where(stream, one.id)).body).toMatchObject({ status: "dead" });
    const declared = world.streams.get(stream) ?? expect.fail("no stream");
    expect(await world.store.countLetters(declared)).toMatchObject({ dead: 1, notCompared: null });
    const store = createDeadLetterStore(
      connect(world.config.databaseUrl, 5000, world.config.neonHttpUrl),
      world.streams,
      5000,
    );
    const all = await store.read(
      { streams: [], sqlstates: [], ids: [], since: undefined, until: undefined, isAll: false },
      10,
    );
    expect(all).toMatchObject([{ id: one.id, isLive: true, notCompared: null }]);
  });
  test("is held alone, and stops nobody", async () => {
    const one = { ...bad, id: newId() };
    await ingest.post(stream, [one]);
    expect(await tick(stream)).toMatchObject({ held: 1, dead: 0 });
    await letPausesEnd(world);
    await tick(stream);
    await ingest.post(stream, [{ ...good, id: newId() }]);
    expect(await tick(stream)).toMatchObject({ stored: 1 });
    expect(await letters(stream)).toMatchObject([{ id: one.id }]);
  });
  test("is rejected beside a good one, where it is answered", async () => {
    const answer = await ingest.post(
      stream,
      [
        { ...bad, id: newId() },
        { ...good, id: newId() },
      ],
      { query: "?ack=stored" },
    );
    expect([answer.status, answer.body.accepted, answer.body.rejected?.length]).toEqual([201, 1, 1]);
  });
});

test.each(["kuuid", "kuuid_id", "kuuid_newest"])(
  "a letter of %s whose key an earlier release could read is found, and hides no other",
  async (stream) => {
    const k = () => newId();
    const [one, two, good] = [13, 13, 1].map((n) => ({ id: newId(), k: k(), n }));
    await ingest.post(stream, [one, two, good]);
    expect(await tick(stream)).toMatchObject({ stored: 1, dead: 2 });
    const old = JSON.stringify({ id: one?.id, k: "a text", n: 13 });
    await world.sql.query(`update dead_letters set key = '${old}' where id = '${one?.id}'`);
    const { status, body } = await ingest.whereAll(
      stream,
      [one, two].map((event) => event?.id ?? ""),
    );
    expect([status, body.events?.map(({ status: is }: { status: string }) => is)]).toEqual([
      200,
      ["dead", "dead"],
    ]);
    await ingest.post(stream, [{ ...one, id: newId(), k: k() }]);
    expect(await tick(stream)).toMatchObject({ held: 1 });
  },
);
