/** The HTTP contract of ingest, row by row, on real servers. */
import { randomUUID } from "node:crypto";
import { gzipSync } from "node:zlib";
import webhooks from "@octokit/webhooks-examples";
import { v5 } from "uuid";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { drain } from "../../lib/drain/drain.ts";
import { type Answer, type Ingest, LEADS_KEY, OTHER_KEY, serveIngest } from "./test-ingest.ts";
import { expectConserved, KEY, openWorld, type World, whereabouts } from "./test-stack.ts";

let world: World;
let ingest: Ingest;
/** An instance with small limits. */
let small: Ingest;
beforeAll(async () => {
  world = await openWorld();
  ingest = await serveIngest(world, { corsOrigins: ["https://app.example"] });
  small = await serveIngest(world, { bodyMaxBytes: 20_000, eventMaxBytes: 1000, eventsMax: 10 });
});
beforeEach(() => world.reset());
afterAll(async () => {
  await Promise.all([ingest.close(), small.close()]);
  await world.close();
});

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const event = (payload: unknown = { a: 1 }, more = {}) => ({ type: "test", payload, ...more });
const fix = (lat: number) => ({ userId: "u", lat, lng: 2, recordedAt: "2026-11-21T09:30:00Z" });
const drainAll = () => drain(world.supervisor(), {});
/** Every stored row of a stream by its id. */
const rowsOf = async (stream: string) =>
  new Map(
    (await world.sql.query(`select * from ${stream}`)).rows.map((row: Record<string, unknown>) => [
      row.id as string,
      row,
    ]),
  );

/** A problem as RFC 9457 has it, and nothing that tells of our insides. */
function expectProblem(answer: Answer, status: number): void {
  expect({ status: answer.status, type: answer.headers.get("content-type") }).toEqual({
    status,
    type: "application/problem+json",
  });
  expect(answer.body).toMatchObject({
    type: expect.stringContaining(`/docs/errors.md#${answer.body.code}`),
    title: expect.stringMatching(/./),
    status,
    detail: expect.stringMatching(/./),
  });
  expect(JSON.stringify(answer.body)).not.toMatch(/node:internal|\.ts:|<html|insert into/i);
}

describe("what an answer promises", () => {
  test("202: the event is in the buffer, and in the table after a drain", async () => {
    const { status, headers, body } = await ingest.post("events", event());
    expect({ status, type: headers.get("content-type") }).toEqual({ status: 202, type: "application/json" });
    expect(body).toEqual({ accepted: 1, ids: [expect.stringMatching(UUID_V7)], ack: "buffered" });
    expect(await whereabouts(world, "events")).toEqual({
      held: [],
      stored: [],
      dead: [],
      buffered: body.ids,
    });
    await drainAll();
    expect(await whereabouts(world, "events")).toEqual({
      held: [],
      stored: body.ids,
      dead: [],
      buffered: [],
    });
  });

  test("201 for ack=stored: the event is in the table, and never was in the buffer", async () => {
    const { status, body } = await ingest.post("events", event(), { query: "?ack=stored" });
    expect(status).toBe(201);
    expect(body).toEqual({ accepted: 1, ids: [expect.stringMatching(UUID_V7)], ack: "stored" });
    expect(await whereabouts(world, "events")).toEqual({
      held: [],
      stored: body.ids,
      dead: [],
      buffered: [],
    });
  });

  test.each(["", "?ack=buffered", "?ack=stored"])(
    "a lead is stored before its sender hears, under '%s' too",
    async (query) => {
      const { status, body } = await ingest.post("leads", { name: "Ada", source: "web" }, { query });
      expect({ status, ack: body.ack }).toEqual({ status: 201, ack: "stored" });
      expect(await whereabouts(world, "leads")).toEqual({
        held: [],
        stored: body.ids,
        dead: [],
        buffered: [],
      });
    },
  );

  test("a row that Postgres refuses under ack=stored is a rejected item, not a dead letter", async () => {
    const events = [{ n: 1 }, { n: 0 }, { n: "x" }, { n: 2 }, { n: -7 }];
    const { status, body } = await ingest.post("checked", events, { query: "?ack=stored" });
    expect({ status, accepted: body.accepted }).toEqual({ status: 201, accepted: 2 });
    expect(body.rejected.map(({ index }: { index: number }) => index)).toEqual([1, 2, 4]);
    expect(body.rejected[0].errors).toEqual([{ path: "", message: expect.stringContaining("23514") }]);
    expect(await whereabouts(world, "checked")).toEqual({
      held: [],
      stored: body.ids,
      dead: [],
      buffered: [],
    });
  });

  test("where Postgres refuses every row nothing proves that they are bad: 503 with ids, and they are held", async () => {
    const answer = await ingest.post("checked", [{ n: 0 }, { n: -1 }], { query: "?ack=stored" });
    expectProblem(answer, 503);
    const { held } = await whereabouts(world, "checked");
    expect(held.sort()).toEqual(answer.body.ids.sort());
    await expectConserved(world, "checked", answer.body.ids);
  });

  test("a row that Postgres refuses after a 202 is a dead letter", async () => {
    const { status, body } = await ingest.post("checked", [{ n: 0 }, { n: 1 }]);
    expect(status).toBe(202);
    await drainAll();
    expect(await whereabouts(world, "checked")).toEqual({
      held: [],
      stored: [body.ids[1]],
      dead: [body.ids[0]],
      buffered: [],
    });
  });

  test("events of one batch are accepted in their order beside those that were rejected, each with its path", async () => {
    const { status, body } = await ingest.post("locations", [
      fix(1),
      fix(91),
      7,
      fix(4),
      { ...fix(5), x: 1 },
    ]);
    expect(status).toBe(202);
    expect(body).toEqual({
      accepted: 2,
      ids: [expect.stringMatching(UUID), expect.stringMatching(UUID)],
      ack: "buffered",
      rejected: [
        { index: 1, errors: [{ path: "lat", message: expect.stringMatching(/./) }] },
        { index: 2, errors: [{ path: "", message: expect.stringMatching(/./) }] },
        { index: 4, errors: [{ path: "x", message: expect.stringMatching(/./) }] },
      ],
    });
    await drainAll();
    const rows = await rowsOf("locations");
    expect(body.ids.map((id: string) => rows.get(id)?.lat)).toEqual([1, 4]);
  });

  test("an unknown ack is a 400, and nothing is kept", async () => {
    expectProblem(await ingest.post("events", event(), { query: "?ack=maybe" }), 400);
    await expectConserved(world, "events", []);
  });
});

describe("ids", () => {
  const ids = async (value: unknown, sending: Parameters<Ingest["post"]>[2] = {}): Promise<string[]> =>
    (await ingest.post("events", value, sending)).body.ids;

  test("a UUID is used as it is, lower-cased", async () => {
    const id = randomUUID().toUpperCase();
    expect(await ids(event(1, { id }))).toEqual([id.toLowerCase()]);
  });

  test("any other id becomes a UUIDv5 that anybody can compute", async () => {
    const namespace = "6f1d7c1e-5b0a-5c39-9a54-0d6f5b8b1a77";
    const idOf = (raw: string) => v5(JSON.stringify(["events", "tester", raw]), namespace);
    expect(await ids([event(1, { id: "order-1" }), event(1, { id: 42 })])).toEqual([
      idOf("order-1"),
      idOf("42"),
    ]);
  });

  test("the same raw id of two senders, or in two streams, never collides", async () => {
    const lead = { id: "1", name: "n", source: "s" };
    const all = [
      ...(await ids(event(1, { id: "1" }))),
      ...(await ids(event(1, { id: "1" }), { key: OTHER_KEY })),
      ...(await ingest.post("leads", lead)).body.ids,
    ];
    expect(new Set(all).size).toBe(3);
  });

  test.each([[""], [true], [null], [{}], [1.5], ["x".repeat(513)]])("the id %j is refused", async (id) => {
    const answer = await ingest.post("events", event(1, { id }));
    expectProblem(answer, 422);
    expect(answer.body.errors).toEqual([{ path: "id", message: expect.stringMatching(/./) }]);
  });

  test("under one Idempotency-Key the same bytes get the same ids, and are stored once", async () => {
    const headers = { "idempotency-key": "k1" };
    const batch = [event(1), event(2), event(1)];
    const first = await ids(batch, { headers });
    expect(new Set(first).size).toBe(3); // the two equal events are two events
    expect(await ids(batch, { headers })).toEqual(first);
    expect(await ids([event(1)], { headers, query: "?ack=stored" })).toEqual([first[0]]);
    await drainAll();
    await expectConserved(world, "events", first);
    expect((await rowsOf("events")).size).toBe(3);
  });

  test("under another key, or of another sender, the same bytes get other ids", async () => {
    const all = [
      ...(await ids(event(), { headers: { "idempotency-key": "k1" } })),
      ...(await ids(event(), { headers: { "idempotency-key": "k2" } })),
      ...(await ids(event(), { headers: { "idempotency-key": "k1" }, key: OTHER_KEY })),
      ...(await ids(event({ a: 2 }), { headers: { "idempotency-key": "k1" } })),
    ];
    expect(new Set(all).size).toBe(4);
  });

  test.each([" ", "x".repeat(256)])("an Idempotency-Key that is no key is a 400", async (key) => {
    expectProblem(await ingest.post("events", event(), { headers: { "idempotency-key": key } }), 400);
  });

  test("the event's own id comes before the Idempotency-Key", async () => {
    const id = randomUUID();
    expect(await ids(event(1, { id }), { headers: { "idempotency-key": "k" } })).toEqual([id]);
  });

  test("the first event under an id is kept, whatever a later one holds", async () => {
    const id = randomUUID();
    await ids(event("first", { id }), { query: "?ack=stored" });
    expect(await ids(event("second", { id }), { query: "?ack=stored" })).toEqual([id]);
    await ids(event("third", { id }));
    await drainAll();
    expect((await rowsOf("events")).get(id)).toMatchObject({ payload: "first" });
    await expectConserved(world, "events", [id]);
  });
});

describe("forms of a body", () => {
  const cloudEvent = (more = {}) => ({
    ...{ specversion: "1.0", id: "e-1", source: "/shop", type: "order.paid", subject: "u-7" },
    ...{ time: "2026-11-21T09:30:00Z", data: { sum: 12.5 } },
    ...more,
  });
  const cloudEventId = v5(
    JSON.stringify(["events", "tester", JSON.stringify(["/shop", "e-1"])]),
    "6f1d7c1e-5b0a-5c39-9a54-0d6f5b8b1a77",
  );
  const expectPaid = async (answer: Answer) => {
    expect({ status: answer.status, ids: answer.body.ids }).toEqual({ status: 202, ids: [cloudEventId] });
    await drainAll();
    expect((await rowsOf("events")).get(cloudEventId)).toMatchObject({
      type: "order.paid",
      user_id: "u-7",
      payload: { sum: 12.5 },
      occurred_at: new Date("2026-11-21T09:30:00Z"),
    });
  };

  test("NDJSON: a line an event, empty lines and CRLF passed over", async () => {
    const body = `${JSON.stringify(event(1))}\r\n\n${JSON.stringify(event(2))}\n{"type":1}\n`;
    const answer = await ingest.postRaw("events", "application/x-ndjson", body);
    expect(answer.body).toMatchObject({ accepted: 2, rejected: [{ index: 2 }] });
    await drainAll();
    await expectConserved(world, "events", answer.body.ids);
  });

  test("NDJSON with broken lines: each is a rejected item with its line's number, the others are stored", async () => {
    const lines = [
      JSON.stringify(event(1)),
      "",
      "{",
      '{"type":"\\ud800"',
      "nonsense",
      JSON.stringify(event(2)),
      "7",
    ];
    const answer = await ingest.postRaw("events", "application/x-ndjson", lines.join("\n"));
    expect(answer.status).toBe(202);
    expect(answer.body).toMatchObject({
      accepted: 2,
      rejected: [
        { index: 1, line: 3, errors: [{ path: "", message: "expected JSON" }] },
        { index: 2, line: 4, errors: [{ message: "expected JSON" }] },
        { index: 3, line: 5, errors: [{ message: "expected JSON" }] },
        { index: 5, line: 7, errors: [{ message: "expected an object" }] },
      ],
    });
    await drainAll();
    await expectConserved(world, "events", answer.body.ids);
  });

  test("NDJSON of which no line is JSON is a 422 that names the lines", async () => {
    const answer = await ingest.postRaw("events", "application/jsonl", "\n{\n}");
    expectProblem(answer, 422);
    expect(answer.body.errors).toMatchObject([
      { index: 0, line: 2 },
      { index: 1, line: 3 },
    ]);
    await expectConserved(world, "events", []);
  });

  test("a structured CloudEvent", async () =>
    expectPaid(await ingest.postRaw("events", "application/cloudevents+json", JSON.stringify(cloudEvent()))));

  test("a CloudEvent in binary mode, its attributes percent-encoded", async () => {
    const { data, ...attributes } = cloudEvent();
    const headers = Object.fromEntries(
      Object.entries(attributes).map(([name, value]) => [
        `ce-${name}`,
        encodeURIComponent(value).replace("%2F", "/"),
      ]),
    );
    await expectPaid(await ingest.postRaw("events", "application/json", JSON.stringify(data), { headers }));
  });

  test("a batch of CloudEvents, of which one is none", async () => {
    const batch = [cloudEvent({ specversion: "0.3" }), cloudEvent(), cloudEvent({ id: "" }), 7];
    const type = "application/cloudevents-batch+json; charset=utf-8";
    const answer = await ingest.postRaw("events", type, JSON.stringify(batch));
    expect(answer.body.rejected.map((one: { errors: { path: string }[] }) => one.errors[0]?.path)).toEqual([
      "specversion",
      "id",
      "",
    ]);
    await expectPaid(answer);
  });

  test("a CloudEvent of a stream that maps none carries the event in data", async () => {
    const body = JSON.stringify(cloudEvent({ data: fix(3) }));
    const answer = await ingest.postRaw("locations", "application/cloudevents+json", body);
    expect(answer.status).toBe(202);
    await drainAll();
    expect((await rowsOf("locations")).get(answer.body.ids[0])).toMatchObject({ user_id: "u", lat: 3 });
  });

  test("gzip", async () => {
    const body = new Uint8Array(gzipSync(JSON.stringify([event("ä".repeat(5000)), event(2)])));
    const headers = { "content-encoding": "gzip" };
    const answer = await ingest.postRaw("events", "application/json", body, { headers });
    expect(answer.body).toMatchObject({ accepted: 2, ack: "buffered" });
    await drainAll();
    expect((await rowsOf("events")).get(answer.body.ids[0])?.payload).toBe("ä".repeat(5000));
  });

  test("a gzip bomb costs a 413, however small it came", async () => {
    const body = new Uint8Array(gzipSync(Buffer.alloc(100_000_000, " ")));
    expect(body.length).toBeLessThan(200_000);
    const headers = { "content-encoding": "gzip" };
    expectProblem(await ingest.postRaw("events", "application/json", body, { headers }), 413);
  });

  test.each([
    ["that is none", Buffer.from("nonsense")],
    ["cut short", gzipSync(JSON.stringify(event())).subarray(0, -12)],
    ["of no bytes", Buffer.alloc(0)],
  ])("a gzip %s is a 400", async (_name, body) => {
    const headers = { "content-encoding": "gzip" };
    expectProblem(await ingest.postRaw("events", "application/json", new Uint8Array(body), { headers }), 400);
  });

  test("a charset that is UTF-8 by any spelling, or a part of it, passes; bytes that are not are a 400", async () => {
    for (const charset of ["utf-8", "UTF-8", '"utf-8"', "utf8", "US-ASCII", "ascii"])
      expect(
        (await ingest.postRaw("events", `application/json; charset=${charset}`, JSON.stringify(event())))
          .status,
      ).toBe(202);
    const latin1 = new Uint8Array(Buffer.from(JSON.stringify(event("ä")), "latin1"));
    expectProblem(await ingest.postRaw("events", "application/json", latin1), 400);
  });
});

describe("refusals", () => {
  const text = JSON.stringify(event());
  const json = { "content-type": "application/json" };
  const plain = { "content-type": "application/xml" };
  const bearer = (key: string) => ({ authorization: `Bearer ${key}` });
  const long = "x".repeat(30_000);

  test.each<[number, string, string, Record<string, string>, string | undefined]>([
    [404, "DELETE", "/nowhere", {}, undefined],
    [404, "POST", "/v1", json, text],
    [404, "POST", "/v1/", json, text],
    [404, "POST", "/v1/events/1/2", json, text],
    [404, "POST", "/v1/%zz", json, text],
    [405, "DELETE", "/v1/events", {}, undefined],
    [405, "POST", "/v1/events/1", json, text],
    [401, "POST", "/v1/nowhere", json, text],
    [401, "POST", "/v1/events", { ...json, ...bearer("wrong") }, text],
    [401, "POST", "/v1/events", { ...json, authorization: `Basic ${KEY}` }, text],
    [401, "GET", "/v1/events/1", {}, undefined],
    [401, "GET", "/v1/events", {}, undefined],
    [404, "POST", "/v1/nowhere", { ...plain, ...bearer(LEADS_KEY) }, text],
    [404, "POST", "/v1/__proto__", { ...json, ...bearer(KEY) }, text],
    [403, "POST", "/v1/events", { ...plain, ...bearer(LEADS_KEY) }, text],
    [403, "GET", "/v1/events/1", bearer(LEADS_KEY), undefined],
    [415, "POST", "/v1/events", { ...plain, ...bearer(KEY) }, long],
    [415, "POST", "/v1/events", { ...json, ...bearer(KEY), "content-encoding": "br" }, long],
    [415, "POST", "/v1/events", { "content-type": "application/json; charset=latin1", ...bearer(KEY) }, long],
    [413, "POST", "/v1/events", { ...json, ...bearer(KEY) }, long],
    [413, "POST", "/v1/events", { ...json, ...bearer(KEY) }, JSON.stringify(Array(11).fill(7))],
    [413, "POST", "/v1/events", { ...json, ...bearer(KEY) }, JSON.stringify(event("x".repeat(1000)))],
    [400, "GET", "/v1/events", bearer(KEY), undefined],
    [400, "POST", "/v1/events", { ...json, ...bearer(KEY) }, "{"],
    [400, "POST", "/v1/events", { ...json, ...bearer(KEY) }, ""],
    [400, "POST", "/v1/events", { ...json, ...bearer(KEY) }, "[]"],
    [400, "POST", "/v1/events", { ...json, ...bearer(KEY) }, "7"],
    [400, "POST", "/v1/events", { ...json, ...bearer(KEY) }, '"text"'],
    [400, "POST", "/v1/events", { ...json, ...bearer(KEY) }, "null"],
    [400, "POST", "/v1/events", { "content-type": "application/x-ndjson", ...bearer(KEY) }, "\n\n"],
    [422, "POST", "/v1/events", { ...json, ...bearer(KEY) }, "{}"],
    [422, "POST", "/v1/events", { ...json, ...bearer(KEY) }, "[1,[],null]"],
  ])("%i comes before any later refusal: %s %s", async (status, method, path, headers, body) => {
    expectProblem(
      await small.send(path, { method, headers, ...(body === undefined ? {} : { body }) }),
      status,
    );
    await expectConserved(world, "events", []);
  });

  test("no content type is a 415", async () => {
    const body = new Uint8Array(Buffer.from(text));
    expectProblem(await ingest.send("/v1/events", { method: "POST", body, headers: bearer(KEY) }), 415);
  });

  test("401 names its schemes, 405 what it allows", async () => {
    const unknown = await ingest.send("/v1/events", { method: "POST", headers: json, body: text });
    expect(unknown.headers.get("www-authenticate")).toMatch(/^Bearer .*, Basic /);
    expect((await ingest.send("/v1/events", { method: "PUT" })).headers.get("allow")).toBe("POST, GET, HEAD");
  });

  test("a body beyond the limit is answered 413 while its sender is still sending", async () => {
    const body = JSON.stringify(event("x".repeat(9_000_000)));
    for (let round = 0; round < 5; round++) expectProblem(await ingest.post("events", body), 413);
  });

  test("a body beyond the limit that does not say its length is answered 413 too", async () => {
    async function* chunks() {
      for (let i = 0; i < 100; i++) yield Buffer.alloc(100_000, "x");
    }
    const answer = await ingest.send("/v1/events", {
      method: "POST",
      headers: { ...json, ...bearer(KEY) },
      body: ReadableStream.from(chunks()),
      duplex: "half",
    } as RequestInit);
    expectProblem(answer, 413);
  });

  test("one oversized event in a batch is a rejected item", async () => {
    const answer = await small.post("events", [event(1), event("ä".repeat(600)), event(2)]);
    expect(answer.body).toMatchObject({
      accepted: 2,
      rejected: [{ index: 1, errors: [{ path: "", message: expect.stringContaining("1000 bytes") }] }],
    });
    await drainAll();
    await expectConserved(world, "events", answer.body.ids);
  });

  test("422 says every error, with the index where several were sent", async () => {
    const one = await ingest.post("locations", { lat: 91, lng: 2, x: 1 });
    expectProblem(one, 422);
    expect(one.body.errors.map(({ path }: { path: string }) => path).sort()).toEqual([
      "lat",
      "recordedAt",
      "userId",
      "x",
    ]);
    expect(one.body.errors[0]).not.toHaveProperty("index");
    const both = await ingest.post("locations", [fix(91), fix(-91)]);
    expect(both.body.errors).toMatchObject([
      { index: 0, path: "lat" },
      { index: 1, path: "lat" },
    ]);
  });

  test("a sender beyond its rate gets 429 with Retry-After, and may go on when its bucket has refilled", async () => {
    let nowMs = Date.now();
    const limited = await serveIngest(world, { keyEventsPerSecond: 10, now: () => nowMs });
    try {
      const first = await limited.post("events", Array(20).fill(event()));
      expect(first.status).toBe(202);
      expectProblem(await limited.postRaw("events", "application/json", "{"), 429); // before its body is parsed
      world.upstash.setFault(() => ({ kind: "refuse" }));
      world.neon.setFault(() => ({ kind: "refuse" }));
      const refused = await limited.post("events", [event(), event(), event(), event()]);
      expectProblem(refused, 429);
      expect(refused.headers.get("retry-after")).toBe("1");
      expectProblem(await limited.post("events", event(), { key: OTHER_KEY }), 503); // another's bucket is full
      world.upstash.setFault(undefined);
      world.neon.setFault(undefined);
      nowMs += 1000;
      const later = await limited.post("events", event());
      expect(later.status).toBe(202);
      await drainAll();
      await expectConserved(world, "events", [...first.body.ids, ...later.body.ids]);
    } finally {
      await limited.close();
    }
  });

  test("503 when neither server answers: Retry-After, ids in their order, and what was rejected", async () => {
    world.upstash.setFault(() => ({ kind: "refuse" }));
    world.neon.setFault(() => ({ kind: "refuse" }));
    const id = randomUUID();
    const answer = await ingest.post("events", [event(1, { id }), 7, event(2)]);
    expectProblem(answer, 503);
    expect(Number(answer.headers.get("retry-after"))).toBeGreaterThan(0);
    expect(answer.body).toMatchObject({
      ids: [id, expect.stringMatching(UUID_V7)],
      rejected: [{ index: 1 }],
    });
  });
});

describe("refused at the door, with its path", () => {
  const payload = (json: string) => `{"type":"t","payload":${json}}`;
  test.each([
    ["NUL", "events", payload(String.raw`{"a":["\u0000"]}`), "payload.a.0"],
    ["NUL in a key", "events", payload(String.raw`{"a":{"x\u0000":1}}`), "payload.a"],
    ["NUL in a text column", "events", String.raw`{"type":"a\u0000b","payload":1}`, "type"],
    ["a lone high surrogate", "events", payload(String.raw`{"a":"\ud800"}`), "payload.a"],
    ["a lone low surrogate", "events", payload(String.raw`"\udfff"`), "payload"],
    ["__proto__", "events", payload(`{"__proto__":{"x":1}}`), "payload.__proto__"],
    ["__proto__ at the top", "events", `{"type":"t","payload":1,"__proto__":1}`, "__proto__"],
    ["nesting beyond 64", "events", payload(`${"[".repeat(64)}${"]".repeat(64)}`), "payload.0.0"],
    ["an infinite number", "events", payload(`{"a":1e999}`), "payload.a"],
    ["an integer beyond 2^53", "events", payload(`[1,9007199254740993]`), "payload.1"],
    ["an integer beyond -2^53", "events", payload(`-9007199254740993`), "payload"],
    ["an unknown key", "events", `{"type":"t","payload":1,"extra":1}`, "extra"],
    ["a missing key", "events", `{"type":"t"}`, "payload"],
    ["a wrong type", "locations", JSON.stringify({ ...fix(1), lat: "1" }), "lat"],
    [
      "a date that is none",
      "locations",
      JSON.stringify({ ...fix(1), recordedAt: "2026-02-30T00:00:00Z" }),
      "recordedAt",
    ],
    [
      "an offset no clock has",
      "locations",
      JSON.stringify({ ...fix(1), recordedAt: "2026-02-03T00:00:00+23:00" }),
      "recordedAt",
    ],
    [
      "the year 0",
      "locations",
      JSON.stringify({ ...fix(1), recordedAt: "0000-02-03T00:00:00Z" }),
      "recordedAt",
    ],
    ["a value beyond its column", "checked", `{"n":2147483648}`, "n"],
  ])("%s", async (_name, stream, body, path) => {
    const alone = await ingest.postRaw(stream, "application/json", body);
    expectProblem(alone, 422);
    expect(alone.body.errors).toEqual([{ path, message: expect.stringMatching(/./) }]);
    const good = stream === "checked" ? { n: 1 } : stream === "locations" ? fix(1) : event();
    const among = await ingest.postRaw(stream, "application/x-ndjson", `${JSON.stringify(good)}\n${body}`);
    expect(among.body).toMatchObject({ accepted: 1, rejected: [{ index: 1, errors: [{ path }] }] });
    await drainAll();
    await expectConserved(world, stream, among.body.ids);
    expect((await whereabouts(world, stream)).dead).toEqual([]);
  });

  test.each([
    ["63 levels under the event", payload(`${"[".repeat(63)}${"]".repeat(63)}`)],
    ["the largest safe integer", payload("9007199254740991")],
    ["the smallest number", payload("5e-324")],
    ["a large number that is no integer of JSON's trouble", payload("1.5e-300")],
    ["a surrogate pair as escapes", payload(String.raw`"\ud83d\ude00"`)],
    ["the words NaN and null as text", payload(`["NaN","null"]`)],
    ["an empty object", payload("{}")],
    ["false", payload("false")],
    ["a key named constructor", payload(`{"constructor":{"prototype":1}}`)],
    ["an empty key", payload(`{"":{"":1}}`)],
    ["the last microsecond of 9999", `{"type":"t","payload":1,"occurredAt":"9999-12-31T23:59:59.999999Z"}`],
    ["a time with a far offset", `{"type":"t","payload":1,"occurredAt":"2026-02-03T00:00:00-15:59"}`],
  ])("not refused, and stored as it was sent: %s", async (_name, body) => {
    const answer = await ingest.postRaw("events", "application/json", body);
    expect(answer.status).toBe(202);
    await drainAll();
    await expectConserved(world, "events", answer.body.ids);
    expect((await rowsOf("events")).get(answer.body.ids[0])?.payload).toEqual(JSON.parse(body).payload);
  });
});

describe("where an event is", () => {
  test("unknown while it is buffered, then stored, by UUID and by raw id", async () => {
    const { body } = await ingest.post("events", event(1, { id: "order/ä 1" }));
    const [id] = body.ids;
    const before = await ingest.where("events", "order/ä 1");
    expect([before.status, before.body]).toMatchObject([404, { id, status: "unknown" }]);
    await drainAll();
    for (const name of [id, id.toUpperCase(), "order/ä 1"]) {
      const after = await ingest.where("events", name);
      expect([after.status, after.body]).toEqual([200, { id, status: "stored" }]);
    }
    const others = await ingest.where("events", "order/ä 1", OTHER_KEY);
    expect(others.status).toBe(404); // a raw id is its sender's own
  });

  test("dead while it is a dead letter; stored wins", async () => {
    const { body } = await ingest.post("checked", [{ n: -1, id: "d" }, { n: 1 }]);
    await drainAll();
    expect((await ingest.where("checked", "d")).body).toEqual({ id: body.ids[0], status: "dead" });
    await world.sql.query("insert into checked (id, received_at, n) values ($1, now(), 1)", [body.ids[0]]);
    expect((await ingest.where("checked", "d")).body).toEqual({ id: body.ids[0], status: "stored" });
  });

  test("a letter that was redriven and has not died again is unknown", async () => {
    await ingest.post("checked", { n: -1, id: "d" });
    await drainAll();
    await world.sql.query("update dead_letters set redriven_at = now()");
    expect((await ingest.where("checked", "d")).body).toMatchObject({ status: "unknown" });
  });

  test("503 while Postgres does not answer", async () => {
    world.neon.setFault(() => ({ kind: "refuse" }));
    const answer = await ingest.where("events", "1");
    expectProblem(answer, 503);
    expect(Number(answer.headers.get("retry-after"))).toBeGreaterThan(0);
  });

  test("an id with NUL is no event's", async () => {
    expectProblem(await ingest.where("events", "a\0b"), 404);
  });
});

describe("beside events", () => {
  test("health touches neither server", async () => {
    world.upstash.setFault(() => ({ kind: "hang" }));
    world.neon.setFault(() => ({ kind: "hang" }));
    const { status, body } = await ingest.send("/health");
    expect([status, body]).toEqual([200, { status: "ok" }]);
    expectProblem(await ingest.send("/health", { method: "POST" }), 405);
  });

  test("a browser of an allowed origin is let in without a key, and reads the answer", async () => {
    const origin = { origin: "https://app.example" };
    const ahead = await ingest.send("/v1/events", { method: "OPTIONS", headers: origin });
    expect(ahead.status).toBe(204);
    expect(ahead.headers.get("access-control-allow-origin")).toBe("https://app.example");
    expect(ahead.headers.get("access-control-allow-methods")).toContain("POST");
    expect(ahead.headers.get("access-control-allow-headers")?.toLowerCase()).toContain("authorization");
    const answer = await ingest.post("events", event(), { headers: origin });
    expect(answer.headers.get("access-control-allow-origin")).toBe("https://app.example");
    expect(answer.headers.get("vary")).toBe("Origin");
    const refused = await ingest.post("events", {}, { headers: origin }); // an error too
    expect(refused.headers.get("access-control-allow-origin")).toBe("https://app.example");
  });

  test("a browser of another origin reads no answer to an event", async () => {
    const headers = { origin: "https://evil.example" };
    for (const one of [ingest, small]) {
      const answer = await one.post("events", event(), { headers });
      expect([answer.status, answer.headers.has("access-control-allow-origin")]).toEqual([202, false]);
    }
  });
});

describe("a browser's preflight", () => {
  const origin = { origin: "https://app.example" };
  const ask = (headers: string) =>
    ingest.send("/v1/events", {
      method: "OPTIONS",
      headers: {
        ...origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": headers,
      },
    });

  test.each([
    "authorization,content-type,traceparent,tracestate",
    "ce-id, ce-source,ce-specversion,  x-own",
    "baggage",
  ])("is allowed the headers that it asks for: %s", async (headers) => {
    const ahead = await ask(headers);
    expect([ahead.status, ahead.headers.get("access-control-allow-headers")]).toEqual([204, headers]);
    expect(ahead.headers.get("vary")).toContain("Access-Control-Request-Headers");
  });

  test.each(["a b", "x: y", "<script>", `${"x-long,".repeat(500)}x`])(
    "is not told what is no list of names: %s",
    async (headers) => {
      const allowed = (await ask(headers)).headers.get("access-control-allow-headers");
      expect(allowed).toBe("Authorization, Content-Type, Content-Encoding, Idempotency-Key");
    },
  );

  test("a page may read Retry-After, the rate limit and the request's id", async () => {
    const { headers } = await ingest.post("events", event(), { headers: origin });
    const exposed = headers.get("access-control-expose-headers")?.toLowerCase().split(", ");
    expect(exposed).toEqual(
      expect.arrayContaining(["retry-after", "ratelimit", "ratelimit-policy", "x-request-id"]),
    );
  });
});

test.each(["/%ff", "/nowhere", "/v1/nowhere", "/v1/events?ack=sorted"])(
  "a page of an allowed origin may read the refusal of %s",
  async (path) => {
    const { status, headers } = await ingest.send(path, {
      method: "POST",
      body: "{}",
      headers: { origin: "https://app.example", authorization: `Bearer ${KEY}` },
    });
    expect([status >= 400, headers.get("access-control-allow-origin")]).toEqual([
      true,
      "https://app.example",
    ]);
  },
);

describe("the id of a request", () => {
  const idOf = async (path: string, headers: Record<string, string> = {}) =>
    (await ingest.send(path, { headers })).headers.get("x-request-id");

  test("is the sender's own, or the trace's, or a new one, on every answer", async () => {
    const trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    for (const path of ["/health", "/nowhere", "/v1/events/1"]) {
      expect(await idOf(path, { "x-request-id": "job-7/2" })).toBe("job-7/2");
      expect(await idOf(path, { traceparent: `00-${trace}-00f067aa0ba902b7-01` })).toBe(trace);
      expect(await idOf(path, { "x-cloud-trace-context": `${trace}/1;o=1` })).toBe(trace);
      const [one, other] = [await idOf(path), await idOf(path)];
      expect(one).toMatch(/^[0-9a-f-]{36}$/);
      expect(one).not.toBe(other);
    }
  });

  test.each(["a b", "x".repeat(129), '"<script>"'])(
    "is not the sender's if that is long or odd: %s",
    async (id) => expect(await idOf("/health", { "x-request-id": id })).toMatch(/^[0-9a-f-]{36}$/),
  );

  test("is in the log entry of a request that failed", async () => {
    const failing = await serveIngest(world, {
      isShedding: async () => {
        throw new Error("a bug");
      },
    });
    const answer = await failing.post("events", event(), { headers: { "x-request-id": "job-8" } });
    await failing.close();
    expect([answer.status, answer.headers.get("x-request-id")]).toEqual([500, "job-8"]);
    expect(world.said).toContainEqual({
      event: "request.failed",
      fields: expect.objectContaining({ requestId: "job-8" }),
    });
    await expectConserved(world, "events", []);
  });
});

describe("real input", () => {
  const definitions = webhooks as unknown as { name: string; examples: object[] }[];
  const payloads = definitions.flatMap(({ name, examples }) =>
    examples.map((payload) => ({ type: name, payload })),
  );
  /** Every payload equal as JSON, under its id, and a JSON object: not a text that holds one. */
  const expectStored = async (ids: string[]) => {
    await drainAll();
    await expectConserved(world, "events", ids);
    const rows = await rowsOf("events");
    for (const [i, id] of ids.entries()) expect(rows.get(id)).toMatchObject(payloads[i] ?? {});
    for (const [i, id] of ids.entries()) expect(rows.get(id)?.payload).toEqual(payloads[i]?.payload);
    const { rows: types } = await world.sql.query(
      "select distinct jsonb_typeof(payload) as type from events",
    );
    expect(types).toEqual([{ type: "object" }]);
  };

  test("every webhook of GitHub's, sent one by one", async () => {
    expect(payloads.length).toBeGreaterThan(250);
    const ids: string[] = [];
    for (let i = 0; i < payloads.length; i += 20) {
      const answers = await Promise.all(
        payloads.slice(i, i + 20).map((webhook) => ingest.post("events", webhook)),
      );
      expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 202));
      ids.push(...answers.map(({ body }) => body.ids[0]));
    }
    await expectStored(ids);
  });

  test.each(["buffered", "stored"])("every webhook of GitHub's, sent in batches, ack=%s", async (ack) => {
    const ids: string[] = [];
    for (let i = 0; i < payloads.length; i += 50) {
      const answer = await ingest.post("events", payloads.slice(i, i + 50), { query: `?ack=${ack}` });
      expect(answer.body).not.toHaveProperty("rejected");
      ids.push(...answer.body.ids);
    }
    await expectStored(ids);
  });

  test("a GPS track of 10,000 fixes in batches of 500, to the last bit of each number", async () => {
    const track = Array.from({ length: 10_000 }, (_, i) => ({
      userId: "rider-1",
      lat: 48.137154 + Math.sin(i / 700) * 0.3,
      lng: 11.576124 + Math.cos(i / 700) / 3,
      accuracy: 3 + (i % 7) / 10,
      ...(i % 3 === 0 ? {} : { speed: (i % 50) / 3 }),
      recordedAt: new Date(1_795_000_000_000 + i * 1000).toISOString(),
    }));
    const ids: string[] = [];
    for (let i = 0; i < track.length; i += 500)
      ids.push(...(await ingest.post("locations", track.slice(i, i + 500))).body.ids);
    await drainAll();
    await expectConserved(world, "locations", ids);
    const rows = await rowsOf("locations");
    const stored = ids.map((id) => {
      const { user_id, lat, lng, accuracy, speed, recorded_at } = rows.get(id) ?? {};
      return {
        ...{ userId: user_id, lat, lng, accuracy },
        ...(speed === null ? {} : { speed }),
        recordedAt: (recorded_at as Date).toISOString(),
      };
    });
    expect(stored).toEqual(track);
  });
});
