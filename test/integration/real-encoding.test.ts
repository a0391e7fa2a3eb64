/** A database whose encoding is not UTF-8: it can't hold every character that an event may have. */
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { drain } from "../../lib/drain/drain.ts";
import { openRealDatabase, type RealDatabase, STORED } from "./real-database.ts";
import { expectConserved, good, pushEvents, whereabouts } from "./test-stack.ts";

let db: RealDatabase;
beforeAll(async () => {
  db = await openRealDatabase("real_latin", {}, "encoding 'LATIN1' locale 'C' template template0");
});
beforeEach(() => db.reset());
afterAll(() => db.close());

const held = { n: 1, note: "größer" };
const unheld = { n: 2, note: 'größer \u{1F600}\u2028 \\u00e9 "' };

/** Lets five more refusals and half an hour pass; returns how many letters died at the last. */
async function diesAfterHalfAnHour(): Promise<number | undefined> {
  await db.world.sql.query("update dead_letters set died_at = died_at - interval '30 min'");
  for (let refusals = 2; refusals < 6; refusals++) await db.tickAfterPause();
  return (await db.tickAfterPause())?.dead;
}

test("an event that its encoding can't hold is set aside whole, and dead at last", async () => {
  const ids = await db.push([...good(5), held, unheld, ...good(5)]);
  // It fails the whole statement, so no row is stored in the same one.
  expect(await db.tick()).toMatchObject({ stored: 11, held: 1, outcome: "empty" });
  ids.push(...(await db.push(good(1))));
  expect(await diesAfterHalfAnHour()).toBe(1);
  const { rows } = await db.world.sql.query("select id, sqlstate, envelope from dead_letters");
  expect(rows).toMatchObject([{ id: ids[6], sqlstate: "22P05" }]);
  expect(JSON.parse(rows[0].envelope)).toMatchObject({ id: ids[6], data: unheld });
  expect((await db.world.sql.query("select note from checked where note <> ''")).rows).toEqual([
    { note: held.note },
  ]);
  await expectConserved(db.world, "checked", ids);
});

test("its sender hears 503, and it is held", async () => {
  const alone = await db.ingest.post("checked", unheld, STORED);
  expect(alone.status).toBe(503);
  expect((await whereabouts(db.world, "checked")).held).toEqual(alone.body.ids);
  await db.push(good(1)).then((ids) => alone.body.ids.push(...ids));
  expect(await diesAfterHalfAnHour()).toBe(1);
  await expectConserved(db.world, "checked", alone.body.ids);
});

test("text of somebody else's that it can't hold is buried, too", async () => {
  await db.world.redis.lpush("{spillway}:checked:pending:0", "foreign \0\u{1F600}");
  const ids = await db.push(good(2));
  expect(await db.tick()).toMatchObject({ stored: 2, dead: 1, outcome: "empty" });
  expect((await db.world.sql.query("select envelope from dead_letters")).rows).toEqual([
    { envelope: "foreign \\ufffd\\ud83d\\ude00" },
  ]);
  const { stored, dead } = await whereabouts(db.world, "checked");
  expect(stored.sort()).toEqual(ids.sort());
  await expectConserved(db.world, "checked", [...ids, ...dead]);
});

test("an event whose key it can't hold is set aside, beside those whose key it can", async () => {
  const recordedAt = "2026-01-01T00:00:00Z";
  const fixes = ["größer", "größer \u{1F600}", "u"].map((userId) => ({ userId, lat: 1, lng: 1, recordedAt }));
  const ids = await pushEvents(db.world, { stream: "positions", index: 0 }, fixes);
  const { streams } = await drain(db.world.supervisor(), { stream: "positions" });
  expect(streams[0]).toMatchObject({ stored: 2, held: 1, outcome: "empty" });
  await expectConserved(db.world, "positions", ids);
});
