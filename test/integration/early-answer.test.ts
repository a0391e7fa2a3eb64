/** An answer that is given before its request's body has come: the sender reads it, whatever its client does. */
import { once } from "node:events";
import { connect } from "node:net";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Ingest, serveIngest } from "./test-ingest.ts";
import { expectConserved, KEY, openWorld, type World } from "./test-stack.ts";

let world: World;
let ingest: Ingest;
beforeAll(async () => {
  world = await openWorld();
  ingest = await serveIngest(world, { isShedding: async (stream) => stream === "activities" });
});
beforeEach(() => world.reset());
afterAll(async () => {
  await ingest.close();
  await world.close();
});

const BODY = Buffer.alloc(6_000_000, "x");
const json = { "content-type": "application/json", authorization: `Bearer ${KEY}` };

/** A refusal: its status, the request's path, its headers. */
const REFUSALS: [number, string, string, Record<string, string>][] = [
  [401, "POST", "/v1/events", { ...json, authorization: "Bearer nobody" }],
  [404, "POST", "/v1/nowhere", json],
  [404, "POST", "/nowhere", json],
  [405, "PUT", "/v1/events", json],
  [413, "POST", "/v1/events", json],
  [415, "POST", "/v1/events", { ...json, "content-type": "image/png" }],
  [415, "POST", "/v1/events", { ...json, "content-encoding": "br" }],
  [400, "POST", "/v1/events?ack=sorted", json],
  [503, "POST", "/v1/activities", { ...json, "content-encoding": "gzip" }],
];
const large = (status: number) => (status === 413 ? Buffer.alloc(12_000_000, "x") : BODY);

/** Sends a request as simple clients do: writes all of it, and reads then. Returns what it read until the connection ended, or until it is an answer. */
async function writeThenRead(head: string, pieces: Iterable<Buffer>, untilClosed = false): Promise<string> {
  const { hostname, port } = new URL(ingest.url);
  const socket = connect(Number(port), hostname);
  let text = "";
  socket.pause();
  socket.write(head);
  for (const piece of pieces) if (!socket.write(piece)) await once(socket, "drain");
  socket.setEncoding("latin1").on("data", (piece) => {
    text += piece;
    if (text.endsWith("}\n") && !untilClosed) socket.destroy();
  });
  socket.resume();
  await once(socket, "close");
  return text;
}

const headOf = (method: string, path: string, headers: Record<string, string>) =>
  `${method} ${path} HTTP/1.1\r\nhost: spillway\r\n${Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join("")}\r\n`;

function* piecesOf(body: Buffer, asChunks = false): Generator<Buffer> {
  for (let at = 0; at < body.length; at += 100_000) {
    const piece = body.subarray(at, at + 100_000);
    yield asChunks
      ? Buffer.concat([Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from("\r\n")])
      : piece;
  }
  if (asChunks) yield Buffer.from("0\r\n\r\n");
}

const expectAnswer = (text: string, status: number) => {
  const [head = "", body = ""] = text.split("\r\n\r\n");
  expect([head.split("\r\n")[0]?.split(" ")[1], head.includes("application/problem+json")]).toEqual([
    `${status}`,
    true,
  ]);
  expect(JSON.parse(body)).toMatchObject({ status });
};

describe.each(REFUSALS)("%i for %s %s %j", (status, method, path, headers) => {
  test.each(["keep-alive", "close"])(
    "is read by a client that writes its whole body first: %s",
    async (connection) => {
      const body = large(status);
      for (let round = 0; round < 5; round++) {
        const head = headOf(method, path, { ...headers, connection, "content-length": `${body.length}` });
        expectAnswer(await writeThenRead(head, piecesOf(body)), status);
      }
    },
  );

  test("is read although the body does not say its length", async () => {
    const head = headOf(method, path, { ...headers, "transfer-encoding": "chunked" });
    expectAnswer(await writeThenRead(head, piecesOf(large(status), true)), status);
  });

  test("is read by fetch", async () => {
    for (let round = 0; round < 5; round++) {
      const answer = await ingest.send(path, { method, headers, body: new Uint8Array(large(status)) });
      expect([answer.status, answer.body.status]).toEqual([status, status]);
    }
    await expectConserved(world, "events", []);
  });
});

test("a 417 is read by a client that does not wait for it before it writes its body", async () => {
  for (let round = 0; round < 5; round++) {
    const head = headOf("POST", "/v1/events", { ...json, expect: "tea", "content-length": `${BODY.length}` });
    expectAnswer(await writeThenRead(head, piecesOf(BODY)), 417);
  }
});

test("after such an answer the connection can be used again", async () => {
  const head = headOf("POST", "/v1/nowhere", { ...json, "content-length": `${BODY.length}` });
  const health = "GET /health HTTP/1.1\r\nhost: spillway\r\nconnection: close\r\n\r\n";
  const text = await writeThenRead(head, [BODY, Buffer.from(health)], true);
  expect(text.match(/^HTTP\/1\.1 \d+/gm)).toEqual(["HTTP/1.1 404", "HTTP/1.1 200"]);
});

test.each([
  [
    "large",
    Buffer.concat([Buffer.from("186a0\r\n"), Buffer.alloc(100_000, "x"), Buffer.from("\r\n")]),
    100_000_000,
  ],
  ["tiny", Buffer.from("1\r\nx\r\n".repeat(10_000)), 10_000_000],
])("a body that does not end, in %s chunks, is not read for ever", async (_, piece, mostBytes) => {
  function* endless() {
    for (let sent = 0; sent < 4 * mostBytes; sent += piece.length) yield piece;
  }
  const head = headOf("POST", "/v1/nowhere", { ...json, "transfer-encoding": "chunked" });
  const { hostname, port } = new URL(ingest.url);
  const socket = connect(Number(port), hostname);
  socket.on("error", () => {});
  let text = "";
  socket.setEncoding("latin1").on("data", (read) => {
    text += read;
  });
  const closed = once(socket, "close").catch(() => {});
  socket.write(head);
  let sent = 0;
  for (const one of endless()) {
    if (socket.destroyed) break;
    sent += one.length;
    if (!socket.write(one)) await Promise.race([once(socket, "drain").catch(() => {}), closed]);
  }
  await closed;
  expectAnswer(text, 404);
  expect([socket.destroyed, sent < mostBytes]).toEqual([true, true]);
});

describe("what is taken, and what is told", () => {
  const event = '{"type":"t","payload":1}';

  test.each([
    ["text/plain;charset=UTF-8", event],
    ["application/ndjson", event],
    ["application/jsonl", event],
  ])("%s is taken", async (type, body) => {
    const answer = await ingest.postRaw("events", type, body);
    expect(answer.status).toBe(202);
    await expectConserved(world, "events", answer.body.ids);
  });

  test("x-gzip is gzip", async () => {
    const { gzipSync } = await import("node:zlib");
    const headers = { "content-encoding": "X-GZIP" };
    const answer = await ingest.postRaw("events", "application/json", new Uint8Array(gzipSync(event)), {
      headers,
    });
    expect(answer.status).toBe(202);
    await expectConserved(world, "events", answer.body.ids);
  });

  test("a 415 names what came and what is taken", async () => {
    const { body } = await ingest.postRaw("events", "image/png", event);
    expect(body.detail).toMatch(/application\/json.*application\/x-ndjson.*"image\/png"/);
    const encoded = await ingest.postRaw("events", "application/json", event, {
      headers: { "content-encoding": "br" },
    });
    expect(encoded.body.detail).toMatch(/gzip.*"br"/);
  });

  test.each([
    ..."Ack=stored ACK=stored acK=x ack%20=stored akc=stored kac=1 ak=stored ac=1 ck=1 acks=stored ackn=1 ask=stored".split(
      " ",
    ),
    ..."aack=1 acck=1 acknowledge=stored ack[]=stored level=stored durability=STORED x=buffered".split(" "),
    ..."ack=Stored ack= ack=buffered&ack=stored ack=stored&ack=stored ack=constructor".split(" "),
  ])("?%s is a 400: it might promise less than its sender thinks", async (query) => {
    const answer = await ingest.post("events", { type: "t", payload: 1 }, { query: `?${query}` });
    expect([answer.status, answer.body.detail]).toEqual([400, expect.stringContaining("expected ack=")]);
    await expectConserved(world, "events", []);
  });

  test.each(["utm_source=x", "a=1", "track=1", "callback=x", "key=1", "source=/s"])(
    "?%s is another's",
    async (query) => {
      const answer = await ingest.post("events", { type: "t", payload: 1 }, { query: `?${query}` });
      expect(answer.status).toBe(202);
      await expectConserved(world, "events", answer.body.ids);
    },
  );

  test("an answer ends with a newline", async () => {
    for (const path of ["/health", "/nowhere"]) {
      const response = await fetch(`${ingest.url}${path}`);
      expect(await response.text()).toMatch(/\}\n$/);
    }
  });
});
