/** Senders that cost more than they send: whatever comes, it is refused before it costs, and others are answered meanwhile. */
import { request } from "node:http";
import { gzipSync } from "node:zlib";
import { pgTable, text } from "drizzle-orm/pg-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { z } from "zod";
import { drain } from "../../lib/drain/drain.ts";
import { Room } from "../../lib/flow/room.ts";
import { defineStream, eventColumns } from "../../lib/schema/stream.ts";
import { type Answer, type Ingest, type Overrides, serveIngest } from "./test-ingest.ts";
import { expectConserved, KEY, openWorldWith, type World } from "./test-stack.ts";

/** A stream whose own code fails on some events: its schema, its rows, its CloudEvents. */
const fragile = defineStream({
  name: "fragile",
  table: pgTable("fragile", { ...eventColumns(), note: text("note").notNull() }),
  schema: z.strictObject({
    note: z.string().transform((note) => {
      if (note === "schema") throw new TypeError("secret of the schema");
      return note;
    }),
    more: z.string().optional(),
  }),
  toRow: ({ note, more }) => {
    if (note === "row") throw new RangeError("secret of the row");
    return { note: more?.toUpperCase() ?? note };
  },
  fromCloudEvent: ({ data }) => ({ note: (data as { note: string }).note.trim() }),
});

let world: World;
let ingest: Ingest;
beforeAll(async () => {
  world = await openWorldWith(fragile, "note text not null");
  ingest = await serveIngest(world);
});
beforeEach(() => world.reset());
afterEach(() => void vi.restoreAllMocks());
afterAll(async () => {
  await ingest.close();
  await world.close();
});

const event = (i: number) => ({ type: "t", payload: { i } });
const GZIP = { headers: { "content-encoding": "gzip" } };

async function withIngest(overrides: Overrides, run: (one: Ingest) => Promise<void>): Promise<void> {
  const one = await serveIngest(world, overrides);
  try {
    await run(one);
  } finally {
    await one.close();
  }
}

/** The length of the longest text that is parsed while `run` runs. */
async function longestParsed(run: () => Promise<void>): Promise<number> {
  const parse = vi.spyOn(JSON, "parse");
  await run();
  return Math.max(0, ...parse.mock.calls.map(([one]) => one.length));
}

describe("work before knowledge", () => {
  const brackets = "[".repeat(8_000_000);

  test.each([
    ["brackets", "application/json", `{"type":"t","payload":${brackets}`, 422],
    ["brackets at the top", "application/json", brackets, 400],
    ["brackets in NDJSON", "application/x-ndjson", brackets, 422],
    ["brackets in a CloudEvent", "application/cloudevents+json", `{"data":${brackets}`, 422],
    ["brackets in a batch of CloudEvents", "application/cloudevents-batch+json", brackets, 400],
    ["objects", "application/json", `{"a":`.repeat(1_600_000), 422],
    ["empty arrays", "application/json", `{"type":"t","payload":[${"[],".repeat(2_000_000)}[]]}`, 413],
    ["empty events", "application/json", `[${"{},".repeat(2_000_000)}{}]`, 413],
    ["events of nothing", "application/json", `[${"0,".repeat(3_000_000)}0]`, 413],
    ["lines", "application/x-ndjson", "0\n".repeat(3_000_000), 413],
    ["keys", "application/json", `{${'"k":1,'.repeat(1_200_000)}"k":1}`, 413],
    ["quotes that never end", "application/json", `{"a":"${'\\"'.repeat(3_900_000)}`, 413],
    ["digits", "application/json", `{"a":${"1".repeat(8_000_000)}}`, 413],
  ])("8 MB of %s are refused before they are parsed", async (_, type, body, status) => {
    const zipped = new Uint8Array(gzipSync(body));
    const longest = await longestParsed(async () => {
      for (const answer of [
        await ingest.postRaw("events", type, zipped, GZIP),
        await ingest.postRaw("events", type, body),
      ]) {
        expect([answer.status, answer.headers.get("content-type")]).toEqual([
          status,
          "application/problem+json",
        ]);
        expect(JSON.stringify(answer.body).length).toBeLessThan(300_000);
      }
    });
    expect(longest).toBeLessThan(300_000);
    await expectConserved(world, "events", []);
  });

  test("an inflated body over the limit is refused, whatever it would hold", async () => {
    const bomb = new Uint8Array(gzipSync(Buffer.alloc(60_000_000, " ")));
    expect((await ingest.postRaw("events", "application/json", bomb, GZIP)).status).toBe(413);
  });

  test("an echo is capped: 20 errors an event, and how many more; long texts are cut", async () => {
    const keys = Array.from({ length: 3000 }, (_, i) => [`k${i}`, 1] as const);
    const { status, body } = await ingest.post("events", Object.fromEntries(keys));
    expect([status, body.errors.length, body.more]).toEqual([422, 20, 3002 - 20]);
    const long = await ingest.post("events", { type: "t", payload: 1, ["x".repeat(30_000)]: 1 });
    expect(long.body.errors).toHaveLength(1);
    expect(long.body.errors[0].path).toMatch(/^x{200}… \(29800 more characters\)$/);
  });

  test("each rejected event of a batch keeps its index and one error, and the answer stays small", async () => {
    const keys = Object.fromEntries(Array.from({ length: 400 }, (_, i) => [`unknown_${i}`, 1]));
    const batch = Array.from({ length: 1000 }, (_, i) => (i % 100 === 0 ? event(i) : keys));
    const zipped = new Uint8Array(gzipSync(JSON.stringify(batch)));
    const { status, body } = await ingest.postRaw("events", "application/json", zipped, GZIP);
    expect([status, body.accepted, body.rejected.length]).toEqual([202, 10, 990]);
    expect(body.rejected.map(({ index }: { index: number }) => index)).toEqual(
      batch.flatMap((_, i) => (i % 100 === 0 ? [] : [i])),
    );
    const told = body.rejected.map(({ errors, more }: { errors: unknown[]; more: number }) => [
      errors.length,
      errors.length + more,
    ]);
    expect(told.every(([errors, all]: [number, number]) => errors >= 1 && all === 402)).toBe(true);
    expect(told.reduce((sum: number, [errors]: [number]) => sum + errors, 0)).toBeLessThanOrEqual(1100);
    expect(JSON.stringify(body).length).toBeLessThan(200_000);
    await drain(world.supervisor(), {});
    await expectConserved(world, "events", body.ids);
  });

  test("what all bodies hold together is bounded: past it 503, and a small body passes", async () => {
    const room = new Room(3_000_000);
    await withIngest({ room }, async (one) => {
      const large = Buffer.from(JSON.stringify(Array.from({ length: 1000 }, (_, i) => event2000(i))));
      const held = sendPart(one.url, large, large.length - 10);
      await vi.waitFor(() => expect(hasRoom(room, 1_500_000)).toBe(false), 10_000);
      const refused = await one.postRaw("events", "application/json", new Uint8Array(large));
      expect(refused.status).toBe(503);
      expect(refused.headers.get("retry-after")).toBeTruthy();
      expect(refused.body.ids).toBeUndefined();
      const small = await one.post("events", event(1));
      expect(small.status).toBe(202);
      const answer = await held.finish();
      expect(answer.status).toBe(202);
      const later = await one.postRaw("events", "application/json", new Uint8Array(large)); // the room is free again
      expect(later.status).toBe(202);
      await drain(world.supervisor(), {});
      await expectConserved(world, "events", [...small.body.ids, ...answer.body.ids, ...later.body.ids]);
    });
  });

  test.each([
    [
      "numbers with exponents",
      JSON.stringify({ type: "t", payload: [] }).replace("[]", `[${"1e15,".repeat(1800)}1]`),
    ],
    ["one character beyond Latin-1", JSON.stringify({ type: "t", payload: `€${"x".repeat(30_000)}` })],
  ])("a body counts by the memory that its events take: %s", async (_, large) => {
    const batch = `[${Array.from({ length: 1_000_000 / large.length }, () => large).join(",")}]`;
    const how = { query: "?ack=stored" };
    await withIngest({ room: new Room(1_500_000) }, async (one) => {
      const refused = await one.postRaw("events", "application/json", batch, how);
      expect([refused.status, refused.body.detail]).toEqual([503, expect.stringContaining("large bodies")]);
      expect(refused.headers.get("retry-after")).toBeTruthy();
      const plain = await one.post(
        "events",
        Array.from({ length: 400 }, (_, i) => event2000(i)),
        how,
      ); // as large as sent
      expect(plain.status).toBe(201);
      await expectConserved(world, "events", plain.body.ids);
    });
  });

  test.each(["breaks off", "is refused"])("a body that %s gives its room back", async (how) => {
    await withIngest({ room: new Room(3_000_000) }, async (one) => {
      const large = Buffer.from(JSON.stringify(Array.from({ length: 1000 }, (_, i) => event2000(i))));
      for (let round = 0; round < 4; round++) {
        if (how === "breaks off") await sendPart(one.url, large, large.length - 10).breakOff();
        else await one.postRaw("events", "application/json", `${large.toString()}x`);
      }
      const answer = await untilAnswered(
        () => one.postRaw("events", "application/json", new Uint8Array(large)),
        202,
      );
      await drain(world.supervisor(), {});
      await expectConserved(world, "events", answer.body.ids);
    });
  });

  test("bodies that are refused for want of room, while their events wait for their turn, give it all back", async () => {
    const room = new Room(3_000_000);
    await withIngest({ room }, async (one) => {
      const large = JSON.stringify(Array.from({ length: 1000 }, (_, i) => event2000(i)));
      const zipped = new Uint8Array(gzipSync(large));
      const send = () => one.postRaw("events", "application/json", zipped, GZIP);
      const answers = await Promise.all(Array.from({ length: 20 }, send));
      expect(new Set(answers.map(({ status }) => status))).toContain(503);
      const last = await send();
      expect(last.status).toBe(202);
      expect(hasRoom(room, 3_000_000)).toBe(true);
      const accepted = [...answers, last].filter(({ status }) => status === 202);
      await drain(world.supervisor(), {});
      await expectConserved(
        world,
        "events",
        accepted.flatMap(({ body }) => body.ids),
      );
    });
  });

  test("a body that is refused because the buffer is full takes no room after its answer", async () => {
    const room = new Room(3_000_000);
    await withIngest({ room, isShedding: async () => true }, async (one) => {
      const large = Buffer.from(JSON.stringify(Array.from({ length: 1000 }, (_, i) => event2000(i))));
      for (let round = 0; round < 3; round++) {
        const answer = await sendPart(one.url, large, 100_000).finish(); // most of it comes after the answer
        expect(answer.status).toBe(503);
      }
      await vi.waitFor(() => expect(hasRoom(room, 3_000_000)).toBe(true));
      await expectConserved(world, "events", []);
    });
  });

  test("a key in debt is refused before its body is parsed", async () => {
    await withIngest({ keyEventsPerSecond: 5, now: () => 0 }, async (one) => {
      const { body } = await one.post(
        "events",
        Array.from({ length: 11 }, (_, i) => event(i)),
      );
      const longest = await longestParsed(async () => {
        for (const sent of ["{", `{"type":"${"x".repeat(4_000_000)}"}`]) {
          const refused = await one.postRaw("events", "application/json", sent);
          expect([refused.status, refused.headers.get("retry-after")]).toEqual([429, "1"]);
        }
      });
      expect(longest).toBeLessThan(1000); // the answers themselves
      await expectConserved(world, "events", body.ids);
    });
  });

  test("a full buffer is refused before a body is parsed; a small body hears its ids", async () => {
    await withIngest({ isShedding: async () => true }, async (one) => {
      const large = `{"type":"${"x".repeat(4_000_000)}"}`;
      const longest = await longestParsed(async () => {
        for (const [sent, more] of [
          ["{", {}],
          [large, {}],
          [new Uint8Array(gzipSync(large)), GZIP],
        ] as const) {
          const refused = await one.postRaw("events", "application/json", sent as string, more);
          expect([refused.status, refused.body.ids]).toEqual([503, undefined]);
          expect(refused.headers.get("retry-after")).toBeTruthy();
        }
      });
      expect(longest).toBeLessThan(1000);
      const small = await one.post("events", [event(1), event(2), { type: 1 }]);
      expect([small.status, small.body.ids.length, small.body.rejected.length]).toEqual([503, 2, 1]);
      await expectConserved(world, "events", []);
      const stored = await one.post("events", event(1), { query: "?ack=stored" }); // needs no buffer
      expect(stored.status).toBe(201);
      await expectConserved(world, "events", stored.body.ids);
    });
  });
});

describe("a stream's own code that throws", () => {
  test.each([
    ["its schema", { note: "schema" }],
    ["its rows", { note: "row" }],
  ])("in %s: that event is a rejected item, the others are stored", async (_, bad) => {
    const { status, body } = await ingest.post("fragile", [{ note: "a" }, bad, { note: "b" }]);
    expect([status, body.accepted]).toEqual([202, 2]);
    expect(body.rejected).toMatchObject([{ index: 1, errors: [{ path: "" }] }]);
    expect(JSON.stringify(body)).not.toContain("secret");
    const alone = await ingest.post("fragile", bad, { query: "?ack=stored" });
    expect(alone.status).toBe(422);
    await drain(world.supervisor(), {});
    await expectConserved(world, "fragile", body.ids);
  });

  test("in its mapping of CloudEvents: that event is a rejected item, the others are stored", async () => {
    const cloudEvent = (id: string, data: unknown) => ({
      specversion: "1.0",
      id,
      source: "/s",
      type: "t",
      data,
    });
    const batch = [cloudEvent("1", { note: "a" }), cloudEvent("2", null), cloudEvent("3", { note: 5 })];
    const { status, body } = await ingest.postRaw(
      "fragile",
      "application/cloudevents-batch+json",
      JSON.stringify(batch),
    );
    expect([status, body.accepted, body.rejected.map(({ index }: { index: number }) => index)]).toEqual([
      202,
      1,
      [1, 2],
    ]);
    await drain(world.supervisor(), {});
    await expectConserved(world, "fragile", body.ids);
  });
});

const event2000 = (i: number) => ({ type: "t", payload: { i, text: "x".repeat(2000) } });

/** Whether a room takes so many bytes now. */
function hasRoom(room: Room, bytes: number): boolean {
  const share = room.share();
  const has = share.take(bytes);
  share.giveBack();
  return has;
}

/** Sends the first bytes of a body, and keeps the connection. */
function sendPart(url: string, body: Buffer, bytes: number) {
  const headers = {
    authorization: `Bearer ${KEY}`,
    "content-type": "application/json",
    "content-length": body.length,
  };
  const sending = request(`${url}/v1/events`, { method: "POST", headers });
  // biome-ignore lint/suspicious/noExplicitAny: a test looks into whatever was answered
  const answered = new Promise<{ status: number | undefined; body: any }>((resolve, reject) => {
    sending.on("error", reject).on("response", (response) => {
      response.setEncoding("utf8");
      let text = "";
      response.on("data", (piece) => {
        text += piece;
      });
      response.on("end", () => resolve({ status: response.statusCode, body: JSON.parse(text) }));
    });
  });
  sending.write(body.subarray(0, bytes));
  return {
    finish() {
      sending.end(body.subarray(bytes));
      return answered;
    },
    async breakOff() {
      sending.destroy();
      await answered.catch(() => {});
    },
  };
}

/** Sends again until the answer has this status. */
async function untilAnswered(send: () => Promise<Answer>, status: number): Promise<Answer> {
  return vi.waitFor(
    async () => {
      const answer = await send();
      expect(answer.status).toBe(status);
      return answer;
    },
    { timeout: 10_000 },
  );
}
