/** Newest wins: one row for each key, of the newest event, whatever the order, the repetitions and the refusals. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { drain } from "../../lib/drain/drain.ts";
import { expectConservedByKey, type Fix, settlePositions } from "./conserved-positions.ts";
import { type Ingest, serveIngest } from "./test-ingest.ts";
import { letPausesEnd, openWorld, type World } from "./test-stack.ts";

let world: World;
let ingest: Ingest;
beforeAll(async () => {
  world = await openWorld();
  ingest = await serveIngest(world);
});
beforeEach(() => world.reset());
afterAll(async () => {
  await ingest.close();
  await world.close();
});

const at = (second: number) => new Date(Date.UTC(2026, 0, 1) + second * 1000).toISOString();
const fix = (userId: string, second: number, more: Partial<Fix> = {}): Fix => ({
  ...{ id: randomUUID(), userId, lat: second % 90, lng: 0, recordedAt: at(second) },
  ...more,
});
const tick = async () => {
  const { streams } = await drain(world.supervisor(), { stream: "positions" });
  return streams[0];
};
const post = (fixes: readonly Fix[], query = "") => ingest.post("positions", fixes, { query });
const rows = async () =>
  (await world.sql.query("select user_id, id, lat, recorded_at from positions order by user_id")).rows;

/** A shuffle that is the same in each run. */
function shuffled<T>(items: readonly T[], seed: number): T[] {
  let state = seed * 7919 + 1;
  const random = () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
  return items
    .map((item) => ({ item, place: random() }))
    .sort((a, b) => a.place - b.place)
    .map(({ item }) => item);
}

test("30 orders of one set, with ties and repetitions, end in the same rows: of each user the newest", async () => {
  const users = Array.from({ length: 6 }, (_, i) => `u${i}`);
  // Ten moments for each user, three fixes at each: only the id tells those apart.
  const set = users.flatMap((user) =>
    Array.from({ length: 30 }, (_, i) => fix(user, Math.floor(i / 3), { lat: i })),
  );
  const newest = users.map((user) => {
    const own = set.filter(({ userId }) => userId === user);
    return own.reduce((a, b) => (`${a.recordedAt} ${a.id}` < `${b.recordedAt} ${b.id}` ? b : a));
  });
  for (let order = 0; order < 30; order++) {
    await world.reset();
    const sent = shuffled([...set, ...set.slice(0, 40)], order);
    for (let from = 0; from < sent.length; from += 55) {
      const slice = sent.slice(from, from + 55);
      const level = from === 55 ? "?ack=stored" : "";
      expect((await post(slice, level)).body.accepted).toBe(slice.length);
      if (order % 2 === 0) await tick();
    }
    await tick();
    expect((await rows()).map(({ id }) => id)).toEqual(newest.map(({ id }) => id));
    await expectConservedByKey(world, set);
  }
});

test("the row of the newest is whole: nothing of an older event stays in it", async () => {
  await post([fix("u", 1, { accuracy: 5, speed: 3 })]);
  await tick();
  const newer = fix("u", 2);
  await post([newer]);
  await tick();
  const { rows } = await world.sql.query("select id, lat, accuracy, speed from positions");
  expect(rows).toEqual([{ id: newer.id, lat: 2, accuracy: null, speed: null }]);
});

test("a drain reports what was stored, superseded, and there already", async () => {
  const [first, second, third] = [fix("u", 1), fix("u", 2), fix("u", 3)];
  await post([second]);
  expect(await tick()).toMatchObject({ stored: 1, superseded: 0, duplicates: 0, outcome: "empty" });
  await post([first, third, second]);
  expect(await tick()).toMatchObject({ stored: 1, superseded: 2, duplicates: 0, outcome: "empty" });
  await post([third, third]);
  expect(await tick()).toMatchObject({ stored: 0, superseded: 0, duplicates: 2, differing: 0 });
  await expectConservedByKey(world, [first, second, third]);
});

test("ack=stored of a superseded event is 201 and names it; an event that is there already is a duplicate", async () => {
  const [older, newer] = [fix("u", 1), fix("u", 2)];
  expect(await post([newer], "?ack=stored")).toMatchObject({ status: 201, body: { accepted: 1 } });
  const { status, body } = await post([older, newer], "?ack=stored");
  expect([status, body.accepted, body.superseded, body.duplicates]).toEqual([201, 2, [older.id], [newer.id]]);
  const both = await post([fix("v", 1, { id: older.id }), fix("v", 2)], "?ack=stored");
  expect(both.body).toMatchObject({ accepted: 2, superseded: [older.id] });
  expect(both.body.duplicates).toBeUndefined();
  await expectConservedByKey(world, [older, newer]);
});

test("GET by id says that such a stream keeps no ids", async () => {
  const one = fix("u", 1);
  await post([one], "?ack=stored");
  const { status, body } = await ingest.where("positions", one.id);
  expect([status, body.status]).toEqual([404, "unknown"]);
  expect(body.detail).toMatch(/keeps no ids.*newest event of each userId/);
  const all = await ingest.whereAll("positions", [one.id]);
  expect([all.status, all.body.detail]).toEqual([200, expect.stringMatching(/keeps no ids/)]);
});

test("a fix more than a day ahead of its receipt is refused, whatever its offset; one of tomorrow is not", async () => {
  const ahead = (ms: number) => new Date(Date.now() + ms).toISOString();
  const late = fix("u", 0, { recordedAt: ahead(86_460_000) });
  const inOffset = fix("u", 0, { recordedAt: ahead(86_460_000 - 7_200_000).replace("Z", "-02:00") });
  const { status, body } = await post([late, inOffset]);
  expect([status, body.errors.map(({ path }: { path: string }) => path)]).toEqual([
    422,
    ["recordedAt", "recordedAt"],
  ]);
  const tomorrow = fix("u", 0, { recordedAt: ahead(86_000_000) });
  expect((await post([tomorrow])).status).toBe(202);
  await tick();
  await expectConservedByKey(world, [tomorrow]);
});

describe("a table that refuses", () => {
  test("a newest event that is refused does not take its good older sibling along", async () => {
    await world.sql.query("alter table positions add constraint slow check (speed < 100)");
    try {
      const [older, newest, other] = [fix("u", 1), fix("u", 2, { speed: 200 }), fix("v", 1)];
      await post([older, newest, other]);
      expect(await tick()).toMatchObject({ stored: 2, dead: 1 });
      expect((await rows()).map(({ id }) => id)).toEqual([older.id, other.id]);
      await expectConservedByKey(world, [older, newest, other]);
    } finally {
      await world.sql.query("alter table positions drop constraint slow");
    }
  });

  test("a held event over which a newer one won since is gone, and a dead one needs nobody's attention", async () => {
    await world.sql.query("alter table positions add constraint none check (speed is null) not valid");
    const [held, newer] = [fix("u", 1, { speed: 1 }), fix("u", 2)];
    try {
      await post([held]);
      await tick();
      expect(await settlePositions(world, [held])).toEqual(["held"]);
      await post([newer]);
      await tick();
    } finally {
      await world.sql.query("alter table positions drop constraint none");
    }
    await letPausesEnd(world);
    await tick();
    expect(await settlePositions(world, [held, newer])).toEqual(["superseded", "stored"]);
    const { dead, held: left } = await world.store.countLetters(
      world.streams.get("positions") ?? expect.fail("no positions"),
    );
    expect([dead, left]).toEqual([0, 0]);
    await expectConservedByKey(world, [held, newer]);
  });

  test("a row that the table does not let replace is held, and not taken for stored", async () => {
    const [older, newer] = [fix("u", 1), fix("u", 2)];
    await post([older]);
    await tick();
    await world.sql.query(
      `create function keep() returns trigger language plpgsql as $$ begin return null; end $$;
       create trigger keep before update on positions for each row execute function keep()`,
    );
    try {
      await post([newer]);
      await tick();
      expect(await settlePositions(world, [older, newer])).toEqual(["stored", "held"]);
      const { status, body } = await post([fix("u", 3)], "?ack=stored");
      expect([status, body.ids]).toEqual([503, [expect.any(String)]]);
    } finally {
      await world.sql.query("drop trigger keep on positions; drop function keep()");
    }
    await letPausesEnd(world);
    await tick();
    expect((await rows()).map(({ recorded_at }) => recorded_at.toISOString())).toEqual([at(3)]);
  });
});

test("two drains over the same users in opposite orders end without a deadlock", async () => {
  const users = Array.from({ length: 100 }, (_, i) => `u${String(i).padStart(3, "0")}`);
  const sets: Fix[][] = [];
  for (let round = 0; round < 20; round++) sets.push(shuffled(users, round).map((user) => fix(user, round)));
  await Promise.all(sets.map((set) => post(set, "?ack=stored")));
  expect(world.said.filter(({ event }) => event === "store.misconfigured")).toEqual([]);
  await expectConservedByKey(world, sets.flat());
  expect(new Set((await rows()).map(({ recorded_at }) => recorded_at.toISOString()))).toEqual(
    new Set([at(19)]),
  );
});
