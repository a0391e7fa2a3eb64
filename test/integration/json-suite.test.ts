/**
 * JSONTestSuite through ingest, into Postgres: each of its texts in every place where JSON may stand. What is JSON is stored as
 * JSON.parse reads it, except for what docs/http.md, "Numbers and times", says of numbers, and for what ingest rejects on purpose. What is not JSON is refused.
 */
import { isUtf8 } from "node:buffer";
import { gzipSync } from "node:zlib";
import { jsonb, pgTable } from "drizzle-orm/pg-core";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { drain } from "../../lib/drain/drain.ts";
import { defineStream, eventColumns, json } from "../../lib/schema/stream.ts";
import { JSON_SUITE } from "../json-suite.ts";
import { type Answer, type Ingest, serveIngest } from "./test-ingest.ts";
import { expectConserved, openWorldWith, type World } from "./test-stack.ts";

/** A stream of whatever objects come. */
const anything = defineStream({
  name: "anything",
  table: pgTable("anything", { ...eventColumns(), payload: jsonb("payload").notNull() }),
  schema: z.record(z.string(), json().nullable()),
  toRow: (payload) => ({ payload }),
});

let world: World;
let ingest: Ingest;
beforeAll(async () => {
  world = await openWorldWith(anything, "payload jsonb not null");
  ingest = await serveIngest(world);
});
beforeEach(() => world.reset());
afterAll(async () => {
  await ingest.close();
  await world.close();
});

/** What becomes of a text: its value, "not JSON", or "rejected" by one of the rules of docs/http.md. */
type Reading = { value: unknown } | "not JSON" | "rejected";

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const BYTE_ORDER_MARK = "\ufeff";

function read(bytes: Uint8Array, isWholeText: boolean): Reading {
  let value: unknown;
  try {
    const text = utf8.decode(bytes);
    value = JSON.parse(isWholeText && text.startsWith(BYTE_ORDER_MARK) ? text.slice(1) : text);
  } catch {
    return "not JSON";
  }
  return isKept(value, 64 - 1) ? { value } : "rejected";
}

/** docs/http.md: NUL, lone surrogates, `__proto__`, numbers that are not finite or are integers beyond ±(2^53−1), more than 64 levels. */
function isKept(value: unknown, levels: number): boolean {
  if (typeof value === "string") return !value.includes("\0") && value.isWellFormed();
  if (typeof value === "number")
    return Math.abs(value) < 2 ** 53 || (Number.isFinite(value) && value % 1 !== 0);
  if (typeof value !== "object" || value === null) return true;
  if (levels === 0 || Object.keys(value).includes("__proto__")) return false;
  return Object.entries(value).every(([key, inner]) => isKept(key, 0) && isKept(inner, levels - 1));
}

const namesOf = (prefix: string, reading: Reading) =>
  JSON_SUITE.filter(({ name, bytes }) => name.startsWith(prefix) && read(bytes, false) === reading).map(
    ({ name }) => name,
  );

test("the suite is whole, and JSON.parse passes it", () => {
  const count = (prefix: string) => JSON_SUITE.filter(({ name }) => name.startsWith(prefix)).length;
  expect([count("y_"), count("n_"), count("i_")]).toEqual([95, 188, 35]);
  expect(namesOf("y_", "not JSON")).toEqual([]);
  expect(namesOf("n_", "not JSON")).toHaveLength(188);
});

test("the rules of docs/http.md reject these texts that a parser must take, and no others", () => {
  const integersBeyond = [
    ...["y_number", "y_number_real_capital_e", "y_number_real_exponent", "y_number_real_fraction_exponent"],
    "y_object_extreme_numbers",
  ];
  const nul = ["y_object_escaped_null_in_key", "y_string_null_escape"];
  expect(namesOf("y_", "rejected").sort()).toEqual([...integersBeyond, ...nul].sort());
});

/** A way in which a text comes to a stream. */
interface Framing {
  type: string;
  headers?: Record<string, string>;
  body(bytes: Buffer<ArrayBuffer>, name: string): Buffer<ArrayBuffer>;
  /** The text's place among the request's events. */
  place?: number;
  /** What is told of a text that is not JSON, and of one that is rejected: the request's status, or an "item" of its answer. */
  notJson: string;
  rejected: string;
  /** What is told of the two texts that are far too deep. They are refused before it is known whether they are JSON. */
  tooDeep: readonly [brackets: string, objects: string];
  /** Whether nothing but the text is parsed, so that it may have a byte order mark. */
  isWholeText?: boolean;
  /** Whether a text that is not JSON may be taken as a string, and no bytes as null. */
  takesText?: boolean;
}

const GOOD = `{"type":"good","payload":1}`;
const CLOUD = `"specversion":"1.0","source":"s","type":"t"`;
const around = (before: string, bytes: Uint8Array, after: string) =>
  Buffer.concat([Buffer.from(before), bytes, Buffer.from(after)]);
/** NDJSON has no line ends within an event. If a text is JSON, those that it has are blanks. */
const onOneLine = (bytes: Buffer, name: string) =>
  name.startsWith("n_") ? bytes : Buffer.from(bytes.map((byte) => (byte === 0x0a ? 0x20 : byte)));
const inPayload = (bytes: Uint8Array) => around(`{"type":"t","payload":`, bytes, "}");
const inCloudEvent = (bytes: Uint8Array, name: string) =>
  around(`{${CLOUD},"id":"${name}","data":`, bytes, "}");

const asJson = {
  type: "application/json",
  notJson: "400",
  rejected: "422",
  tooDeep: ["422", "422"],
} as const;
const asItem = { ...asJson, rejected: "item", tooDeep: ["400", "400"], place: 1 } as const;
const asLine = {
  ...{ type: "application/x-ndjson", place: 1 },
  ...({ notJson: "item", rejected: "item", tooDeep: ["item", "item"] } as const),
};
const asCloudEvent = { ...asJson, type: "application/cloudevents+json" } as const;
const GZIP = { headers: { "content-encoding": "gzip" } };

/** Ways in which a text is the payload of an event of the stream `events`. */
const IN_EVENTS: Record<string, Framing> = {
  JSON: { ...asJson, body: inPayload },
  "text/plain": { ...asJson, type: "text/plain", body: inPayload },
  gzip: { ...asJson, ...GZIP, body: (bytes) => gzipSync(inPayload(bytes)) },
  "x-gzip": {
    ...{ ...asJson, headers: { "content-encoding": "x-gzip" } },
    body: (bytes) => gzipSync(inPayload(bytes)),
  },
  "an array": { ...asItem, body: (bytes) => around(`[${GOOD},`, inPayload(bytes), `,${GOOD}]`) },
  NDJSON: {
    ...asLine,
    body: (bytes, name) => around(`${GOOD}\n`, inPayload(onOneLine(bytes, name)), `\n${GOOD}\n`),
  },
  "a structured CloudEvent": { ...asCloudEvent, body: inCloudEvent },
  "a batch of CloudEvents": {
    ...{ ...asItem, type: "application/cloudevents-batch+json" },
    body: (bytes, name) =>
      around(
        `[{${CLOUD},"id":"before ${name}"},`,
        inCloudEvent(bytes, name),
        `,{${CLOUD},"id":"after ${name}"}]`,
      ),
  },
  "a binary CloudEvent": {
    ...{ ...asJson, tooDeep: ["422", "413"], isWholeText: true, takesText: true },
    headers: { "ce-specversion": "1.0", "ce-source": "s", "ce-type": "t", "ce-id": "1" },
    body: (bytes) => bytes,
  },
  data_base64: {
    ...{ ...asCloudEvent, notJson: "422", tooDeep: ["422", "413"], isWholeText: true, takesText: true },
    body: (bytes, name) =>
      around(
        `{${CLOUD},"id":"${name}","datacontenttype":"application/json","data_base64":"`,
        Buffer.from(bytes.toString("base64")),
        `"}`,
      ),
  },
};

/** Ways in which a text is a whole event of the stream `anything`. */
const WHOLE: Record<string, Framing> = {
  "a body": { ...asJson, tooDeep: ["400", "400"], isWholeText: true, body: (bytes) => bytes },
  "a body in gzip": {
    ...{ ...asJson, ...GZIP, tooDeep: ["400", "400"], isWholeText: true },
    body: (bytes) => gzipSync(bytes),
  },
  "an item of an array": { ...asItem, body: (bytes) => around("[{},", bytes, ",{}]") },
  "a line of NDJSON": {
    ...asLine,
    body: (bytes, name) => around("{}\n", onOneLine(bytes, name), "\n{}"),
  },
  "the data of a CloudEvent": { ...asCloudEvent, body: inCloudEvent },
};

interface Outcome {
  /** "stored", "item" if the event was rejected alone, or the status of the whole request. */
  outcome: string;
  id?: string;
  value?: unknown;
}

/** What became of the event at a place. */
function outcomeAt({ status, body }: Answer, place: number): Outcome {
  if (status !== 201 && status !== 202) return { outcome: String(status) };
  const rejected: number[] = (body.rejected ?? []).map(({ index }: { index: number }) => index);
  if (rejected.includes(place)) return { outcome: "item" };
  return { outcome: "stored", id: body.ids[place - rejected.filter((index) => index < place).length] };
}

/** What must become of a text that is a payload. */
function expectedInEvents(framing: Framing, name: string, bytes: Buffer): Outcome {
  const early = expectedOfDeep(framing, name);
  if (early) return early;
  const reading = read(bytes, framing.isWholeText ?? false);
  if (typeof reading === "object") return { outcome: "stored", value: reading.value };
  if (reading === "rejected") return { outcome: framing.rejected };
  return (framing.takesText && expectedOfText(bytes)) || { outcome: framing.notJson };
}

/** What must become of a text that is a whole event. */
function expectedOfWhole(framing: Framing, name: string, bytes: Buffer): Outcome {
  const early = expectedOfDeep(framing, name);
  if (early) return early;
  // A blank line is no event, so the next line is at its place.
  if (framing.type === asLine.type && /^[ \n]*$/.test(bytes.toString()))
    return { outcome: "stored", value: {} };
  const reading = read(bytes, framing.isWholeText ?? false);
  if (reading === "not JSON") return { outcome: framing.notJson };
  if (reading === "rejected") return { outcome: framing.rejected };
  const { value } = reading;
  // The data of a CloudEvent keep an `id`. Any other event's is its own.
  const own = framing.type === asCloudEvent.type ? {} : { id: undefined };
  if (isObject(value)) return { outcome: "stored", value: { ...value, ...own } };
  if (!framing.isWholeText) return { outcome: framing.rejected };
  if (!Array.isArray(value) || value.length === 0) return { outcome: framing.notJson };
  return { outcome: value.some(isObject) ? "item" : framing.rejected };
}

const isObject = (value: unknown): value is object =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function expectedOfDeep({ tooDeep }: Framing, name: string): Outcome | undefined {
  if (name === "n_structure_100000_opening_arrays") return { outcome: tooDeep[0] };
  return name === "n_structure_open_array_object" ? { outcome: tooDeep[1] } : undefined;
}

/** docs/http.md: no bytes are no data, and a text that does not look like JSON is a string. */
function expectedOfText(bytes: Uint8Array): Outcome | undefined {
  if (bytes.length === 0) return { outcome: "stored", value: null };
  if (!isUtf8(bytes)) return undefined;
  const text = utf8.decode(bytes);
  if (/^\s*(?:[[{"]|$)/.test(text)) return undefined;
  return isKept(text, 0) ? { outcome: "stored", value: text } : { outcome: "422" };
}

/** Runs over all cases, some at once. */
async function overAll(run: (one: (typeof JSON_SUITE)[number]) => Promise<void>): Promise<void> {
  const left = [...JSON_SUITE];
  const worker = async () => {
    for (let one = left.pop(); one; one = left.pop()) await run(one);
  };
  await Promise.all(Array.from({ length: 8 }, worker));
}

/** Sends each text, drains, and compares what became of it with what must. */
async function expectAll(
  stream: string,
  framing: Framing,
  expectedOf: typeof expectedInEvents,
  ack: string,
): Promise<void> {
  const outcomes: Record<string, string> = {};
  const expected: Record<string, string> = {};
  const values = new Map<string | undefined, unknown>();
  const accepted: string[] = [];
  await overAll(async ({ name, bytes }) => {
    const { type, headers = {}, body, place = 0 } = framing;
    const own = "ce-id" in headers ? { ...headers, "ce-id": name } : headers;
    const answer = await ingest.postRaw(stream, type, body(bytes, name), {
      ...{ headers: own, query: `?ack=${ack}` },
    });
    const { outcome, id } = outcomeAt(answer, place);
    const wanted = expectedOf(framing, name, bytes);
    outcomes[name] = outcome;
    expected[name] = wanted.outcome;
    accepted.push(...(answer.body.ids ?? []));
    if (id !== undefined) values.set(id, wanted.value);
  });
  expect(outcomes).toEqual(expected);
  await drain(world.supervisor(), {});
  const payloads = await payloadsOf(stream);
  for (const [id, value] of values) expect(payloads.get(id)).toEqual(asKept(value));
  await expectConserved(world, stream, accepted);
  expect((await ingest.send("/health")).status).toBe(200);
}

/** The payload of each row, by its id. */
async function payloadsOf(stream: string): Promise<Map<string | undefined, unknown>> {
  const { rows } = await world.sql.query<{ id: string; payload: string }>(
    `select id, payload::text from ${stream}`,
  );
  return new Map(rows.map(({ id, payload }) => [id, JSON.parse(payload)]));
}

/** docs/http.md: -0 is 0. */
const asKept = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

describe.each(Object.entries(IN_EVENTS))("as a payload in %s", (_, framing) => {
  test.each(["buffered", "stored"])("each text is stored as it is, or refused; ack=%s", (ack) =>
    expectAll("events", framing, expectedInEvents, ack),
  );
});

describe.each(Object.entries(WHOLE))("as %s", (_, framing) => {
  test.each(["buffered", "stored"])("each text is stored as it is, or refused; ack=%s", (ack) =>
    expectAll("anything", framing, expectedOfWhole, ack),
  );
});
