/** Public keys: everybody who opens a page has them, so they can only add events, and no visitor can harm another. */
import { createHash } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { newKey } from "../../lib/access/key-format.ts";
import { type ApiKey, plainKey } from "../../lib/config.ts";
import { drain } from "../../lib/drain/drain.ts";
import { type Ingest, type Sending, serveIngest } from "./test-ingest.ts";
import { expectConserved, KEY, openWorld, type World, whereabouts } from "./test-stack.ts";

const PAGE = newKey("public");
/** A public key with origins, and a slow one. */
const APP = newKey("public");
const SLOW = newKey("public");
/** A public key whose record names no streams. */
const LISTLESS = newKey("public");
const V4 = "9f1c7f0e-3c1b-4e0a-9d2e-0a1b2c3d4e5f";
const V7 = "01948e2a-7b4c-7def-8123-456789abcdef";
const V1 = "c232ab00-9414-11ec-b3c8-9f6bdeced846";
const V5 = "2ed6657d-e927-568b-95e1-2665a8aea6a2";

let world: World;
let ingest: Ingest;
let nowMs = 1_000_000;

const publicKey = (name: string, text: string, more: Partial<ApiKey> = {}): ApiKey => ({
  ...plainKey(name, createHash("sha256").update(text).digest(), new Set(["events", "leads", "locations"])),
  kind: "public",
  perAddressPerSecond: 1_000_000,
  ...more,
});

beforeAll(async () => {
  world = await openWorld();
  ingest = await serveIngest(world, {
    apiKeys: [
      ...world.config.apiKeys,
      publicKey("page", PAGE),
      publicKey("app", APP, { origins: ["https://app.example", "https://www.example"] }),
      publicKey("slow", SLOW, { perAddressPerSecond: 2 }),
      publicKey("listless", LISTLESS, { streams: undefined }),
    ],
    monotonicMs: () => nowMs,
  });
});
beforeEach(() => world.reset());
afterAll(async () => {
  await ingest.close();
  await world.close();
});

const event = (payload: unknown = 1, more: object = {}) => ({ type: "opened", payload, ...more });
const post = (value: unknown, sending: Sending = {}, stream = "events") =>
  ingest.post(stream, value, { key: PAGE, ...sending });

/** Drains, and checks that these ids are stored, each once, and nothing else. */
async function expectStored(ids: readonly string[], stream = "events"): Promise<void> {
  await drain(world.supervisor(), {});
  await expectConserved(world, stream, ids);
  expect((await whereabouts(world, stream)).stored.sort()).toEqual([...new Set(ids)].sort());
}

describe("a public key may only", () => {
  test("post: not ask where an event is, in any way", async () => {
    const { body } = await post(event(), { query: "?ack=buffered" });
    for (const path of [`/v1/events/${body.ids[0]}`, `/v1/events?id=${body.ids[0]}`])
      for (const [method, query] of [
        ["GET", ""],
        ["HEAD", ""],
        ["GET", `${path.includes("?") ? "&" : "?"}key=${PAGE}`],
      ] as const) {
        const headers: Record<string, string> = query === "" ? { "x-api-key": PAGE } : {};
        const answer = await ingest.send(path + query, { method, headers });
        expect([answer.status, answer.body?.code]).toEqual([
          403,
          method === "HEAD" ? undefined : "public-key-not-allowed",
        ]);
      }
    await expectStored(body.ids);
  });

  test("buffer: not wait for Postgres, whether it or the stream asks for that", async () => {
    const lead = { name: "Ada", source: "page" };
    for (const answer of [
      await post(event(), { query: "?ack=stored" }),
      await post(lead, {}, "leads"),
      await post(lead, { query: "?ack=buffered" }, "leads"),
    ])
      expect(answer).toMatchObject({
        status: 403,
        body: { code: "public-key-not-allowed", detail: expect.stringContaining("only buffered") },
      });
    expect(await post(event(), { query: "?ack=sorted" })).toMatchObject({
      status: 400,
      body: { code: "invalid-query" },
    });
    await expectStored([]);
    await expectStored([], "leads");
  });

  test("use the streams of its list, and none without a list", async () => {
    expect(await post({ contactId: "1", type: "call" }, {}, "activities")).toMatchObject({
      status: 403,
      body: { code: "stream-not-allowed" },
    });
    expect(await post(event(), {}, "nowhere")).toMatchObject({
      status: 404,
      body: { code: "unknown-stream" },
    });
    expect(await post(event(), { key: LISTLESS })).toMatchObject({
      status: 403,
      body: { code: "stream-not-allowed" },
    });
    await expectStored([]);
  });
});

describe("the ids of a public key's events", () => {
  test("are its own of version 4 or 7, or new ones; any other is a rejected item", async () => {
    const own = [undefined, V4, V7.toUpperCase(), "order-1", 7, V1, V5, V4.replaceAll("-", ""), `${V4} `, ""];
    const answer = await post(own.map((id) => event("x", id === undefined ? {} : { id })));
    expect([answer.status, answer.body.accepted]).toEqual([202, 3]);
    expect(answer.body.ids.slice(1)).toEqual([V4, V7]);
    expect(answer.body.rejected.map(({ index }: { index: number }) => index)).toEqual([3, 4, 5, 6, 7, 8, 9]);
    for (const { code, errors } of answer.body.rejected) {
      expect([code ?? "invalid-event", errors[0].path]).toEqual(["invalid-event", "id"]);
    }
    expect(await post(event("x", { id: "order-1" }))).toMatchObject({
      status: 422,
      body: {
        code: "invalid-event",
        errors: [{ path: "id", message: expect.stringContaining("version 4 or 7") }],
      },
    });
    await expectStored(answer.body.ids);
  });

  test("of CloudEvents, in each mode, follow the same rule", async () => {
    const made = (id: string) => ({
      specversion: "1.0",
      id,
      source: "/page",
      type: "opened",
      data: { a: 1 },
    });
    const batch = await ingest.postRaw(
      "events",
      "application/cloudevents-batch+json",
      JSON.stringify([made(V4), made("1"), made(V5)]),
      { key: PAGE },
    );
    expect(batch.body).toMatchObject({ accepted: 1, ids: [V4] });
    expect(batch.body.rejected).toMatchObject([
      { index: 1, errors: [{ path: "id" }] },
      { index: 2, errors: [{ path: "id" }] },
    ]);
    const structured = (id: string) =>
      ingest.postRaw("events", "application/cloudevents+json", JSON.stringify(made(id)), { key: PAGE });
    const binary = (id: string) =>
      ingest.postRaw("events", "application/json", '{"a":1}', {
        key: PAGE,
        headers: { "ce-specversion": "1.0", "ce-id": id, "ce-source": "/page", "ce-type": "opened" },
      });
    for (const send of [structured, binary]) {
      expect(await send("1")).toMatchObject({ status: 422, body: { errors: [{ path: "id" }] } });
      expect(await send(V7)).toMatchObject({ status: 202, body: { ids: [V7] } });
    }
    await expectStored([V4, V7]);
  });

  test("follow from an Idempotency-Key that nobody can guess", async () => {
    for (const guessable of ["1", "order-1", V1, V5])
      expect(await post(event(), { headers: { "idempotency-key": guessable } })).toMatchObject({
        status: 400,
        body: { code: "invalid-header", detail: expect.stringContaining("Idempotency-Key") },
      });
    const headers = { "idempotency-key": V4 };
    const [first, again] = [
      await post([event(1), event(2)], { headers }),
      await post([event(1), event(2)], { headers }),
    ];
    expect([first.status, again.body.ids]).toEqual([202, first.body.ids]);
    const secret = await ingest.post("events", event(3), { headers: { "idempotency-key": "1" } });
    await expectStored([...first.body.ids, ...secret.body.ids]); // a secret key's may be any text
  });
});

describe("while Redis is away", () => {
  test.each(["refuse", "cut-after"] as const)(
    "a public key's events are not written to Postgres: 503 with ids, and sent again they are stored once (%s)",
    async (kind) => {
      world.upstash.setFault(({ commands }) => (commands[0]?.[0] === "LPUSH" ? { kind } : undefined));
      const sent = [event(1), event(2, { id: V4 }), event(3, { id: "order-1" })];
      const answer = await post(sent);
      expect(answer).toMatchObject({
        status: 503,
        body: { code: "buffer-away", rejected: [{ index: 2, errors: [{ path: "id" }] }] },
      });
      expect(Number(answer.headers.get("retry-after"))).toBeGreaterThan(0);
      expect(answer.body.ids).toEqual([expect.any(String), V4]);
      expect((await whereabouts(world, "events")).stored).toEqual([]);
      const secret = await ingest.post("events", event("secret"));
      expect(secret.status).toBe(201); // a secret key's are
      world.upstash.setFault(undefined);
      nowMs += 60_000;
      const again = await post([event(1, { id: answer.body.ids[0] }), event(2, { id: V4 })]);
      expect(again).toMatchObject({ status: 202, body: { ids: answer.body.ids } });
      await expectStored([...answer.body.ids, ...secret.body.ids]);
    },
  );
});

describe("the rate of a client's address", () => {
  const from = (forwardedFor: string, count = 1, key = SLOW) =>
    post(
      Array.from({ length: count }, (_, i) => event(i)),
      { key, headers: { "x-forwarded-for": forwardedFor } },
    );

  test("counts events by the last hop of X-Forwarded-For, which a client can't choose", async () => {
    nowMs += 60_000;
    const ids: string[] = [];
    const take = async (forwardedFor: string, count = 1) => {
      const answer = await from(forwardedFor, count);
      if (answer.status === 202) ids.push(...answer.body.ids);
      return answer;
    };
    expect((await take("192.0.2.1", 4)).status).toBe(202); // the burst of two seconds
    for (const hops of [
      "192.0.2.1",
      "forged, 192.0.2.1",
      "203.0.113.1,192.0.2.1:4711",
      " ::ffff:192.0.2.1 ",
    ]) {
      const answer = await take(hops);
      expect(answer).toMatchObject({
        status: 429,
        body: { code: "rate-limited", detail: expect.stringContaining("address") },
      });
      expect(answer.headers.get("retry-after")).toBe("1");
    }
    expect((await take("192.0.2.1, 192.0.2.2")).status).toBe(202);
    expect((await take("2001:db8:0:7::1", 4)).status).toBe(202);
    expect((await take("[2001:db8:0:7:ffff::2]:443")).status).toBe(429);
    expect((await take("2001:db8:0:8::1")).status).toBe(202);
    nowMs += 500;
    expect([(await take("192.0.2.1")).status, (await take("192.0.2.1")).status]).toEqual([202, 429]);
    await expectStored(ids);
  });

  test("is that of the socket's address where no proxy says another", async () => {
    nowMs += 60_000;
    const bare = await post([event(1), event(2), event(3), event(4)], { key: SLOW });
    expect([bare.status, (await from("127.0.0.1")).status, (await from("unknown")).status]).toEqual([
      202, 429, 429,
    ]);
    await expectStored(bare.body.ids);
  });

  test("is one key's: another key's clients, and a secret key, are not slowed", async () => {
    nowMs += 60_000;
    const ids = (await from("192.0.2.1", 4)).body.ids;
    expect((await from("192.0.2.1")).status).toBe(429);
    for (const key of [PAGE, KEY]) {
      const { status, body } = await from("192.0.2.1", 50, key);
      expect(status).toBe(202);
      ids.push(...body.ids);
    }
    await expectStored(ids);
  });

  test("in debt is told before the body is read", async () => {
    nowMs += 60_000;
    const { body } = await from("192.0.2.1", 100);
    const answer = await ingest.postRaw("events", "application/json", "{", {
      key: SLOW,
      headers: { "x-forwarded-for": "192.0.2.1" },
    });
    expect(answer.status).toBe(429);
    await expectStored(body.ids);
  });

  test("stands beside the rate of the key", async () => {
    const limited = await serveIngest(world, {
      apiKeys: [publicKey("page", PAGE)],
      keyEventsPerSecond: 5,
      now: () => 1_800_000_000_000,
    });
    const ids: string[] = [];
    const statuses: number[] = [];
    for (let i = 0; i < 4; i += 1) {
      const answer = await limited.post("events", [event(1), event(2), event(3)], {
        key: PAGE,
        headers: { "x-forwarded-for": `192.0.2.${i}` },
      });
      statuses.push(answer.status);
      if (answer.status === 202) ids.push(...answer.body.ids);
    }
    await limited.close();
    expect(statuses).toEqual([202, 202, 202, 429]); // 10 tokens: a burst of two seconds
    await expectStored(ids);
  });
});

describe("the origins of a public key", () => {
  const from = (origin: string | undefined, key = APP) =>
    post(event(), { key, headers: origin === undefined ? {} : { origin } });

  test.each([
    ["https://app.example", 202],
    ["https://www.example", 202],
    [undefined, 202], // an app, or curl: this is a filter, and no protection
    ["https://evil.example", 403],
    ["https://app.example.evil.example", 403],
    ["http://app.example", 403],
    ["https://app.example:8443", 403],
    ["https://APP.example", 403], // no browser sends it
    ["null", 403],
    ["https://app.example, https://www.example", 403],
  ])("are compared with the request's: %s is %i", async (origin, status) => {
    const answer = await from(origin);
    expect(answer.status).toBe(status);
    if (status === 403) expect(answer.body.code).toBe("origin-not-allowed");
    await expectStored(status === 202 ? answer.body.ids : []);
  });

  test("are any if it names none", async () => {
    const ids: string[] = [];
    for (const origin of ["https://evil.example", "null", undefined])
      ids.push(...(await from(origin, PAGE)).body.ids);
    await expectStored(ids);
  });
});
