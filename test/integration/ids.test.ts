/** Which row id an event's own id becomes, whose id nobody else can occupy, and the ids with which a 503 is sent again. */
import { randomUUID } from "node:crypto";
import { v1, v5, v6, v7 } from "uuid";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { drain } from "../../lib/drain/drain.ts";
import { type Answer, type Ingest, OTHER_KEY, type Sending, serveIngest } from "./test-ingest.ts";
import { expectConserved, openWorld, type World, whereabouts } from "./test-stack.ts";

let world: World;
let ingest: Ingest;
beforeAll(async () => {
  world = await openWorld();
});
/** An instance of its own for each test: a breaker remembers. */
beforeEach(async () => {
  await world.reset();
  ingest = await serveIngest(world);
});
afterEach(() => ingest.close());
afterAll(() => world.close());

const NAMESPACE = "6f1d7c1e-5b0a-5c39-9a54-0d6f5b8b1a77";
const scoped = (key: string, raw: string) => v5(JSON.stringify(["events", key, raw]), NAMESPACE);
const event = (payload: unknown, more = {}) => ({ type: "test", payload, ...more });
const drainAll = () => drain(world.supervisor(), {});
const payloads = async () =>
  (await world.sql.query("select payload from events order by payload::text")).rows.map(
    ({ payload }: { payload: unknown }) => payload,
  );

/** UUIDs that somebody can compute or guess. */
const GUESSABLE: [string, string][] = [
  ["of version 1", v1()],
  ["of version 3", "a3bb189e-8bf9-3888-9912-ace4e6543002"],
  ["of version 5", v5("order-1", NAMESPACE)],
  ["of version 6", v6()],
  ["of version 8", "320c3d4d-cc00-875b-8ec9-32d5f69181c0"],
  ["of no version", "00000000-0000-0000-0000-000000000000"],
  ["of all ones", "ffffffff-ffff-ffff-ffff-ffffffffffff"],
  ["of version 4 with another variant", "0b9e1a5c-3f57-4d0e-0c1d-3d2f8f6f0a11"],
  ["of version 7 with another variant", "0190b3c4-aaaa-7bbb-dccc-0123456789ab"],
];

describe("the row id", () => {
  test.each([
    ["4", randomUUID()],
    ["7", v7()],
  ])("a UUID of version %s is the row's id, in lower case", async (_version, id) => {
    const { body } = await ingest.post("events", event(1, { id: id.toUpperCase() }));
    expect(body.ids).toEqual([id]);
  });

  test.each(GUESSABLE)(
    "a UUID %s is scoped to its sender and stream as any other text",
    async (_name, id) => {
      const mine = await ingest.post("events", event("mine", { id }));
      const other = await ingest.post("events", event("other", { id }), { key: OTHER_KEY });
      expect([mine.body.ids, other.body.ids]).toEqual([[scoped("tester", id)], [scoped("other", id)]]);
      await drainAll();
      expect(await payloads()).toEqual(["mine", "other"]);
      for (const key of [undefined, OTHER_KEY])
        expect((await ingest.where("events", id, key)).body).toMatchObject({ status: "stored" });
      await expectConserved(world, "events", [...mine.body.ids, ...other.body.ids]);
    },
  );

  test.each<[string, object, Sending]>([
    ["a raw id", event("mine", { id: "order-1" }), {}],
    ["an Idempotency-Key", event("mine"), { headers: { "idempotency-key": "k" } }],
    ["a UUID of version 5", event("mine", { id: v5("a", NAMESPACE) }), {}],
  ])("no key can occupy the id of another key's event: %s", async (_name, mine, sending) => {
    const [derived] = (await ingest.post("events", mine, sending)).body.ids; // anybody can compute it
    await world.reset();
    const occupied = await ingest.post("events", event("theirs", { id: derived }), { key: OTHER_KEY });
    await drainAll();
    const accepted = await ingest.post("events", mine, sending);
    expect([accepted.status, accepted.body.ids]).toEqual([202, [derived]]);
    await drainAll();
    expect(await payloads()).toEqual(["mine", "theirs"]);
    await expectConserved(world, "events", [derived, ...occupied.body.ids]);
  });

  test("no key can occupy the id of another key's CloudEvent", async () => {
    const cloud = { specversion: "1.0", id: v5("e", NAMESPACE), source: "/shop", type: "t", data: "mine" };
    const post = () => ingest.postRaw("events", "application/cloudevents+json", JSON.stringify(cloud));
    const [derived] = (await post()).body.ids;
    expect(derived).toBe(scoped("tester", JSON.stringify(["/shop", cloud.id])));
    await world.reset();
    for (const id of [derived, cloud.id]) await ingest.post("events", event(id, { id }), { key: OTHER_KEY });
    await drainAll();
    await post();
    await drainAll();
    expect((await payloads()).length).toBe(3);
  });

  test("an id that was given out finds its event, and so does the id that the event came with", async () => {
    const own = v5("own", NAMESPACE);
    const { body } = await ingest.post("events", event(1, { id: own }));
    await drainAll();
    for (const asked of [own, body.ids[0], body.ids[0].toUpperCase()])
      expect((await ingest.where("events", asked)).body).toEqual({ id: body.ids[0], status: "stored" });
  });

  test("of an event as given and one as scoped, the stored one wins", async () => {
    const own = v5("own", NAMESPACE);
    await world.sql.query(
      "insert into dead_letters (stream, id, envelope, reason, burials) values ('events', $1, 'x', 'r', 1)",
      [own],
    );
    expect((await ingest.where("events", own)).body).toEqual({ id: own, status: "dead" });
    const { body } = await ingest.post("events", event(1, { id: own }), { query: "?ack=stored" });
    expect((await ingest.where("events", own)).body).toEqual({ id: body.ids[0], status: "stored" });
  });
});

describe("sent again after a 503", () => {
  /** Redis and Postgres keep everything, and their replies are lost. */
  const loseReplies = () => {
    world.upstash.setFault(({ commands }) =>
      commands.some(([name]) => name?.toLowerCase() === "lpush") ? { kind: "cut-after" } : undefined,
    );
    world.neon.setFault(() => ({ kind: "cut-after" }));
  };
  const restore = () => {
    world.upstash.setFault(undefined);
    world.neon.setFault(undefined);
  };
  /** Every event is stored once, however often it was sent. */
  const expectOnce = async (answer: Answer, expected: unknown[]) => {
    expect(answer.status).toBe(202);
    await drainAll();
    expect(await payloads()).toEqual(expected);
    await expectConserved(world, "events", answer.body.ids);
  };

  const OWN: [string, unknown][] = [
    ["a text", "order/ä 1"],
    ["a number", 42],
    ["a negative number", -7],
    ["a UUID of version 4 in capitals", randomUUID().toUpperCase()],
    ["a UUID of version 7", v7()],
    ...GUESSABLE,
  ];
  test.each(OWN)("its own id, %s, comes back as it came", async (_name, id) => {
    loseReplies();
    const refused = await ingest.post("events", event(1, { id }));
    expect([refused.status, refused.body.ids]).toEqual([503, [id]]);
    restore();
    await expectOnce(await ingest.post("events", event(1, { id: refused.body.ids[0] })), [1]);
  });

  test("one without an id gets a new one, a rejected one none", async () => {
    loseReplies();
    const events = [event(1, { id: "a" }), { type: 7 }, event(2), event(3, { id: 3 })];
    const { status, body } = await ingest.post("events", events);
    expect([status, body.ids]).toEqual([503, ["a", expect.stringMatching(/^.{14}7/), 3]]);
    restore();
    const good = events.filter((_, i) => i !== 1);
    const again = good.map((one, i) => ({ ...one, id: body.ids[i] }));
    await expectOnce(await ingest.post("events", again), [1, 2, 3]);
  });

  test("CloudEvents are sent again as they came", async () => {
    loseReplies();
    const cloud = (id: string, data: number) => ({ specversion: "1.0", id, source: "/s", type: "t", data });
    const own = ["e-1", v7().toUpperCase(), v5("e", NAMESPACE)];
    const batch = JSON.stringify(own.map(cloud));
    const post = () => ingest.postRaw("events", "application/cloudevents-batch+json", batch);
    const { status, body } = await post();
    expect([status, body.ids]).toEqual([503, own]);
    restore();
    await expectOnce(await post(), [0, 1, 2]);
  });

  test("under an Idempotency-Key the same request is sent again, and no id is named", async () => {
    loseReplies();
    const events = [event(1), event(1), event(2, { id: "a" })];
    const post = () => ingest.post("events", events, { headers: { "idempotency-key": "k" } });
    const { status, body } = await post();
    expect(status).toBe(503);
    expect(body).not.toHaveProperty("ids");
    expect(body.detail).toMatch(/same request.*Idempotency-Key/);
    restore();
    await expectOnce(await post(), [1, 1, 2]);
  });

  test("events that all have their own ids keep them under an Idempotency-Key", async () => {
    loseReplies();
    const events = [event(1, { id: "a" }), event(2, { id: 2 })];
    const post = () => ingest.post("events", events, { headers: { "idempotency-key": "k" } });
    const { status, body } = await post();
    expect([status, body.ids]).toEqual([503, ["a", 2]]);
    restore();
    await expectOnce(await ingest.post("events", events), [1, 2]);
  });

  test("both away altogether: nothing was kept, and what is sent again is stored once", async () => {
    world.upstash.setFault(() => ({ kind: "refuse" }));
    world.neon.setFault(() => ({ kind: "refuse" }));
    const { body } = await ingest.post("events", [event(1), event(2, { id: 2 })]);
    expect(await whereabouts(world, "events")).toEqual({ stored: [], dead: [], held: [], buffered: [] });
    restore();
    await expectOnce(
      await ingest.post("events", [event(1, { id: body.ids[0] }), event(2, { id: body.ids[1] })]),
      [1, 2],
    );
  });
});
