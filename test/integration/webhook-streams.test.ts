/** Webhooks and what else a stream declares, letters of webhooks that are redriven, and `webhook replay`. */
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { pgTable, text } from "drizzle-orm/pg-core";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { type ReplayOptions, replay } from "../../dev/operate/webhook-replay.ts";
import { drain } from "../../lib/drain/drain.ts";
import { redrive } from "../../lib/operate/redrive.ts";
import { registryOf } from "../../lib/schema/registry.ts";
import { defineStream, eventColumns } from "../../lib/schema/stream.ts";
import { connect } from "../../lib/store/database.ts";
import { createDeadLetterStore } from "../../lib/store/dead-letter-store.ts";
import { loadTestStreams } from "../streams/run/test-streams.ts";
import { runSpillway } from "./run-spillway.ts";
import { type Ingest, type Overrides, serveIngest } from "./test-ingest.ts";
import { expectConserved, openWorld, type World, whereabouts } from "./test-stack.ts";
import { senders } from "./webhook-senders.ts";

const SECRET = "whsec_test";
const schema = z.strictObject({ kind: z.string().max(20) });
const typed = z.object({ kind: z.string() });
/** A release can be mended: what its toEvent does. */
let toEvent: (body: unknown) => { kind: string } | null;

const tableNamed = (name: string) => pgTable(name, { ...eventColumns(), kind: text("kind").notNull() });
const webhooks = {
  stripe: { secretEnv: "SECRET", toEvent: ({ body }: { body: unknown }) => toEvent(body) },
};
const storing = defineStream({
  name: "storing",
  table: tableNamed("storing"),
  ack: "stored",
  schema,
  webhooks,
});
const gone = defineStream({ name: "gone", table: tableNamed("gone"), retired: true, schema, webhooks });
const byKind = defineStream({
  name: "by_kind",
  table: pgTable("by_kind", { id: eventColumns().id, kind: text("kind").notNull().unique() }),
  key: ["kind"],
  schema,
  webhooks,
});

let world: World;
let ingest: Ingest;
const overrides: Overrides = { secrets: { SECRET }, writeThroughConcurrency: 1 };
beforeAll(async () => {
  world = await openWorld({}, registryOf([storing, gone, byKind]));
  await world.sql.query(`
    drop table if exists storing, gone, by_kind;
    create table storing (id uuid primary key, received_at timestamptz not null, stored_at timestamptz not null default now(),
      kind text not null check (kind <> 'bad'));
    create table gone (like storing including all);
    create table by_kind (id uuid primary key, kind text not null unique)`);
  ingest = await serveIngest(world, overrides);
});
beforeEach(async () => {
  toEvent = (body) => typed.parse(body);
  await world.reset();
});
afterAll(async () => {
  await ingest.close();
  await world.sql.query("drop table storing, gone, by_kind");
  await world.close();
});

let count = 0;
async function deliver(stream: string, body: object) {
  const signed = await senders.stripe(JSON.stringify({ id: `evt_${++count}`, ...body }), { secret: SECRET });
  const init = { method: "POST", body: new Uint8Array(signed.body), headers: signed.headers };
  return ingest.send(`/v1/${stream}/from/stripe`, init);
}
const drainAll = () => drain(world.supervisor(), {});
const reasons = async () =>
  (await world.sql.query("select reason, sqlstate from dead_letters order by reason")).rows as {
    reason: string;
    sqlstate: string | null;
  }[];

describe("a stream whose answers are stored", () => {
  test("answers 201, and 503 while Postgres is away", async () => {
    const answer = await deliver("storing", { kind: "a" });
    expect(answer).toMatchObject({ status: 201, body: { accepted: 1, ack: "stored" } });
    world.neon.setFault(() => ({ kind: "refuse" }));
    expect(await deliver("storing", { kind: "b" })).toMatchObject({
      status: 503,
      body: { code: "servers-away" },
    });
    await expectConserved(world, "storing", answer.body.ids);
  });

  test("an event that Postgres refuses for its data, beside one that it stores, is a dead letter and a 202", async () => {
    let inserts = 0;
    world.neon.setFault(({ queries }) => {
      const isFirst = queries.some(({ query }) => query.includes('insert into "storing"')) && inserts++ === 0;
      return isFirst ? { kind: "slow", delayMs: 500 } : undefined;
    });
    const first = deliver("storing", { kind: "first" });
    while (inserts === 0) await sleep(2);
    // These two share the next insert.
    const [good, bad] = await Promise.all([
      deliver("storing", { kind: "good" }),
      deliver("storing", { kind: "bad" }),
    ]);
    const answers = [await first, good, bad];
    expect(answers.map(({ status }) => status)).toEqual([201, 201, 202]);
    expect(bad.body).toMatchObject({
      accepted: 1,
      ack: "stored",
      deadLetter: expect.stringContaining("check"),
    });
    expect(await reasons()).toEqual([
      { sqlstate: "23514", reason: expect.stringMatching(/^webhook stripe: .*check/) },
    ]);
    await expectConserved(
      world,
      "storing",
      answers.flatMap(({ body }) => body.ids),
    );
  });

  test("nothing proves that the event is at fault: 503, and it is held and tried again by itself", async () => {
    expect(await deliver("storing", { kind: "bad" })).toMatchObject({
      status: 503,
      body: { code: "database-refuses" },
    });
    expect((await whereabouts(world, "storing")).held).toHaveLength(1);
  });
});

test("a retired stream takes none", async () => {
  expect(await deliver("gone", { kind: "a" })).toMatchObject({
    status: 404,
    body: { code: "retired-stream" },
  });
});

test("a stream with a key of its own: a letter without a key is one, and never stops its batch", async () => {
  const ids = [
    ...(await deliver("by_kind", { kind: "a" })).body.ids,
    ...(await deliver("by_kind", { kind: 1 })).body.ids,
  ];
  await drainAll();
  await expectConserved(world, "by_kind", ids);
});

describe("redriving", () => {
  const letters = () =>
    createDeadLetterStore(
      connect(world.config.databaseUrl, 2000, world.config.neonHttpUrl),
      world.streams,
      2000,
    );
  const none = { streams: [], sqlstates: [], ids: [], since: undefined, until: undefined, isAll: false };
  async function redriveAll() {
    const deps = {
      ...{ letters: letters(), buffer: world.buffer, streams: world.streams },
      ...{ partitions: 1, pageMaxRows: 100, monotonicMs: () => performance.now(), sleep },
    };
    const whys: string[] = [];
    let redriven = 0;
    for await (const report of redrive(deps, none, { rate: 1000 })) {
      whys.push(...report.skippedNow.map(({ why }) => why));
      redriven = report.redriven;
    }
    return { redriven, whys };
  }

  test("today's toEvent gets the body again; the event is stored under the id that it always had", async () => {
    toEvent = () => {
      throw new RangeError("a bug");
    };
    const { body } = await deliver("by_kind", { kind: "a" });
    await drainAll();
    expect(await reasons()).toEqual([{ sqlstate: null, reason: "webhook stripe: toEvent threw RangeError" }]);
    expect(await redriveAll()).toEqual({ redriven: 0, whys: ["toEvent threw RangeError"] });
    toEvent = () => null;
    expect(await redriveAll()).toEqual({ redriven: 0, whys: ["toEvent ignores it now"] });
    toEvent = (of) => typed.parse(of);
    expect(await redriveAll()).toEqual({ redriven: 1, whys: [] });
    await drainAll();
    expect((await whereabouts(world, "by_kind")).stored).toEqual(body.ids);
    expect(await redriveAll()).toEqual({ redriven: 0, whys: [] });
    await expectConserved(world, "by_kind", body.ids);
  });

  test("a source that the release no longer declares is said, and the letter stays", async () => {
    await deliver("storing", { kind: 1 });
    await drainAll();
    await world.sql.query(`update dead_letters set envelope = replace(envelope, '"stripe"', '"paypal"')`);
    expect(await redriveAll()).toEqual({ redriven: 0, whys: ['the stream has no webhook source "paypal"'] });
    expect(await reasons()).toHaveLength(1);
  });

  test("a text that only looks like a webhook is buried as a foreign text, and stops nothing", async () => {
    const id = "00000000-0000-5000-8000-000000000000";
    const head = {
      webhook: "stripe",
      id,
      receivedAt: "2026-11-27T12:00:00.000Z",
      reason: "r",
      headers: {},
      body: "{}",
    };
    const texts = [
      JSON.stringify(head),
      JSON.stringify({ ...head, id: "no uuid" }),
      JSON.stringify({ ...head, reason: "\0" }),
      JSON.stringify({ ...head, webhook: "\ud800" }),
      JSON.stringify({ ...head, receivedAt: "2026-02-30T12:00:00.000Z" }),
      JSON.stringify({ ...head, headers: null }),
      JSON.stringify({ ...head, body: 1 }),
      '{"webhook":"stripe',
    ];
    await world.buffer.push({ stream: "storing", index: 0 }, texts);
    await drainAll();
    const found = (await reasons()).map(({ reason }) => reason);
    expect(found).toEqual([...Array.from({ length: 7 }, () => "not an envelope"), "webhook stripe: r"]);
  });
});

describe("webhook replay", () => {
  const options = { stream: undefined, source: undefined, headers: [], eventMaxBytes: 32_768 };
  /** Tries a body on the streams of test/streams/. */
  const tried = async (body: string, more: Partial<ReplayOptions> = {}) =>
    replay(await loadTestStreams(), Buffer.from(body), { ...options, ...more });

  test("says the row that would be stored, under the id that it would have", async () => {
    const body = '{"id":"evt_1","type":"a","x":1}';
    const { row } = (await tried(body, { source: "stripe" })) as { row: { id: string } };
    expect(row).toMatchObject({ type: "a", payload: { id: "evt_1", x: 1 } });
    expect((await tried(body, { source: "stripe" })) as object).toMatchObject({ row: { id: row.id } });
    expect(await tried(body, { source: "svix", headers: ["Webhook-Id: msg_1"] })).toMatchObject({
      outcome: "stored",
    });
  });

  test("reads headers, ignores what toEvent ignores, and says what is wrong", async () => {
    expect(await tried("{}", { source: "github", headers: ["X-GitHub-Event: push"] })).toMatchObject({
      ...{ stream: "deliveries", source: "github", outcome: "stored", row: { type: "push" } },
    });
    expect(await tried('{"type":"ignored"}', { source: "slack" })).toMatchObject({ outcome: "ignored" });
    expect(await tried('{"id":1}', { source: "stripe" })).toMatchObject({
      ...{ outcome: "dead-letter", reason: "toEvent threw ZodError" },
      errors: [{ path: "type", message: expect.stringContaining("expected string") }],
    });
    expect(
      await tried(`{"type":"${"x".repeat(100)}"}`, { source: "slack", eventMaxBytes: 99 }),
    ).toMatchObject({
      reason: "its event is larger than EVENT_MAX_BYTES (99)",
    });
  });

  test("reads a dead letter's envelope, with its source and headers", async () => {
    const envelope = {
      ...{ webhook: "github", id: "00000000-0000-5000-8000-000000000000", reason: "r" },
      receivedAt: "2026-11-27T12:00:00.000Z",
      ...{ headers: { "x-github-event": "fork" }, base64: Buffer.from("{}").toString("base64") },
    };
    const shown = JSON.stringify({ stream: "deliveries", envelope: JSON.stringify(envelope), reason: "r" });
    for (const saved of [JSON.stringify(envelope), shown])
      expect(await tried(saved)).toMatchObject({ outcome: "stored", row: { type: "fork" } });
  });

  test("asks for the source where several could be meant", async () => {
    await expect(tried("{}")).rejects.toThrow("--stream deliveries --source stripe");
    await expect(tried("{}", { source: "paypal" })).rejects.toThrow(
      "no stream declares such a webhook source",
    );
    await expect(tried("{}", { source: "slack", headers: ["x"] })).rejects.toThrow(
      'expected --header "NAME: VALUE"',
    );
  });

  test("is a command", async () => {
    const file = fileURLToPath(new URL("../../package.json", import.meta.url));
    const none = await runSpillway(["webhook", "replay", file, "--source", "paypal"]);
    expect(none).toMatchObject({
      code: 2,
      err: expect.stringContaining("no stream declares such a webhook source"),
    });
    expect((await runSpillway(["webhook", "replay"])).code).toBe(2);
    expect((await runSpillway(["webhook", "replay", "/nowhere"])).err).toContain(
      "/nowhere can't be read (ENOENT).",
    );
    expect((await runSpillway(["webhook", "replay", "--help"])).out).toContain("--header");
  });
});
