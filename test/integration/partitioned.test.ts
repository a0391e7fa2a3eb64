/** A table partitioned by day, with a key of two columns: making partitions ahead, retention, and what comes between. */
import { doublePrecision, pgTable, primaryKey, text, timestamp, uuid } from "drizzle-orm/pg-core";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { z } from "zod";
import { drain } from "../../lib/drain/drain.ts";
import { newId } from "../../lib/schema/event-ids.ts";
import { registryOf } from "../../lib/schema/registry.ts";
import { defineStream, eventColumns, timestampText } from "../../lib/schema/stream.ts";
import { type Ingest, serveIngest } from "./test-ingest.ts";
import { letPausesEnd, openWorld, type World } from "./test-stack.ts";

const table = pgTable(
  "readings",
  {
    ...eventColumns(),
    id: uuid("id").notNull(),
    sensor: text("sensor").notNull(),
    value: doublePrecision("value").notNull(),
    recordedAt: timestamp("recorded_at", { withTimezone: true, mode: "string" }).notNull(),
  },
  (columns) => [primaryKey({ columns: [columns.id, columns.recordedAt] })],
);
const readings = defineStream({
  name: "readings",
  table,
  existing: true,
  schema: z.strictObject({ sensor: z.string(), value: z.number(), recordedAt: timestampText() }),
  key: ["id", "recordedAt"],
});

const DAYS = ["2026-01-01", "2026-01-02", "2026-01-03"] as const;
const partitionOf = (day: string) => `readings_${day.replaceAll("-", "")}`;
const dayAfter = (day: string) => new Date(Date.parse(day) + 86_400_000).toISOString().slice(0, 10);
const makePartition = (day: string) =>
  `create table ${partitionOf(day)} partition of readings for values from ('${day} 00:00+00') to ('${dayAfter(day)} 00:00+00')`;

let world: World;
let ingest: Ingest;
beforeAll(async () => {
  world = await openWorld({}, registryOf([readings]));
  ingest = await serveIngest(world);
});
beforeEach(async () => {
  await world.sql.query(`
    drop table if exists readings;
    create table readings (
      id uuid not null, received_at timestamptz not null, stored_at timestamptz not null default now(),
      sensor text not null, value float8 not null, recorded_at timestamptz not null,
      primary key (id, recorded_at)
    ) partition by range (recorded_at);
    ${[DAYS[0], DAYS[1]].map(makePartition).join(";")}`);
  await world.reset();
});
afterAll(async () => {
  await world.sql.query("drop table readings");
  await ingest.close();
  await world.close();
});

interface Reading {
  id: string;
  sensor: string;
  value: number;
  recordedAt: string;
}
const reading = (day: string, value: number): Reading => ({
  ...{ id: newId(), sensor: "s", value },
  recordedAt: `${day}T${String(value % 24).padStart(2, "0")}:00:00.123456Z`,
});
const post = (sent: readonly Reading[], query = "") => ingest.post("readings", sent, { query });
const drainOnce = async () => (await drain(world.supervisor(), { stream: "readings" })).streams[0];

/** Where each reading is, by its key; a reading that is nowhere is "lost". */
async function placesOf(sent: readonly Reading[]): Promise<string[]> {
  const { rows } = await world.sql.query("select id, recorded_at from readings");
  const stored = new Set(rows.map(({ id, recorded_at }) => `${id} ${recorded_at.toISOString()}`));
  const letters = await world.sql.query("select id, retry_at is null as dead from dead_letters");
  const aside = new Map(letters.rows.map(({ id, dead }) => [id, dead ? "dead" : "held"]));
  const lists = await world.redis.keys("{spillway}:readings:*");
  const buffered = new Set<string>();
  for (const key of lists)
    if (/:(pending|sealed|claimed):/.test(key))
      for (const one of await world.redis.lrange(key, 0, -1)) buffered.add(JSON.parse(one).id);
  return sent.map(({ id, recordedAt }) => {
    if (stored.has(`${id} ${new Date(recordedAt).toISOString()}`)) return "stored";
    return aside.get(id) ?? (buffered.has(id) ? "buffered" : "lost");
  });
}

test("an event that comes twice is stored once: its key is looked up whole", async () => {
  const sent = [reading(DAYS[0], 1), reading(DAYS[1], 2)];
  await post(sent);
  expect(await drainOnce()).toMatchObject({ stored: 2, duplicates: 0 });
  await post([...sent, ...sent]);
  expect(await drainOnce()).toMatchObject({ stored: 0, duplicates: 4, differing: 0, outcome: "empty" });
  const again = await post(sent, "?ack=stored");
  expect([again.status, again.body.duplicates]).toEqual([201, sent.map(({ id }) => id)]);
  expect((await ingest.where("readings", sent[0]?.id ?? "")).body).toMatchObject({ status: "stored" });
  const { rows } = await world.sql.query("select count(*)::int as n from readings");
  expect(rows).toEqual([{ n: 2 }]);
});

test("identity is the key: the same id at another time is another row, and another spelling of the time is not", async () => {
  const one = reading(DAYS[0], 3);
  const later = { ...one, recordedAt: `${DAYS[0]}T04:00:00Z` };
  const respelt = { ...one, recordedAt: `${DAYS[0]}T05:00:00.123456+02:00` };
  await post([one, later, respelt]);
  expect(await drainOnce()).toMatchObject({ stored: 2, duplicates: 1 });
  expect(await placesOf([one, later])).toEqual(["stored", "stored"]);
});

test("a partition that is missing in the middle of a drain holds its own events, and they are stored once it is there", async () => {
  const sent = Array.from({ length: 300 }, (_, i) => reading(DAYS[i % 3] as string, i));
  await post(sent);
  const report = await drainOnce();
  expect(report).toMatchObject({ stored: 200, held: 100, dead: 0, remaining: 0, outcome: "misconfigured" });
  const ofDay = (day: string) => sent.filter(({ recordedAt }) => recordedAt.startsWith(day));
  expect(new Set(await placesOf(ofDay(DAYS[2])))).toEqual(new Set(["held"]));
  const { status } = await post([reading(DAYS[2], 1)], "?ack=stored");
  expect(status).toBe(503);

  await world.sql.query(makePartition(DAYS[2]));
  await letPausesEnd(world);
  await drainOnce();
  expect(new Set(await placesOf(sent))).toEqual(new Set(["stored"]));
  const { rows } = await world.sql.query("select count(*)::int as n from dead_letters");
  expect(rows).toEqual([{ n: 0 }]);
});

test("after its day was detached and dropped, an event that comes again is held, and says why; it is not stored as new", async () => {
  const [old, kept] = [reading(DAYS[0], 1), reading(DAYS[1], 2)];
  await post([old, kept]);
  await drainOnce();
  await world.sql.query(`alter table readings detach partition ${partitionOf(DAYS[0])}`);
  await world.sql.query(`drop table ${partitionOf(DAYS[0])}`);
  await post([old, kept, reading(DAYS[1], 5)]);
  expect(await drainOnce()).toMatchObject({ stored: 1, duplicates: 1, held: 1, dead: 0 });
  expect(await placesOf([old, kept])).toEqual(["held", "stored"]);
  const { rows } = await world.sql.query("select reason from dead_letters");
  expect(rows[0].reason).toMatch(/partition/);
});

test("with a default partition, an event that comes again after its day was dropped is stored there, until retention", async () => {
  const old = reading(DAYS[0], 1);
  await post([old]);
  await drainOnce();
  await world.sql.query(`create table readings_default partition of readings default`);
  await world.sql.query(
    `alter table readings detach partition ${partitionOf(DAYS[0])}; drop table ${partitionOf(DAYS[0])}`,
  );
  await post([old]);
  expect(await drainOnce()).toMatchObject({ stored: 1, held: 0 });
  await world.sql.query(`delete from readings_default where recorded_at < '${DAYS[1]}'`);
  expect(await placesOf([old])).toEqual(["lost"]); // on purpose: retention
});
