/** Large events: packed in the buffer, and the same as any other everywhere else. */
import { once } from "node:events";
import { request } from "node:http";
import { json } from "node:stream/consumers";
import { setImmediate as nextTurn } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { gunzipSync, gzipSync } from "node:zlib";
import { afterAll, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { drain } from "../../lib/drain/drain.ts";
import { encodeEnvelope, type Pushable } from "../../lib/schema/envelope.ts";
import { type Ingest, serveIngest } from "./test-ingest.ts";
import { envelopeOf, expectConserved, KEY, openWorld, type World } from "./test-stack.ts";

let world: World;
let ingest: Ingest;
beforeAll(async () => {
  world = await openWorld();
  ingest = await serveIngest(world, { partitions: 1, bufferMaxBytes: 20_000 });
});
beforeEach(() => world.reset());
afterAll(async () => {
  await ingest.close();
  await world.close();
});

const P = { stream: "checked", index: 0 };
const hostile = `ä "quoted" \\ 😀 \t\n {"id":"x"},`;
/** Some 15 KB. */
const large = { list: Array.from({ length: 200 }, (_, i) => ({ i, hostile })) };

const buffered = (stream: string) => world.redis.lrange(`{spillway}:${stream}:pending:0`, 0, -1);
setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

/** What this process holds on to, in bytes. */
async function heldBytes(): Promise<number> {
  for (let rounds = 0; rounds < 3; rounds++) {
    collectGarbage();
    await nextTurn();
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

const gunzip = (packed: string) => gunzipSync(Buffer.from(packed, "base64")).toString();

test("a large event is packed in Redis under its own head, and stored as it was sent", async () => {
  const event = { type: "t", payload: large };
  const { status, body } = await ingest.post("events", [event, { type: "small", payload: 1 }]);
  expect(status).toBe(202);
  const [small = "", packed = ""] = await buffered("events"); // newest first
  expect(JSON.parse(packed)).toEqual({
    ...{ v: 1, id: body.ids[0], receivedAt: expect.any(String), gzip: expect.any(String) },
  });
  expect(gunzip(JSON.parse(packed).gzip)).toBe(JSON.stringify(event));
  expect(packed.length).toBeLessThan(1000);
  expect(JSON.parse(small).data).toEqual({ type: "small", payload: 1 });

  await drain(world.supervisor(), { stream: "events" });
  const { rows } = await world.sql.query("select payload from events where id = $1", [body.ids[0]]);
  expect(rows).toEqual([{ payload: large }]);
  await expectConserved(world, "events", body.ids);
});

test("the buffer's room is counted in bytes as packed", async () => {
  const accepted: string[] = [];
  for (let i = 0; i < 10; i++) {
    const { status, body } = await ingest.post("events", { type: "t", payload: large });
    expect(status).toBe(202); // 150 KB in the end, in a partition of 20 KB
    accepted.push(...body.ids);
  }
  await expectConserved(world, "events", accepted);
});

test.each(["gzip", "identity"])(
  "a request that waits holds its packed events, and no body (%s)",
  async (encoding) => {
    const waiting: Pushable[][] = [];
    let open = () => {};
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    const slow = await serveIngest(world, {
      push: async (stream, envelopes) => {
        waiting.push([...envelopes]);
        await gate;
        await world.buffer.push({ stream, index: 0 }, envelopes.map(encodeEnvelope));
      },
    });
    const events = Array.from({ length: 120 }, (_, i) => ({
      type: "t",
      payload: `${i} ${"x".repeat(30_000)}`,
    }));
    const plain = Buffer.from(JSON.stringify(events)); // 3.6 MB, one for all requests
    const body = encoding === "gzip" ? gzipSync(plain) : plain;
    const before = await heldBytes();
    const answers = Array.from({ length: 10 }, () => {
      const sent = request(`${slow.url}/v1/events`, {
        method: "POST",
        headers: {
          authorization: `Bearer ${KEY}`,
          "content-type": "application/json",
          "content-encoding": encoding,
        },
      });
      sent.end(body);
      return once(sent, "response").then(([response]) => json(response)) as Promise<{ ids: string[] }>;
    });
    await vi.waitFor(() => expect(waiting).toHaveLength(10), 10_000);
    const held = (await heldBytes()) - before;
    open();
    const ids = (await Promise.all(answers)).flatMap((answer) => answer.ids);
    await slow.close();
    expect(held).toBeLessThan(10_000_000); // of 36 MB
    expect(ids).toHaveLength(1200);
    await expectConserved(world, "events", ids);
  },
);

test("a large event that Redis did not take is stored as it was sent", async () => {
  world.upstash.setFault(() => ({ kind: "refuse" }));
  const { status, body } = await ingest.post("events", { type: "t", payload: large });
  expect([status, body.ack]).toEqual([201, "stored"]);
  const { rows } = await world.sql.query("select payload from events where id = $1", body.ids);
  expect(rows).toEqual([{ payload: large }]);
  await expectConserved(world, "events", body.ids);
});

test("a large event that dies is a letter that people can read", async () => {
  const note = hostile.repeat(200);
  const { id, envelope, packed } = envelopeOf({ n: -1, note });
  await world.buffer.push(P, [packed]);
  await drain(world.supervisor(), { stream: "checked" });
  const { rows } = await world.sql.query("select id, envelope from dead_letters");
  expect(rows).toEqual([{ id, envelope }]);
  await expectConserved(world, "checked", [id]);
});

test("what is packed and damaged is a dead letter, and its neighbours land", async () => {
  const [first, damaged, last] = [1, 2, 3].map((n) => envelopeOf({ n, note: hostile.repeat(200) })) as [
    ReturnType<typeof envelopeOf>,
    ReturnType<typeof envelopeOf>,
    ReturnType<typeof envelopeOf>,
  ];
  const text = damaged.packed;
  const at = text.length - 40;
  const spoilt = text.slice(0, at) + (text[at] === "A" ? "B" : "A") + text.slice(at + 1);
  await world.buffer.push(P, [first.packed, spoilt, last.packed]);
  const report = await drain(world.supervisor(), { stream: "checked" });
  expect(report.streams).toMatchObject([{ stored: 2, dead: 1, outcome: "empty" }]);
  const { rows } = await world.sql.query("select id, envelope, reason from dead_letters");
  expect(rows).toEqual([{ id: expect.any(String), envelope: spoilt, reason: "not an envelope" }]);
  await expectConserved(world, "checked", [first.id, last.id, rows[0].id]);
});
