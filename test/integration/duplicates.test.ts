/** Two events with one id: the first is kept, `ack=stored` names what was there before, and a drain counts what differs. */
import { randomUUID } from "node:crypto";
import { sql } from "drizzle-orm";
import { pgTable, text, timestamp } from "drizzle-orm/pg-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { drain } from "../../lib/drain/drain.ts";
import { registryOf } from "../../lib/schema/registry.ts";
import { defineStream, eventColumns, timestampText } from "../../lib/schema/stream.ts";
import { type Ingest, serveIngest } from "./test-ingest.ts";
import {
  envelopeOf,
  expectConserved,
  isInsert,
  openWorld,
  type World,
  whileTriggered,
} from "./test-stack.ts";

let world: World;
let ingest: Ingest;
beforeAll(async () => {
  world = await openWorld();
});
beforeEach(async () => {
  await world.reset();
  ingest = await serveIngest(world);
});
afterEach(() => ingest.close());
afterAll(() => world.close());

const STORED = { query: "?ack=stored" };
const event = (payload: unknown, id?: string) => ({ type: "test", payload, ...(id ? { id } : {}) });

describe("ack=stored", () => {
  test("names the ids that were in the table before, by the row's id", async () => {
    const first = await ingest.post("events", [event("a", "raw"), event("b")], STORED);
    expect(first.body).not.toHaveProperty("duplicates");
    const again = await ingest.post("events", [event(1), event("other", "raw"), event(2)], STORED);
    const [raw] = first.body.ids;
    expect([again.status, again.body.accepted, again.body.duplicates]).toEqual([201, 3, [raw]]);
    expect(again.body.ids[1]).toBe(raw);
    const { rows } = await world.sql.query("select payload from events where id = $1", [raw]);
    expect(rows).toEqual([{ payload: "a" }]);
    await expectConserved(world, "events", [...first.body.ids, ...again.body.ids]);
  });

  test("two events of one request with a new id are no duplicates of another; with an old one it is named once", async () => {
    const id = randomUUID();
    const twins = [event("first", id), event("second", id)];
    const fresh = await ingest.post("events", twins, STORED);
    expect(fresh.body).toEqual({ accepted: 2, ids: [id, id], ack: "stored" });
    const again = await ingest.post("events", twins, STORED);
    expect(again.body.duplicates).toEqual([id]);
    const { rows } = await world.sql.query("select payload from events");
    expect(rows).toEqual([{ payload: "first" }]);
    await expectConserved(world, "events", [id]);
  });

  test("requests that share an insert hear of their own alone, and of two with one new id one is told", async () => {
    const narrow = await serveIngest(world, { writeThroughConcurrency: 1 });
    const old = [randomUUID(), randomUUID()];
    await narrow.post(
      "events",
      old.map((id) => event(0, id)),
      STORED,
    );
    const contested = randomUUID();
    let inserts = 0;
    world.neon.setFault(({ queries }) => {
      if (queries.some(({ query }) => isInsert(query))) inserts += 1;
      return { kind: "slow", delayMs: 50 };
    });
    const answers = await Promise.all([
      narrow.post("events", [event("first")], STORED),
      narrow.post("events", [event(1, old[0]), event("x")], STORED),
      narrow.post("events", [event(2, old[1]), event(3, contested)], STORED),
      narrow.post("events", [event(4, contested), event("y")], STORED),
      narrow.post("events", [event("z")], STORED),
    ]);
    await narrow.close();
    expect(inserts).toBeLessThan(answers.length); // some shared one
    const [first, one, two, three, last] = answers.map(({ body }) => body.duplicates ?? []);
    expect([first, one, last]).toEqual([[], [old[0]], []]);
    expect(two).toContain(old[1]);
    expect([...two, ...three].filter((id: string) => id === contested)).toHaveLength(1);
    await expectConserved(world, "events", [...old, ...answers.flatMap(({ body }) => body.ids)]);
  });

  test("beside rows that Postgres refuses, and in a request that takes several inserts", async () => {
    const old = randomUUID();
    await ingest.post("checked", { n: 1, id: old }, STORED);
    const mixed = await ingest.post("checked", [{ n: 2 }, { n: -1 }, { n: 3, id: old }, { n: 4 }], STORED);
    expect(mixed.body).toMatchObject({ accepted: 3, duplicates: [old], rejected: [{ index: 1 }] });
    const wide = await serveIngest(world, { eventsMax: 3000 });
    const many = Array.from({ length: 2500 }, (_, i) => ({ n: 5, ...(i % 1000 === 7 ? { id: old } : {}) }));
    const { body } = await wide.post("checked", many, STORED);
    await wide.close();
    expect([body.accepted, body.duplicates]).toEqual([2500, [old]]);
    await expectConserved(world, "checked", [old, ...mixed.body.ids, ...body.ids]);
  });

  test("a row that is refused, and there already, is a duplicate", async () => {
    const id = randomUUID();
    await ingest.post("checked", { n: 1, id }, STORED);
    const { body } = await ingest.post("checked", [{ n: -1, id }, { n: 2 }], STORED);
    expect(body).toMatchObject({ accepted: 2, duplicates: [id] });
    await expectConserved(world, "checked", body.ids);
  });

  test("an answer of 201 because Redis is away names them, too", async () => {
    const id = randomUUID();
    await ingest.post("events", event(1, id), STORED);
    world.upstash.setFault(() => ({ kind: "refuse" }));
    const { status, body } = await ingest.post("events", [event(2, id), event(3)]);
    expect([status, body.duplicates]).toEqual([201, [id]]);
    world.upstash.setFault(undefined);
    await expectConserved(world, "events", body.ids);
  });

  test("a row that the table swallows is no duplicate", async () => {
    const id = randomUUID();
    await ingest.post("checked", { n: 1, id }, STORED);
    await whileTriggered(world, "if new.n = 9 then return null; end if; return new;", async () => {
      const answer = await ingest.post("checked", [{ n: 2, id }, { n: 9 }], STORED);
      expect(answer.status).toBe(503); // nothing proves that the swallowed one is bad: it is held
      expect(answer.body).not.toHaveProperty("duplicates");
      await expectConserved(world, "checked", [id, answer.body.ids[1]]);
    });
  });
});

describe("a drain", () => {
  const P = { stream: "checked", index: 0 };
  const push = (...envelopes: { envelope: string }[]) =>
    world.buffer.push(
      P,
      envelopes.map(({ envelope }) => envelope),
    );
  const tick = async () => (await drain(world.supervisor(), { stream: "checked" })).streams[0];
  const warnings = () => world.said.filter(({ event }) => event.startsWith("duplicate."));

  test("counts and logs the duplicates that hold something else, without their data", async () => {
    const made = [1, 2, 3].map((n) => envelopeOf({ n, note: "secret" }));
    await push(...made);
    expect(await tick()).toMatchObject({ stored: 3, duplicates: 0, differing: 0 });
    const ids = made.map(({ id }) => id);
    const again = (at: number, data: object) => envelopeOf(data, { id: ids[at] ?? "" });
    const fresh = envelopeOf({ n: 9 });
    await push(
      again(0, { n: 1, note: "secret" }),
      again(1, { n: 2, note: "changed" }),
      again(2, { n: 3 }),
      fresh,
    );
    expect(await tick()).toMatchObject({ stored: 1, duplicates: 3, differing: 2, outcome: "empty" });
    expect(warnings()).toEqual([
      {
        event: "duplicate.differed",
        fields: {
          stream: "checked",
          partition: 0,
          events: 2,
          example: expect.stringMatching(/^[0-9a-f-]{36}$/),
        },
      },
    ]);
    expect(JSON.stringify(world.said)).not.toMatch(/secret|changed/);
    expect(ids).toContain(warnings()[0]?.fields.example);
    await expectConserved(world, "checked", [...ids, fresh.id]);
  });

  test("of two events of one batch with one id the later is counted if it differs", async () => {
    const first = envelopeOf({ n: 1 });
    await push(first, envelopeOf({ n: 1 }, first), envelopeOf({ n: 2 }, first));
    expect(await tick()).toMatchObject({ stored: 1, duplicates: 2, differing: 1 });
    await expectConserved(world, "checked", [first.id]);
  });

  test("counts no more than there are duplicates if a trigger changes what is stored", async () => {
    const known = envelopeOf({ n: 1 });
    await push(known);
    await tick();
    const fresh = [2, 3, 4].map((n) => envelopeOf({ n }));
    await whileTriggered(world, "new.note = 'changed'; return new;", async () => {
      await push(envelopeOf({ n: 1, note: "other" }, known), ...fresh);
      expect(await tick()).toMatchObject({ stored: 3, duplicates: 1, differing: 1 });
    });
    await expectConserved(world, "checked", [known.id, ...fresh.map(({ id }) => id)]);
  });

  test("asks once more, and only if there are duplicates", async () => {
    const made = Array.from({ length: 50 }, () => envelopeOf({ n: 1 }));
    let comparisons = 0;
    world.neon.setFault(({ queries }) => {
      if (queries.some(({ query }) => query.includes("is distinct from"))) comparisons += 1;
      return undefined;
    });
    await push(...made);
    await tick();
    expect(comparisons).toBe(0);
    await push(...made);
    expect(await tick()).toMatchObject({ duplicates: 50, differing: 0 });
    expect(comparisons).toBe(1);
    await expectConserved(
      world,
      "checked",
      made.map(({ id }) => id),
    );
  });

  test("a comparison that fails holds nothing up: it is logged, and the batch is settled", async () => {
    const made = envelopeOf({ n: 1 });
    await push(made);
    await tick();
    await push(envelopeOf({ n: 2 }, made));
    world.neon.setFault(({ queries }) =>
      queries.some(({ query }) => query.includes("is distinct from")) ? { kind: "refuse" } : undefined,
    );
    expect(await tick()).toMatchObject({ duplicates: 1, differing: 0, remaining: 0, outcome: "empty" });
    expect(warnings()).toMatchObject([{ event: "duplicate.not-compared", fields: { events: 1 } }]);
    expect(await world.redis.keys("*")).toEqual([]);
    await expectConserved(world, "checked", [made.id]);
  });

  test("a batch that is refused in part compares its duplicates, too", async () => {
    const old = envelopeOf({ n: 1 });
    await push(old);
    await tick();
    const others = [envelopeOf({ n: 5 }), envelopeOf({ n: -5 }), envelopeOf({ n: 6 })];
    await push(envelopeOf({ n: 2 }, old), ...others);
    expect(await tick()).toMatchObject({ stored: 2, duplicates: 1, differing: 1, dead: 1 });
    await expectConserved(world, "checked", [old.id, ...others.map(({ id }) => id)]);
  });

  test("every form of JSON that is sent twice is the same", async () => {
    const ids = [randomUUID(), randomUUID()];
    const body = [
      event({ b: 1, a: [1.5, -0, 1.5e-7, "ä\u0001", { c: null }] }, ids[0]),
      { ...event("x", ids[1]), userId: "u", occurredAt: "2026-11-21T09:30:00.1234567+01:00" },
    ];
    await ingest.post("events", body);
    await drain(world.supervisor(), {});
    await ingest.post("events", body);
    const { streams } = await drain(world.supervisor(), { stream: "events" });
    expect(streams).toMatchObject([{ duplicates: 2, differing: 0 }]);
    await ingest.post("events", { ...event("x", ids[1]), userId: "u" });
    const last = await drain(world.supervisor(), { stream: "events" });
    expect(last.streams).toMatchObject([{ duplicates: 1, differing: 1 }]);
    await expectConserved(world, "events", ids);
  });
});

test("a default that Postgres computed at another time is no difference, and one that was given is", async () => {
  const dated = defineStream({
    name: "dated",
    table: pgTable("dated", {
      ...eventColumns(),
      at: timestamp("at", { withTimezone: true, mode: "string" }).notNull().default(sql`clock_timestamp()`),
      kind: text("kind").notNull().default("none"),
    }),
    schema: z.strictObject({ at: timestampText().optional(), kind: z.string().optional() }),
  });
  await world.sql.query(`
    drop table if exists dated;
    create table dated (id uuid primary key, received_at timestamptz not null, stored_at timestamptz not null default now(),
      at timestamptz not null default clock_timestamp(), kind text not null default 'none')`);
  const streams = registryOf([dated]);
  const same = envelopeOf({});
  for (const [data, differing] of [
    [{}, 0],
    [{ kind: "none" }, 0],
    [{ kind: "other" }, 1],
    [{ at: "2026-11-21T09:30:00Z" }, 1],
  ] as const) {
    await world.buffer.push({ stream: "dated", index: 0 }, [same.envelope, envelopeOf(data, same).envelope]);
    const { streams: reports } = await drain(world.supervisor({ streams }), { stream: "dated" });
    expect([data, reports[0]]).toMatchObject([data, { differing }]);
  }
  await expectConserved(world, "dated", [same.id]);
  await world.sql.query("drop table dated");
});
