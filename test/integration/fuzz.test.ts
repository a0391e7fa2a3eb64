/**
 * Random and hostile requests. Whatever comes in: no 5xx, no HTML, no hang, no memory that grows without bound,
 * nothing accepted that Postgres then refuses, and the next good event is stored.
 *
 * FUZZ_REQUESTS (3,000) says how many, FUZZ_SEED repeats a run.
 */
import { connect } from "node:net";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { deflateSync, gzipSync } from "node:zlib";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { drain } from "../../lib/drain/drain.ts";
import { type Ingest, LEADS_KEY, serveIngest } from "./test-ingest.ts";
import { KEY, openWorld, type World, whereabouts } from "./test-stack.ts";

const REQUESTS = Number(process.env.FUZZ_REQUESTS || 3000);
const SEED = Number(process.env.FUZZ_SEED || Math.floor(Math.random() * 2 ** 31));
const AT_ONCE = 16;
/** A request is answered, or its connection closed, within this. */
const BOUND_MS = 20_000;
const BODY_MAX_BYTES = 500_000;

let world: World;
let ingest: Ingest;
beforeAll(async () => {
  world = await openWorld();
  ingest = await serveIngest(world, { bodyMaxBytes: BODY_MAX_BYTES, keyEventsPerSecond: 10_000_000 });
});
beforeEach(() => world.reset());
afterAll(async () => {
  await ingest.close();
  await world.close();
});

/** mulberry32: small, and the same everywhere. */
function randomOf(seed: number) {
  let state = seed;
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
  const below = (n: number) => Math.floor(next() * n);
  const pick = <T>(items: readonly T[]): T => items[below(items.length)] as T;
  const bytes = (n: number) => Buffer.from(Array.from({ length: n }, () => below(256)));
  return { next, below, pick, bytes, chance: (p: number) => next() < p };
}
type Random = ReturnType<typeof randomOf>;

const STREAMS = ["events", "locations", "activities", "leads"];
const DEEP = [
  "[".repeat(100_000),
  "[".repeat(100_000) + "]".repeat(100_000),
  `{"a":`.repeat(80_000),
  `${`{"a":`.repeat(60_000)}1${"}".repeat(60_000)}`,
  `{"type":"t","payload":${"[".repeat(100_000)}${"]".repeat(100_000)}}`,
  `{"type":"t","payload":${"[".repeat(64)}${"]".repeat(64)}}`,
  `{"type":"t","payload":${"[".repeat(63)}${"]".repeat(63)}}`,
];
const BOMBS = [
  gzipSync(Buffer.alloc(30_000_000, " ")),
  gzipSync(Buffer.alloc(3_000_000, "[")),
  deflateSync("{}"),
];
const LEAVES = [
  ..."null|true|false|0|-0|1e999|-1e999|1e-999|9007199254740991|9007199254740993|0.1|1E5|01|NaN|-|.5|1.".split(
    "|",
  ),
  "1".repeat(400),
  `0.${"3".repeat(3000)}`,
  `""`,
  `"text"`,
  String.raw`"\u0000"`,
  String.raw`"\ud800"`,
  String.raw`"\udc00\ud800"`,
  String.raw`"\ud83d\ude00"`,
  `"\u{1f600}\uffff\ufeff\u2028"`,
  `"2026-11-21T09:30:00Z"`,
  `"2026-11-21T09:30:00.123456789123456789Z"`,
  `"9999-12-31T23:59:60Z"`,
  `"0001-01-01T00:00:00+15:59"`,
  `"9999-12-31T23:59:59.9999999-15:59"`,
  `"2026-11-21t23:59:60z"`,
  `"2026-11-21 09:30:00.${"9".repeat(100)}-00:00"`,
  `"2026-11-21T23:59:60.5Z"`,
  `"0001-01-01T00:00:00+00:01"`,
  "-1",
  "5e-324",
  "1e22",
  `"a@b.co"`,
  `"ä@exämple.de"`,
  `"NaN"`,
  `"${"x".repeat(33_000)}"`,
  `"' ; drop table events; --"`,
  "[]",
  "{}",
];
const NAMES = [
  ..."id|type|userId|payload|occurredAt|lat|lng|accuracy|speed|recordedAt|contactId|description|name|phone|email".split(
    "|",
  ),
  ..."source|notes|__proto__|constructor|toString|specversion|data|data_base64|time|subject|receivedAt|storedAt|v".split(
    "|",
  ),
  "",
  String.raw`\u0000`,
  String.raw`\u005f_proto__`,
];

/** JSON text, or nearly. */
function jsonOf(random: Random, depth = 0): string {
  const kind = random.below(depth > 4 ? 1 : 4);
  if (kind === 0) return random.pick(LEAVES);
  const items = Array.from({ length: random.below(6) }, () => jsonOf(random, depth + 1));
  if (kind === 1) return `[${items.join(",")}]`;
  return `{${items.map((item) => `"${random.pick(NAMES)}":${item}`).join(",")}}`;
}

/** An event that a stream would take, but for one field or two. */
function eventOf(random: Random, stream: string): string {
  const fields: Record<string, Record<string, string>> = {
    events: { type: `"t"`, payload: `{"a":1}`, occurredAt: `"2026-11-21T09:30:00Z"` },
    locations: { userId: `"u"`, lat: "1", lng: "2", speed: "null", recordedAt: `"2026-11-21T09:30:00Z"` },
    activities: { contactId: `"c"`, type: `"t"`, description: `"d"` },
    leads: { name: `"n"`, source: `"s"`, email: `""` },
  };
  const event = { ...(fields[stream] ?? fields.events) };
  const names = Object.keys(event);
  if (random.chance(0.5))
    event[random.pick(names)] = random.chance(0.3) ? jsonOf(random, 2) : random.pick(LEAVES);
  if (random.chance(0.2)) event[random.pick(NAMES)] = random.pick(LEAVES);
  return `{${Object.entries(event).map(([name, value]) => `"${name}":${value}`)}}`;
}

/** Some bytes changed, left out, or the end cut off. */
function damaged(random: Random, body: Buffer): Buffer {
  if (body.length === 0) return body;
  const copy = Buffer.from(body);
  for (let i = random.below(4); i >= 0; i--) copy[random.below(copy.length)] = random.below(256);
  return random.chance(0.3) ? copy.subarray(0, random.below(copy.length)) : copy;
}

function bodyOf(random: Random, stream: string): Buffer {
  const event = () => eventOf(random, stream);
  const many = (n: number) => Array.from({ length: n }, event);
  switch (random.below(18)) {
    case 0:
      return random.bytes(random.below(600));
    case 1:
      return Buffer.from(random.pick(DEEP));
    case 2:
      return Buffer.from(jsonOf(random));
    case 3:
      return Buffer.from(`[${many(random.chance(0.05) ? 1500 : random.below(20)).join(",")}]`);
    case 4:
      return Buffer.from(many(random.below(20)).join(random.pick(["\n", "\r\n", "\n\n", " "])));
    case 5:
      return damaged(random, Buffer.from(event()));
    case 6:
      return Buffer.from(
        `{"specversion":"1.0","id":${random.pick(LEAVES)},"source":"s","type":"t","data":${event()}}`,
      );
    case 7:
      return Buffer.from(event(), random.pick(["utf8", "utf16le", "latin1"] as const));
    case 8:
      return Buffer.from(random.chance(0.1) ? "x".repeat(BODY_MAX_BYTES + 1) : "");
    default:
      return Buffer.from(event());
  }
}

const TYPES = [
  ...["application/x-ndjson", "application/x-ndjson", "application/json; charset=utf-8"],
  ...[
    "application/cloudevents+json",
    "application/cloudevents-batch+json",
    "application/json; charset=utf-16",
  ],
  ...["text/html", "", ";;;", "application/json;charset", "multipart/form-data"],
];
const typeOf = (random: Random) => (random.chance(0.7) ? "application/json" : random.pick(TYPES));

/** Header lines that a good request would not have. */
const ODD_HEADERS = [
  "expect: 100-continue",
  "expect: the-unexpected",
  "upgrade: websocket\r\nconnection: upgrade",
  "connection: close",
  "transfer-encoding: gzip",
  "transfer-encoding: chunked",
  "content-length: -1",
  "content-length: 1e3",
  "content-length: 99999999999999999999",
  "content-length: 12\r\ncontent-length: 13",
  `x-long: ${"x".repeat(20_000)}`,
  Array.from({ length: 300 }, (_, i) => `x-${i}: ${i}`).join("\r\n"),
  "bad header: 1",
  "x-nul: a\0b",
  ": nameless",
  " folded: line",
  "idempotency-key: k1",
  `idempotency-key: ${"k".repeat(300)}`,
  "idempotency-key: a\r\nidempotency-key: b",
  "idempotency-key: äöü",
  "content-encoding: br",
  "content-encoding: gzip, gzip",
  "ce-specversion: 1.0\r\nce-id: 1\r\nce-source: s\r\nce-type: t",
  "ce-specversion: 1.0\r\nce-id: %00\r\nce-source: %zz\r\nce-type: %ed%a0%80",
  "ce-specversion: 1.0\r\nce-id: %00\r\nce-source: s\r\nce-type: %00",
  "origin: null",
  "host: a, b",
  `authorization: Bearer ${"x".repeat(5000)}`,
  "cookie: a=b",
];

const METHODS = [
  "GET",
  "PUT",
  "DELETE",
  "OPTIONS",
  "HEAD",
  "PATCH",
  "TRACE",
  "CONNECT",
  "M-SEARCH",
  "FOO",
  "post",
];

function pathOf(random: Random, stream: string): string {
  const odd = [
    ...[
      "/",
      "//",
      "/v1",
      "/v1/",
      "/v2/events",
      "/v1/../events",
      "/v1/%2e%2e/events",
      "/v1/%zz",
      "/v1/%00",
      "*",
    ],
    ...[
      "/health",
      "/v1/events/%00",
      "/v1/events/%ed%a0%80",
      "/v1/events/1/2",
      "/v1/__proto__",
      "/v1/constructor",
    ],
    ...[
      `/v1/${"x".repeat(9000)}`,
      "/v1/events/1",
      `/v1/events/${"1".repeat(600)}`,
      "http://x/v1/events",
      "/v1/events#x",
    ],
  ];
  const path = random.chance(0.1) ? random.pick(odd) : `/v1/${stream}`;
  return (
    path +
    random.pick(["", "", "", "?ack=stored", "?ack=buffered", "?ack=", "?ack=x&ack=stored", "?%zz", "?&=&"])
  );
}

/** A request's bytes, and whether its length was said as it is: else the server may wait for more. */
interface Request {
  bytes: Buffer;
  isWhole: boolean;
}

function linesOf(random: Random, stream: string, odd: string | undefined): string[] {
  const method = random.chance(0.08) ? random.pick(METHODS) : "POST";
  const key = random.chance(0.04) ? random.pick([LEADS_KEY, "", "wrong"]) : KEY;
  return [
    `${method} ${pathOf(random, stream)} HTTP/1.${random.chance(0.02) ? 0 : 1}`,
    ...(random.chance(0.01) ? [] : ["host: localhost"]),
    `authorization: Bearer ${key}`,
    ...(random.chance(0.02) ? [] : [`content-type: ${typeOf(random)}`]),
    ...(odd === undefined ? [] : [odd]),
  ];
}

/** Mostly well-formed HTTP around a hostile body. */
function requestOf(random: Random): Request {
  if (random.chance(0.02)) return { bytes: random.bytes(1 + random.below(300)), isWhole: false };
  const stream = random.pick(STREAMS);
  const odd = random.chance(0.15) ? random.pick(ODD_HEADERS) : undefined;
  const lines = linesOf(random, stream, odd);
  let body = bodyOf(random, stream);
  if (random.chance(0.15)) {
    lines.push("content-encoding: gzip");
    body = random.chance(0.15) ? random.pick(BOMBS) : gzipSync(body, { level: 1 });
    if (random.chance(0.3)) body = damaged(random, body);
  }
  const head = (...more: string[]) => Buffer.from(`${[...lines, ...more].join("\r\n")}\r\n\r\n`);
  const isPlain = odd === undefined || !/^(content-length|transfer-encoding|upgrade|expect)/.test(odd);
  const saying = (length: number) => Buffer.concat([head(`content-length: ${length}`), body]);
  const wrong = random.next();
  if (wrong < 0.03) return { bytes: saying(body.length + 1 + random.below(1000)), isWhole: false };
  if (wrong < 0.06) return { bytes: saying(random.below(body.length + 1)), isWhole: false };
  if (wrong < 0.08) return { bytes: Buffer.concat([head(), body]), isWhole: false };
  if (wrong < 0.16)
    return {
      bytes: Buffer.concat([head("transfer-encoding: chunked"), chunked(random, body)]),
      isWhole: false,
    };
  if (wrong < 0.2)
    return { bytes: Buffer.concat([head("transfer-encoding: chunked"), oneChunk(body)]), isWhole: isPlain };
  return { bytes: saying(body.length), isWhole: isPlain };
}

const oneChunk = (body: Buffer) =>
  body.length === 0
    ? Buffer.from("0\r\n\r\n")
    : Buffer.concat([Buffer.from(`${body.length.toString(16)}\r\n`), body, Buffer.from("\r\n0\r\n\r\n")]);

/** Chunks, some of which say a length that is none. */
function chunked(random: Random, body: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < body.length; ) {
    const size = 1 + random.below(body.length);
    const part = body.subarray(at, at + size);
    const said = random.chance(0.03)
      ? random.pick(["zz", "-1", "ffffffffffffffffff", ""])
      : part.length.toString(16);
    parts.push(
      Buffer.from(`${said}${random.chance(0.03) ? `;${"e".repeat(20_000)}` : ""}\r\n`),
      part,
      Buffer.from("\r\n"),
    );
    at += size;
  }
  return Buffer.concat([...parts, Buffer.from(random.chance(0.05) ? "0\r\n" : "0\r\n\r\n")]);
}

/** The first answer that is none of 1xx; undefined while it is not whole. */
function answerIn(text: string, isHead: boolean): { status: number; type: string; body: string } | undefined {
  const rest = text.replace(/^(HTTP\/1\.1 1\d\d[^\r]*\r\n\r\n)+/, "");
  const end = rest.indexOf("\r\n\r\n");
  if (end === -1) return undefined;
  const head = rest.slice(0, end);
  const length = isHead ? 0 : Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
  const after = Buffer.from(rest.slice(end + 4)); // where no length is said there is no body
  if (after.length < length) return undefined;
  return {
    status: Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1]),
    type: /^content-type: *([^\r;]*)/im.exec(head)?.[1] ?? "",
    body: after.subarray(0, length).toString(),
  };
}

type Exchange = ReturnType<typeof answerIn> | "closed" | "hung";

/** Sends a request over a connection of its own, in one piece or two, whole or cut off; one in forty goes away. */
function exchange(port: number, { bytes, isWhole }: Request, random: Random): Promise<Exchange> {
  const cut = random.chance(0.15) ? random.below(bytes.length) : bytes.length;
  const isCutOff = random.chance(0.05);
  const isRude = isCutOff && random.chance(0.5);
  const isHead = bytes.subarray(0, 4).toString("latin1") === "HEAD";
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    let text = "";
    const settle = (result: Exchange) => {
      clearTimeout(timer);
      socket.resetAndDestroy(); // leaves no port waiting
      resolve(result);
    };
    const timer = setTimeout(() => settle("hung"), BOUND_MS);
    socket.setEncoding("utf8");
    socket.on("error", () => settle(answerIn(text, isHead) ?? "closed"));
    socket.on("close", () => settle(answerIn(text, isHead) ?? "closed"));
    socket.on("data", (chunk) => {
      text += chunk;
      const answer = answerIn(text, isHead);
      if (answer) settle(answer);
    });
    socket.on("connect", () => {
      socket.write(bytes.subarray(0, cut), () => {
        if (isRude) settle("closed");
        else if (!isCutOff) socket.write(bytes.subarray(cut));
        if (isCutOff || !isWhole) socket.end(); // says that nothing more will come
      });
    });
  });
}

/** The same through a client that only speaks good HTTP. */
async function fetched(url: string, random: Random): Promise<Exchange> {
  const stream = random.pick(STREAMS);
  const type = typeOf(random);
  try {
    const response = await fetch(`${url}/v1/${stream}${random.pick(["", "?ack=stored"])}`, {
      method: "POST",
      body: new Uint8Array(bodyOf(random, stream)),
      headers: { authorization: `Bearer ${KEY}`, ...(type === "" ? {} : { "content-type": type }) },
      signal: AbortSignal.timeout(BOUND_MS),
    });
    const body = await response.text();
    return { status: response.status, type: response.headers.get("content-type") ?? "", body };
  } catch (error) {
    return error instanceof TypeError ? "closed" : "hung"; // a time-out is no TypeError
  }
}

/** Collects all garbage that can be collected, and says what is left, in megabytes. */
function heapMegabytes(): number {
  setFlagsFromString("--expose-gc");
  const gc = runInNewContext("gc") as () => void;
  gc();
  gc();
  return process.memoryUsage().heapUsed / 1e6;
}

/** What is wrong with an answer; undefined: nothing. */
function faultOf(answer: Exchange): string | undefined {
  if (answer === "hung") return "no answer, and the connection stayed open";
  if (answer === "closed" || answer === undefined) return undefined;
  const { status, type, body } = answer;
  if (!(status >= 200 && status < 500)) return `status ${status}`;
  if (body.includes("SQLSTATE")) return `Postgres refused what the door let in: ${body.slice(0, 200)}`;
  if (/<html|<!doctype|node:internal|\bat .*\.ts:\d/i.test(body))
    return `tells of our insides: ${body.slice(0, 200)}`;
  if (status >= 400 && body !== "" && !["application/problem+json", "application/json"].includes(type))
    return `an error of type ${type}`;
  return undefined;
}

test(`${REQUESTS} random and hostile requests do no harm`, { timeout: 120_000 + REQUESTS * 30 }, async () => {
  console.log(`FUZZ_SEED=${SEED} FUZZ_REQUESTS=${REQUESTS}`);
  const port = Number(new URL(ingest.url).port);
  const accepted = new Set<string>();
  const statuses = new Map<string, number>();
  const faults: string[] = [];
  const heaps: number[] = [];
  let next = 0;
  let slowestMs = 0;

  const one = async (index: number) => {
    const random = randomOf(SEED + index * 7919);
    const startedMs = performance.now();
    const isFetched = random.chance(0.2);
    const answer = isFetched
      ? await fetched(ingest.url, random)
      : await exchange(port, requestOf(random), random);
    slowestMs = Math.max(slowestMs, performance.now() - startedMs);
    const fault = faultOf(answer);
    if (fault) faults.push(`request ${index}: ${fault}`);
    const name = typeof answer === "object" ? String(answer.status) : String(answer);
    statuses.set(name, (statuses.get(name) ?? 0) + 1);
    if (typeof answer !== "object" || (answer.status !== 201 && answer.status !== 202)) return;
    for (const id of (JSON.parse(answer.body) as { ids: string[] }).ids) accepted.add(id);
  };
  const worker = async () => {
    while (next < REQUESTS && faults.length < 10) {
      const index = next++;
      await one(index);
      if (index % Math.ceil(REQUESTS / 10) === 0) {
        heaps.push(heapMegabytes());
        world.said.length = 0;
        await drain(world.supervisor(), {}); // as a tick would
        const good = await ingest.post("events", { type: "good", payload: index }, { query: "?ack=stored" });
        expect(good.status).toBe(201);
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  console.log({
    statuses: Object.fromEntries([...statuses].sort()),
    slowestMs: Math.round(slowestMs),
    heaps: heaps.map(Math.round),
  });

  expect(faults).toEqual([]);
  const kept = (statuses.get("201") ?? 0) + (statuses.get("202") ?? 0);
  expect(kept).toBeGreaterThan(REQUESTS / 20); // not all was refused
  expect(Math.max(...heaps.slice(2))).toBeLessThan(Math.max(heaps[1] ?? 0, 50) * 2);
  await drain(world.supervisor(), {});
  const all = new Set<string>();
  for (const stream of STREAMS) {
    const { stored, dead, held, buffered } = await whereabouts(world, stream);
    for (const id of stored) all.add(id);
    expect({ stream, dead, held, buffered }).toEqual({ stream, dead: [], held: [], buffered: [] });
  }
  expect([...accepted].filter((id) => !all.has(id))).toEqual([]);
  const last = await ingest.post("events", { type: "good", payload: "last" }, { query: "?ack=stored" });
  expect(last.status).toBe(201);
});
