/** Several events under one id, told apart by the rest of their key, as a sender has them that takes its sensor's number for the id. */
import { integer, pgTable, primaryKey, text, uuid } from "drizzle-orm/pg-core";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { z } from "zod";
import { drain } from "../../lib/drain/drain.ts";
import { redrive } from "../../lib/operate/redrive.ts";
import { newId } from "../../lib/schema/event-ids.ts";
import { registryOf } from "../../lib/schema/registry.ts";
import { defineStream } from "../../lib/schema/stream.ts";
import { connect } from "../../lib/store/database.ts";
import { createDeadLetterStore } from "../../lib/store/dead-letter-store.ts";
import { type Ingest, serveIngest } from "./test-ingest.ts";
import { letPausesEnd, openWorld, type World } from "./test-stack.ts";

const scans = defineStream({
  name: "scans",
  table: pgTable(
    "scans",
    { id: uuid("id").notNull(), k: text("k").notNull(), n: integer("n").notNull() },
    (table) => [primaryKey({ columns: [table.id, table.k] })],
  ),
  schema: z.strictObject({ k: z.string(), n: z.int32() }),
  key: ["id", "k"],
});
const LIVE = { streams: [], sqlstates: [], ids: [], since: undefined, until: undefined, isAll: false };

let world: World;
let ingest: Ingest;
beforeAll(async () => {
  world = await openWorld({}, registryOf([scans]));
  await world.sql.query("create table scans (id uuid, k text, n integer not null, primary key (id, k))");
  ingest = await serveIngest(world);
});
beforeEach(async () => {
  await world.reset();
  await world.sql.query(
    "alter table scans drop constraint if exists small; alter table scans add constraint small check (n < 10)",
  );
});
afterAll(async () => {
  await world.sql.query("drop table scans");
  await ingest.close();
  await world.close();
});

const tick = async () => (await drain(world.supervisor(), { stream: "scans" })).streams[0];
const rowsOf = async (query: string) => (await world.sql.query(query)).rows;
const stored = async () => (await rowsOf("select k from scans order by k")).map(({ k }) => k);
/** The keys of live letters, by what is in their envelopes. */
const letters = async () =>
  (await rowsOf("select envelope from dead_letters where redriven_at is null"))
    .map(({ envelope }) => JSON.parse(envelope).data.k)
    .sort();
const mend = () => world.sql.query("alter table scans drop constraint small");

const id = newId();
const event = (k: string, n: number) => ({ id, k, n });

test("each that is refused is held, in one batch and in the next, and stored by itself once the table takes it", async () => {
  await ingest.post("scans", [event("a", 11), event("b", 12), event("b", 12)]);
  await tick();
  await ingest.post("scans", [event("c", 13), event("a", 11)]);
  await tick();
  expect(await letters()).toEqual(["a", "b", "c"]);
  await letPausesEnd(world);
  await tick();
  expect(await letters()).toEqual(["a", "b", "c"]);
  expect((await ingest.post("scans", [event("d", 14)], { query: "?ack=stored" })).status).toBe(503);
  await mend();
  await letPausesEnd(world);
  await tick();
  expect([await letters(), await stored()]).toEqual([[], ["a", "b", "c", "d"]]);
});

test("each that is dead is redriven, dies again, and is stored at last", async () => {
  const deps = {
    ...{ buffer: world.buffer, streams: world.streams, partitions: 1, pageMaxRows: 10 },
    letters: createDeadLetterStore(
      connect(world.config.databaseUrl, 5000, world.config.neonHttpUrl),
      world.streams,
      5000,
    ),
    ...{ monotonicMs: () => 0, sleep: async () => {} },
  };
  const again = async (count: number) => {
    let redriven = 0;
    for await (const report of redrive(deps, LIVE, { rate: 100 })) redriven = report.redriven;
    expect(redriven).toBe(count);
    await tick();
  };
  await ingest.post("scans", [event("a", 11), event("b", 12), event("good", 1)]);
  expect(await tick()).toMatchObject({ stored: 1, dead: 2 });
  await ingest.post("scans", [event("c", 13), event("better", 1)]);
  expect(await tick()).toMatchObject({ stored: 1, dead: 1 });
  expect(await letters()).toEqual(["a", "b", "c"]);
  expect((await ingest.where("scans", id)).body).toMatchObject({ status: "stored" });
  await again(3);
  expect(await letters()).toEqual(["a", "b", "c"]);
  await mend();
  await again(3);
  expect([await letters(), await stored()]).toEqual([[], ["a", "b", "better", "c", "good"]]);
});
