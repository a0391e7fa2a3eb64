/** Dead letters through the supervisor's private interface: what it answers, what it refuses, and how a redrive goes on in parts. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { encodeNext } from "../../functions/letter-requests.ts";
import { createSupervisor } from "../../functions/supervisor.ts";
import { drain } from "../../lib/drain/drain.ts";
import { newId } from "../../lib/schema/event-ids.ts";
import { askSupervisor } from "./documented.ts";
import { runSpillway } from "./run-spillway.ts";
import { envelopeOf, expectConserved, openWorld, type World } from "./test-stack.ts";

let world: World;
let served: Awaited<ReturnType<World["serve"]>>;
/** A supervisor whose redrives end after their first page. */
let hasty: Awaited<ReturnType<World["serve"]>>;
beforeAll(async () => {
  world = await openWorld();
  served = await world.serve(createSupervisor(world.supervisor()));
  hasty = await world.serve(createSupervisor(world.supervisor({ drainDeadlineMs: 0 })));
});
beforeEach(() => world.reset());
afterAll(async () => {
  await served.close();
  await hasty.close();
  await world.close();
});

const ask = (path: string, body?: unknown, { url } = served) =>
  askSupervisor(
    url,
    path,
    body === undefined
      ? {}
      : { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) },
  );

/** Buries events that would be stored now; returns their ids in the order in which they died. */
async function bury(
  count: number,
  stream = "events",
  data: unknown = { type: "t", payload: { s: "s3cret" } },
) {
  const made = Array.from({ length: count }, () => envelopeOf(data));
  const declared = world.streams.get(stream);
  if (declared === undefined) throw new Error(`expected a stream ${stream}`);
  for (let at = 0; at < made.length; at += 100)
    await world.store.bury(
      declared,
      made.slice(at, at + 100).map((one) => ({
        ...{ ...one, stream, sqlstate: "23514", reason: "SQLSTATE 23514", burials: 1, tries: 0 },
        receivedAt: new Date().toISOString(),
      })),
    );
  return made.map(({ id }) => id);
}

test("groups and letters are listed without their events; one letter is shown with it", async () => {
  const ids = await bury(3);
  const groups = await ask("/dead-letters");
  expect(groups).toMatchObject({
    status: 200,
    body: {
      total: 3,
      live: 3,
      notCompared: [],
      groups: [{ letters: 3, stream: "events", sqlstate: "23514" }],
    },
  });
  const each = await ask("/dead-letters?each=1&sqlstate=23514&stream=events&state=dead");
  expect(each.body.letters.map(({ id }: { id: string }) => id).sort()).toEqual([...ids].sort());
  expect(JSON.stringify([groups, each])).not.toContain("s3cret");
  const [id = ""] = ids;
  const one = await ask(`/dead-letters/${id.toUpperCase()}`);
  expect(one.body.letters).toMatchObject([{ id, envelope: expect.stringContaining("s3cret") }]);
  expect((await ask(`/dead-letters/${id}?stream=leads`)).status).toBe(404);
  await expectConserved(world, "events", ids);
});

test("letters are listed page by page, each once", async () => {
  const ids = await bury(250);
  const found: string[] = [];
  let path = "/dead-letters?each=1";
  for (let pages = 0; path !== ""; pages++) {
    expect(pages).toBeLessThan(4);
    const { body } = await ask(path);
    found.push(...body.letters.map(({ id }: { id: string }) => id));
    path = body.next === null ? "" : `/dead-letters?each=1&cursor=${body.next}`;
  }
  expect(found).toHaveLength(250);
  expect(new Set(found)).toEqual(new Set(ids));
  await expectConserved(world, "events", ids);
});

describe("a redrive whose time is up", () => {
  test("says where to go on, and does so, each letter once; what dies meanwhile is left for the next", async () => {
    const ids = await bury(250);
    const first = await ask("/dead-letters/redrive", { rate: 10_000 }, hasty);
    expect(first.body).toMatchObject({ redriven: 100, skipped: 0, stopped: null, next: expect.any(String) });
    const later = await bury(1);
    const second = await ask("/dead-letters/redrive", { rate: 10_000, cursor: first.body.next }, hasty);
    expect(second.body).toMatchObject({ redriven: 100, next: expect.any(String) });
    const third = await ask("/dead-letters/redrive", { rate: 10_000, cursor: second.body.next }, hasty);
    expect(third.body).toMatchObject({ redriven: 50, next: null });
    expect((await ask("/dead-letters")).body.groups).toMatchObject([{ exampleId: later[0] }]);
    await drain(world.supervisor(), { stream: "events" });
    await expectConserved(world, "events", [...ids, ...later]);
  });

  test("heeds its limit over all parts", async () => {
    const ids = await bury(250);
    const first = await ask("/dead-letters/redrive", { rate: 10_000, limit: 130 }, hasty);
    const second = await ask(
      "/dead-letters/redrive",
      { rate: 10_000, limit: 130, cursor: first.body.next },
      hasty,
    );
    expect([first.body.redriven, second.body.redriven, second.body.next]).toEqual([100, 30, null]);
    await drain(world.supervisor(), { stream: "events" });
    await expectConserved(world, "events", ids);
  });

  test("an answer that is lost and asked for again redrives nothing twice, and forgets nothing", async () => {
    const ids = await bury(150);
    for (let times = 0; times < 2; times++) await ask("/dead-letters/redrive", { rate: 10_000 }, hasty);
    expect((await ask("/dead-letters")).body.total).toBe(0);
    await drain(world.supervisor(), { stream: "events" });
    const { rows } = await world.sql.query("select id from events");
    expect(rows).toHaveLength(150);
    await expectConserved(world, "events", ids);
  });

  test("the command asks for part after part until nothing is left, in a dry run too", async () => {
    const ids = await bury(250);
    const env = { SUPERVISOR_URL: hasty.url };
    const dry = await runSpillway(["dead-letters", "redrive", "--dry-run", "--json"], { env });
    expect(JSON.parse(dry.out)).toMatchObject({ stored: 250, refused: 0, stopped: null });
    const { code, out, err } = await runSpillway(["dead-letters", "redrive", "--rate", "10000"], { env });
    expect([code, out]).toEqual([
      0,
      "250 letters redriven: the next drain stores or buries them (spillway drain).\n",
    ]);
    expect(err).toMatch(/ 100 of 250\n {2}200 of 250\n/);
    await drain(world.supervisor(), { stream: "events" });
    await expectConserved(world, "events", ids);
  });

  test("groups of a dry run that died alike in several parts are one", async () => {
    const ids = await bury(210, "checked", { n: -1 });
    const { out } = await runSpillway(["dead-letters", "redrive", "--dry-run", "--json"], {
      env: { SUPERVISOR_URL: hasty.url },
    });
    expect(JSON.parse(out)).toMatchObject({
      stored: 0,
      refused: 210,
      groups: [{ letters: 210, sqlstate: "23514" }],
    });
    await expectConserved(world, "checked", ids);
  });
});

test("more letters than an answer names can't be redriven: they are counted", async () => {
  const ids = Array.from({ length: 130 }, newId);
  await world.sql.query(
    "insert into dead_letters (stream, id, envelope, reason, burials) select 'gone', id, 'x', 'r', 1 from unnest($1::uuid[]) as id",
    [ids],
  );
  const { body } = await ask("/dead-letters/redrive", {});
  expect(body).toMatchObject({ redriven: 0, skipped: 130, next: null });
  expect(body.skippedLetters).toHaveLength(100);
  const run = await runSpillway(["dead-letters", "redrive"], { env: { SUPERVISOR_URL: served.url } });
  expect(run).toMatchObject({ code: 1, out: expect.stringContaining("130 letters can't be redriven") });
  expect(run.err).toContain("and 30 letters more can't be redriven");
});

describe("a purge", () => {
  test("wants a filter, or that all are meant; without a state it takes no held letter", async () => {
    const ids = await bury(3);
    const [held, dead] = ids;
    await world.sql.query("update dead_letters set retry_at = now() where id = $1", [held]);
    expect(await ask("/dead-letters/purge", { dryRun: true })).toMatchObject({
      status: 400,
      body: { code: "invalid-body", errors: [{ message: "expected a filter, or allLetters" }] },
    });
    expect((await ask("/dead-letters/purge", { allLetters: true, dryRun: true })).body).toMatchObject({
      letters: 2,
    });
    expect((await ask("/dead-letters/purge", { ids: [dead] })).body).toMatchObject({ letters: 1, live: 1 });
    await expectConserved(
      world,
      "events",
      ids.filter((id) => id !== dead), // it is lost, on purpose
    );
  });
});

describe("is refused:", () => {
  const id = newId();
  const at = { diedAt: "2026-11-21T09:30:00Z" };
  test.each([
    ["/dead-letters/redrive", { stream: "events" }, 400, "invalid-body"], // misspelt: not "all letters"
    ["/dead-letters/redrive", { streams: "events" }, 400, "invalid-body"],
    ["/dead-letters/redrive", { limit: 0 }, 400, "invalid-body"],
    ["/dead-letters/redrive", { rate: 0.5 }, 400, "invalid-body"],
    ["/dead-letters/redrive", { ids: ["1"] }, 400, "invalid-body"],
    ["/dead-letters/redrive", { since: "yesterday" }, 400, "invalid-body"],
    ["/dead-letters/redrive", { state: "gone" }, 400, "invalid-body"],
    ["/dead-letters/redrive", { cursor: "x" }, 400, "invalid-query"],
    ["/dead-letters/redrive", [], 400, "invalid-body"],
    ["/dead-letters/purge", { allLetters: "yes" }, 400, "invalid-body"],
    ["/dead-letters/purge", { ids: [], all: true }, 400, "invalid-body"],
    ["/dead-letters?streams=events", undefined, 400, "invalid-query"],
    ["/dead-letters?limit=many", undefined, 400, "invalid-query"],
    ["/dead-letters?sqlstate=x", undefined, 400, "invalid-query"],
    ["/dead-letters?each=1&cursor=e30", undefined, 400, "invalid-query"],
    // Postgres would refuse these each time, and the answer would ask for a later try.
    ["/dead-letters?stream=%00", undefined, 400, "invalid-query"],
    ["/dead-letters?since=0000-01-01T00:00:00Z", undefined, 400, "invalid-query"],
    ["/dead-letters?until=2026-11-21T09:30:00%2B23:00", undefined, 400, "invalid-query"],
    ["/dead-letters/redrive", { streams: ["\0"] }, 400, "invalid-body"],
    ["/dead-letters/purge", { until: "0000-01-01T00:00:00Z" }, 400, "invalid-body"],
    [
      `/dead-letters?each=1&cursor=${encodeNext({ ...at, stream: "\0", id })}`,
      undefined,
      400,
      "invalid-query",
    ],
    [`/dead-letters/${id}`, undefined, 404, "unknown-letter"],
    ["/dead-letters/1", undefined, 404, "unknown-letter"],
    [`/dead-letters/${id}/more`, undefined, 404, "unknown-path"],
    [`/dead-letters/${id}`, {}, 405, "method-not-allowed"],
    ["/dead-letters/purge", undefined, 405, "method-not-allowed"],
  ])("%s %j", async (path, body, status, code) => {
    const ids = await bury(1);
    expect(await ask(path, body)).toMatchObject({ status, body: { code } });
    await expectConserved(world, "events", ids);
  });
});

// Neon's proxy refuses a wrong password without a SQLSTATE.
test.each(["", "28P01"])(
  'while Postgres refuses the password (SQLSTATE "%s") somebody has to do something: it is not away',
  async (code) => {
    const ids = await bury(2);
    const wrongPassword = JSON.stringify({ message: "password authentication failed", code });
    world.neon.setFault(() => ({ kind: "answer", status: 400, body: wrongPassword }));
    expect(await ask("/dead-letters")).toMatchObject({ status: 503, body: { code: "database-refuses" } });
    world.neon.setFault(undefined);
    await expectConserved(world, "events", ids);
  },
);

test("while Postgres is away it is a 503 that says so, and a redrive that Redis stops says how far it came", async () => {
  const ids = await bury(2);
  world.neon.setFault(() => ({ kind: "refuse" }));
  for (const [path, body] of [
    ["/dead-letters", undefined],
    ["/dead-letters/redrive", {}],
    ["/dead-letters/purge", { allLetters: true }],
  ] as const)
    expect(await ask(path, body)).toMatchObject({ status: 503, body: { code: "database-away" } });
  world.neon.setFault(undefined);
  world.upstash.setFault(() => ({ kind: "refuse" }));
  expect((await ask("/dead-letters/redrive", {})).body).toMatchObject({
    ...{ redriven: 0, next: null },
    stopped: expect.stringContaining("Redis did not confirm 2 letters of events"),
  });
  world.upstash.setFault(undefined);
  await expectConserved(world, "events", ids);
});
