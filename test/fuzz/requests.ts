/** Requests of every kind as bytes, and what may be answered to each. */
import type { Random } from "../../dev/simulate/random.ts";
import { LEADS_KEY } from "../integration/test-ingest.ts";
import { KEY } from "../integration/test-stack.ts";
import { BODY_MAX_BYTES, bodyOf } from "./bodies.ts";
import { bytesOf, STREAMS, uuidOf } from "./events.ts";

export interface Request {
  /** Its X-Request-Id. */
  id: string;
  method: string;
  bytes: Buffer;
  /** Whether it is HTTP from its first byte to its last. Then it is answered, and another may follow. */
  isWhole: boolean;
  /** The statuses that its answer may have; absent: any below 500. */
  statuses?: readonly number[];
  /** The ids whose whereabouts it asks for. */
  asked?: readonly string[];
}

/** Ids that are stored, by stream: look-ups ask for them. */
export type Stored = ReadonlyMap<string, readonly string[]>;

/** A request's head, of which the body is still to come. */
interface Head {
  method: string;
  path: string;
  headers: string[];
}

const chance = (random: Random, probability: number) => random.next() < probability;
const AUTHORIZED = `authorization: Bearer ${KEY}`;
/** The ways in which a key may come in a header. */
const WAYS = [
  AUTHORIZED,
  `Authorization:\tbearer \t${KEY} `,
  `x-api-key: ${KEY}`,
  `authorization: Basic ${Buffer.from(`any:${KEY}`).toString("base64")}`,
  `authorization: basic ${Buffer.from(`${KEY}:`).toString("base64")}`,
  `${AUTHORIZED}\r\nX-API-KEY: ${KEY}\r\n${AUTHORIZED}`,
];
const JSON_TYPE = "content-type: application/json";

const text = (id: string, { method, path, headers }: Head, version = "1.1") =>
  Buffer.from(
    `${[`${method} ${path} HTTP/${version}`, "host: localhost", `x-request-id: ${id}`, ...headers].join("\r\n")}\r\n\r\n`,
  );

/** A request whose length is said as it is. */
function plain(id: string, head: Head, body: Buffer): Request {
  const headers = [...head.headers, `content-length: ${body.length}`];
  const bytes = Buffer.concat([text(id, { ...head, headers }), body]);
  return { id, method: head.method, bytes, isWhole: true };
}

/** Makes the next request of a connection. */
export function requestOf(random: Random, id: string, stored: Stored): Request {
  const kind = random.next();
  if (kind < 0.1) return goodOf(random, id);
  if (kind < 0.18) return lookUpOf(random, id, stored);
  if (kind < 0.22) return optionsOf(random, id);
  if (kind < 0.26) return refusedEarlyOf(random, id);
  if (kind < 0.3) return misspeltOf(random, id);
  if (kind < 0.32) return { id, method: "?", bytes: bytesOf(random, random.whole(1, 300)), isWhole: false };
  return postOf(random, id);
}

/** An event as it should be. It is accepted, whatever comes before or after it. */
const goodOf = (random: Random, id: string): Request => ({
  ...plain(
    id,
    {
      ...{ method: "POST", path: random.pick(["/v1/events", "/v1/events?ack=stored", "/v1/events?utm=x"]) },
      headers: [random.pick(WAYS), JSON_TYPE],
    },
    Buffer.from(`{"type":"good","payload":"${id}"}`),
  ),
  statuses: [201, 202],
});

const MISSPELT = [
  ..."Ack=stored ACK=stored ak=stored akc=stored acks=stored ack%20=stored ack[]=stored acknowledge=stored".split(
    " ",
  ),
  ..."level=stored ack=Stored ack=stored&ack=stored ack=stored%20 ack= ack ack=x&ack=stored a-c-k=buffered".split(
    " ",
  ),
];

/** A query that its sender may think to be `ack=stored`: never accepted. */
const misspeltOf = (random: Random, id: string): Request => ({
  ...plain(
    id,
    { method: "POST", path: `/v1/events?${random.pick(MISSPELT)}`, headers: [AUTHORIZED, JSON_TYPE] },
    Buffer.from(`{"type":"misspelt","payload":1}`),
  ),
  statuses: [400],
});

/** Asks where 1 to 101 events are; 101 are too many. */
function lookUpOf(random: Random, id: string, stored: Stored): Request {
  const stream = random.pick(STREAMS);
  const known = stored.get(stream) ?? [];
  // Whatever is stored, it takes as many random numbers: a run can be repeated.
  const anyId = () => {
    const unknown = random.pick([uuidOf(random), uuidOf(random), "1", "a/b?&ä", "\0"]);
    const which = random.next();
    return which < 0.6 ? (known[Math.floor((which / 0.6) * known.length)] ?? unknown) : unknown;
  };
  const method = random.pick(["GET", "GET", "GET", "HEAD"]);
  if (chance(random, 0.3)) {
    const path = `/v1/${stream}/${encodeURIComponent(anyId())}${random.pick(["", "?source=/s"])}`;
    const one = plain(id, { method, path, headers: [AUTHORIZED] }, Buffer.alloc(0));
    return { ...one, statuses: [200, 404, 503] };
  }
  const asked = Array.from({ length: random.pick([1, 2, 10, 99, 100, 101]) }, anyId);
  const path = `/v1/${stream}?${asked.map((one) => `id=${encodeURIComponent(one)}`).join("&")}`;
  const lookUp = plain(id, { method, path, headers: [AUTHORIZED] }, Buffer.alloc(0));
  return { ...lookUp, asked, statuses: asked.length > 100 ? [400] : [200, 503] };
}

/** A browser's preflight, a webhook's handshake, or both. */
function optionsOf(random: Random, id: string): Request {
  const names = random.pick([
    "authorization, content-type",
    "traceparent, ce-id",
    "x".repeat(3000),
    "a b",
    "*",
    "",
  ]);
  const origin = random.pick(["https://app.example", "https://evil.example", "null"]);
  const isHandshake = chance(random, 0.5);
  const headers = [
    ...(chance(random, 0.8) ? [`origin: ${origin}`] : []),
    ...(chance(random, 0.8) ? ["access-control-request-method: POST"] : []),
    ...(chance(random, 0.8) ? [`access-control-request-headers: ${names}`] : []),
    ...(isHandshake ? [`webhook-request-origin: ${random.pick(["eventgrid.azure.net", "*", "ä"])}`] : []),
    ...(isHandshake && chance(random, 0.5)
      ? [`webhook-request-rate: ${random.pick(["120", "-1", "x"])}`]
      : []),
  ];
  const head = { method: "OPTIONS", path: `/v1/${random.pick([...STREAMS, "nowhere"])}`, headers };
  return { ...plain(id, head, Buffer.alloc(0)), statuses: [isHandshake ? 200 : 204] };
}

/** Refused by its head, with a large body still on its way. */
function refusedEarlyOf(random: Random, id: string): Request {
  const [status, method, path, headers] = random.pick<[number, string, string, string[]]>([
    [401, "POST", "/v1/events", ["authorization: Bearer nobody", JSON_TYPE]],
    [404, "POST", "/v1/nowhere", [AUTHORIZED, JSON_TYPE]],
    [404, "POST", "/", [AUTHORIZED, JSON_TYPE]],
    [405, "PUT", "/v1/events", [AUTHORIZED, JSON_TYPE]],
    [403, "POST", "/v1/events", [`authorization: Bearer ${LEADS_KEY}`, JSON_TYPE]],
    [413, "POST", "/v1/events", [AUTHORIZED, JSON_TYPE]],
    [415, "POST", "/v1/events", [AUTHORIZED, "content-type: image/png"]],
    [415, "POST", "/v1/events", [AUTHORIZED, JSON_TYPE, "content-encoding: br"]],
  ]);
  const length = status === 413 ? BODY_MAX_BYTES + random.whole(1, 300_000) : random.whole(1, BODY_MAX_BYTES);
  return { ...plain(id, { method, path, headers }, Buffer.alloc(length, "x")), statuses: [status] };
}

/** Header lines that a good request would not have. Those of `ENDING` leave the rest of the connection without meaning. */
const ODD_HEADERS = [
  ...["expect: 100-continue", "expect: the-unexpected", "connection: close", "host: a, b", "cookie: a=b"],
  ...["upgrade: websocket\r\nconnection: upgrade", "upgrade: h2c\r\nconnection: upgrade, http2-settings"],
  ...[
    "idempotency-key: k1",
    `idempotency-key: ${"k".repeat(300)}`,
    "idempotency-key: äöü",
    "idempotency-key:",
  ],
  ...[
    "idempotency-key: a\r\nidempotency-key: b",
    "origin: null",
    "origin: https://app.example",
    "te: trailers",
  ],
  ...[
    "content-encoding: br",
    "content-encoding: gzip, gzip",
    "content-encoding: identity",
    "accept: text/html",
  ],
  ...[`authorization: Bearer ${"x".repeat(5000)}`, "traceparent: 00-0-0-00"],
  ...["authorization: Basic", "authorization: Basic Og==", `x-api-key: ${LEADS_KEY}`, "x-api-key: ä b"],
  ...["origin: https://evil.example\r\nsec-fetch-site: cross-site", "x-forwarded-for: , ,[::1]:x"],
];
const ENDING = [
  ...["transfer-encoding: gzip", "transfer-encoding: chunked", "content-length: -1", "content-length: 1e3"],
  ...[
    "content-length: 99999999999999999999",
    "content-length: 12\r\ncontent-length: 13",
    "content-length: 7",
  ],
  ...["bad header: 1", "x-nul: a\0b", ": nameless", " folded: line", `x-long: ${"x".repeat(20_000)}`],
  Array.from({ length: 300 }, (_, i) => `x-${i}: ${"i".repeat(60)}`).join("\r\n"),
];

const METHODS = "GET PUT DELETE OPTIONS HEAD PATCH TRACE CONNECT M-SEARCH FOO post".split(" ");
const PATHS = [
  ..."/ // /v1 /v1/ /v2/events /v1/../events /v1/%2e%2e/events /v1/%zz /v1/%00 * /health /v1/events/%00".split(
    " ",
  ),
  ..."/v1/events/%ed%a0%80 /v1/events/1/2 /v1/__proto__ /v1/constructor /v1/events/1 http://x/v1/events".split(
    " ",
  ),
  ...[`/v1/${"x".repeat(9000)}`, `/v1/events/${"1".repeat(600)}`, "/v1/events#x", "/v1/events?x=%zz"],
];

/** A POST of anything, mostly as HTTP wants it. */
function postOf(random: Random, id: string): Request {
  const stream = random.pick(STREAMS);
  const { headers, bytes } = bodyOf(random, stream);
  const key = chance(random, 0.04) ? random.pick([LEADS_KEY, "", "wrong"]) : KEY;
  const head: Head = {
    method: chance(random, 0.06) ? random.pick(METHODS) : "POST",
    path:
      (chance(random, 0.06) ? random.pick(PATHS) : `/v1/${stream}`) +
      random.pick(["", "", "", "?ack=stored", "?ack=buffered", "?&=&", "?key=", "?key=spw_pub_%00"]),
    headers: [`authorization: Bearer ${key}`, ...headers],
  };
  if (chance(random, 0.1)) head.headers.push(random.pick(ODD_HEADERS));
  const isEnding = chance(random, 0.04);
  if (isEnding) head.headers.push(random.pick(ENDING));
  const isWhole = !isEnding && !["CONNECT", "FOO", "post"].includes(head.method);
  return { ...framed(random, id, head, bytes), ...(isWhole ? {} : { isWhole }) };
}

/** Says the body's length in one of HTTP's ways, or wrongly. */
function framed(random: Random, id: string, head: Head, body: Buffer): Request {
  const saying = (line: string, bytes: Buffer, isWhole: boolean, version?: string): Request => ({
    ...{ id, method: head.method, isWhole },
    bytes: Buffer.concat([text(id, { ...head, headers: [...head.headers, line] }, version), bytes]),
  });
  const how = random.next();
  if (how < 0.03) return saying(`content-length: ${body.length + random.whole(1, 1000)}`, body, false);
  if (how < 0.05) return saying(`content-length: ${random.whole(0, body.length)}`, body, false);
  if (how < 0.06) return saying("x-no: length", body, false);
  if (how < 0.08) return saying("transfer-encoding: chunked", chunked(random, body, true), false);
  if (how < 0.1) return saying(`content-length: ${body.length}`, body, false, "1.0");
  if (how < 0.22) return saying("transfer-encoding: chunked", chunked(random, body, false), true);
  return saying(`content-length: ${body.length}`, body, true);
}

/** Chunks; if broken, one says a length that is none, or has an endless extension, or the last one is missing. */
function chunked(random: Random, body: Buffer, isBroken: boolean): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < body.length; ) {
    const part = body.subarray(at, at + random.whole(1, body.length));
    const isSaid = !isBroken || chance(random, 0.7);
    const said = isSaid ? part.length.toString(16) : random.pick(["zz", "-1", "ffffffffffffffffff", ""]);
    const extension = random.pick(["", "", ";a=b", isBroken ? `;${"e".repeat(20_000)}` : ""]);
    parts.push(Buffer.from(`${said}${extension}\r\n`), part, Buffer.from("\r\n"));
    at += part.length;
  }
  return Buffer.concat([...parts, Buffer.from(isBroken ? random.pick(["0\r\n", ""]) : "0\r\n\r\n")]);
}
