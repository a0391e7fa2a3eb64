/**
 * CloudEvents 1.0 over HTTP: the cases of the conformance features, everything that the official SDK sends, and senders that read
 * the specification in other ways. One stream keeps each attribute in a column of its own, so that a row shows what was understood.
 */
import { CloudEvent, emitterFor, HTTP, httpTransport, type Message, Mode } from "cloudevents";
import { jsonb, pgTable, text, timestamp } from "drizzle-orm/pg-core";
import { v5 } from "uuid";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { drain } from "../../lib/drain/drain.ts";
import { defineStream, eventColumns, json, timestampText } from "../../lib/schema/stream.ts";
import { type Answer, type Ingest, serveIngest } from "./test-ingest.ts";
import { expectConserved, KEY, openWorldWith, type World, whereabouts } from "./test-stack.ts";

const received = defineStream({
  name: "received",
  table: pgTable("received", {
    ...eventColumns(),
    ceId: text("ce_id").notNull(),
    source: text("source").notNull(),
    type: text("type").notNull(),
    subject: text("subject"),
    time: timestamp("time", { withTimezone: true, mode: "string" }),
    datacontenttype: text("datacontenttype"),
    data: jsonb("data"),
  }),
  schema: z.strictObject({
    ceId: z.string(),
    source: z.string(),
    type: z.string(),
    subject: z.string().optional(),
    time: timestampText().optional(),
    datacontenttype: z.string().optional(),
    data: json().nullable().optional(),
  }),
  fromCloudEvent: ({ id, ...rest }) => ({ ceId: id, ...rest }),
});

let world: World;
let ingest: Ingest;
beforeAll(async () => {
  world = await openWorldWith(
    received,
    `ce_id text not null, source text not null, type text not null, subject text, time timestamptz, datacontenttype text,
    data jsonb`,
  );
  ingest = await serveIngest(world, { corsOrigins: ["https://app.example"], keyEventsPerSecond: 500 });
});
beforeEach(() => world.reset());
afterAll(async () => {
  await ingest.close();
  await world.close();
});

const STRUCTURED = "application/cloudevents+json";
const BATCH = "application/cloudevents-batch+json";

/** Every row of a stream, oldest id first, without what differs from run to run. */
async function rowsOf(stream: string): Promise<Record<string, unknown>[]> {
  const { rows } = await world.sql.query(
    `select to_jsonb(x) - 'received_at' - 'stored_at' as row from ${stream} x order by id`,
  );
  return rows.map(({ row }) => row);
}

/** Drains, and returns the one row that an answer's event became. */
async function rowAfter(stream: string, answer: Answer): Promise<Record<string, unknown> | undefined> {
  expect(answer).toMatchObject({ status: 202, body: { accepted: 1 } });
  await drain(world.supervisor(), {});
  await expectConserved(world, stream, answer.body.ids);
  const [row, ...others] = await rowsOf(stream);
  expect(others).toEqual([]);
  expect((await whereabouts(world, stream)).stored).toEqual(answer.body.ids);
  return row;
}

/** Posts bytes with these headers and no others. */
const postBytes = (stream: string, headers: Record<string, string>, body?: Bytes) =>
  ingest.send(`/v1/${stream}`, {
    method: "POST",
    headers: { authorization: `Bearer ${KEY}`, ...headers },
    ...(body === undefined ? {} : { body }),
  });

const postStructured = (stream: string, value: unknown, headers: Record<string, string> = {}) =>
  ingest.postRaw(stream, STRUCTURED, JSON.stringify(value), { headers });

type Bytes = string | Uint8Array<ArrayBuffer>;
const ATTRIBUTES = { specversion: "1.0", id: "e-1", source: "/shop", type: "order.paid" };
const asHeaders = (attributes: Record<string, string>) =>
  Object.fromEntries(Object.entries(attributes).map(([name, value]) => [`ce-${name}`, value]));
const postBinary = (
  stream: string,
  type: string | undefined,
  body: Bytes | undefined,
  attributes: Record<string, string> = {},
) =>
  postBytes(
    stream,
    {
      ...asHeaders({ ...ATTRIBUTES, ...attributes }),
      ...(type === undefined ? {} : { "content-type": type }),
    },
    body,
  );
const errorsOf = (answer: Answer) => {
  expect(answer.status).toBe(422);
  return answer.body.errors.map(({ path }: { path: string }) => path);
};

describe("the conformance features", () => {
  const event = {
    specversion: "1.0",
    type: "com.example.someevent",
    time: "2018-04-05T03:56:24Z",
    id: "1234-1234-1234",
    source: "/mycontext/subcontext",
  };
  const data = { message: "Hello World!" };
  const understood = {
    id: expect.any(String),
    ce_id: event.id,
    source: event.source,
    type: event.type,
    subject: null,
    time: "2018-04-05T03:56:24+00:00",
    data,
  };

  test.each(["application/json", "application/json; charset=utf-8"])("binary mode, %s", async (type) => {
    const answer = await postBytes(
      "received",
      { ...asHeaders(event), "content-type": type },
      `{\n    "message": "Hello World!"\n}\n`,
    );
    expect(await rowAfter("received", answer)).toEqual({ ...understood, datacontenttype: type });
  });

  test.each([STRUCTURED, `${STRUCTURED}; charset=utf-8`])("structured mode, %s", async (type) => {
    const body = JSON.stringify({ ...event, datacontenttype: "application/json", data }, undefined, 4);
    const answer = await postBytes("received", { "content-type": type }, body);
    expect(await rowAfter("received", answer)).toEqual({
      ...understood,
      datacontenttype: "application/json",
    });
  });
});

describe("Content-Type alone decides the mode", () => {
  const stray = asHeaders({ ...ATTRIBUTES, id: "stray", source: "/stray", type: "stray", subject: "stray" });

  test("a structured event with ce-* headers is what its body says", async () => {
    const answer = await postStructured("received", { ...ATTRIBUTES, data: { a: 1 } }, stray);
    expect(await rowAfter("received", answer)).toMatchObject({
      ce_id: "e-1",
      source: "/shop",
      subject: null,
      data: { a: 1 },
    });
  });

  test("a batch with ce-* headers is as many rows as it has events", async () => {
    const batch = ["1", "2", "3"].map((id) => ({ ...ATTRIBUTES, id, data: id }));
    const answer = await ingest.postRaw("received", BATCH, JSON.stringify(batch), { headers: stray });
    expect(answer.body).toMatchObject({ accepted: 3 });
    await drain(world.supervisor(), {});
    await expectConserved(world, "received", answer.body.ids);
    expect((await rowsOf("received")).map((row) => row.data).sort()).toEqual(["1", "2", "3"]);
  });

  test.each(["application/cloudevents+avro", "application/cloudevents-batch+xml", "application/cloudevents"])(
    "%s is a format that is not taken, whatever headers come along",
    async (type) =>
      expect((await postBytes("received", { ...stray, "content-type": type }, "{}")).status).toBe(415),
  );

  test.each(["ce-specversion", "ce-id", "ce-source", "ce-type"])(
    "binary mode without %s is told so, not taken as something else",
    async (name) => {
      const { [name]: _, ...headers } = asHeaders(ATTRIBUTES);
      const answer = await postBytes("events", { ...headers, "content-type": "application/json" }, `{"a":1}`);
      expect(errorsOf(answer)).toEqual([name.slice("ce-".length)]);
      await expectConserved(world, "events", []);
    },
  );

  test("specversion 0.3 is refused in every mode, by its name", async () => {
    const answers = [
      await postStructured("events", { ...ATTRIBUTES, specversion: "0.3" }),
      await postBinary("events", "application/json", "{}", { specversion: "0.3" }),
      await ingest.postRaw("events", BATCH, JSON.stringify([{ ...ATTRIBUTES, specversion: "0.3" }])),
    ];
    for (const { status, body } of answers)
      expect({ status, errors: body.errors }).toMatchObject({
        status: 422,
        errors: [{ path: "specversion", message: 'expected "1.0", got "0.3"' }],
      });
  });
});

describe("the official SDK", () => {
  const make = (properties: object) =>
    new CloudEvent({ id: "e-1", source: "/shop", type: "order.paid", ...properties }, false);
  const bodyOf = ({ body }: Message) => body as Bytes | undefined;
  const TIME = "2026-11-21T09:30:00.123Z";
  const binary = (event: CloudEvent<unknown>) => HTTP.binary(event);
  const structured = (event: CloudEvent<unknown>) => HTTP.structured(event);
  const batch = (event: CloudEvent<unknown>) => ({
    headers: { "content-type": BATCH },
    body: JSON.stringify([event]),
  });
  const MODES = { binary, structured, batch };
  const send = (event: CloudEvent<unknown>, mode: keyof typeof MODES, stream = "received") => {
    const message: Message = MODES[mode](event);
    const { body } = message;
    // undici would write "null" and "undefined" as words, which no client of HTTP does
    return postBytes(
      stream,
      message.headers as Record<string, string>,
      typeof body === "number" || typeof body === "boolean" ? String(body) : bodyOf(message),
    );
  };
  const bytes = Uint8Array.from([0, 1, 2, 0xc3, 0x28, 255]);
  const base64 = Buffer.from(bytes).toString("base64");

  const SHAPES: [name: string, properties: object, data: unknown][] = [
    ["an object", { data: { a: { b: [1, "ä 😀", null, true] } } }, { a: { b: [1, "ä 😀", null, true] } }],
    [
      "an object with a vendor's JSON type",
      { data: { a: 1 }, datacontenttype: "application/vnd.a+json" },
      { a: 1 },
    ],
    ["an array", { data: [1, 2, { a: [] }] }, [1, 2, { a: [] }]],
    ["null", { data: null }, null],
    ["a number", { data: 1.5 }, 1.5],
    ["a boolean", { data: false }, false],
    ["words", { data: "just words, 50% of them" }, "just words, 50% of them"],
    ["no data", {}, null],
    ["text", { data: "Grüße 😀\n", datacontenttype: "text/plain" }, "Grüße 😀\n"],
    ["empty text", { data: "", datacontenttype: "text/plain" }, ""],
    ["text that looks like JSON", { data: `{"a":1}`, datacontenttype: "text/plain" }, `{"a":1}`],
    ["XML", { data: "<a b='c'/>", datacontenttype: "application/xml" }, "<a b='c'/>"],
    ["Atom", { data: "<feed/>", datacontenttype: "application/atom+xml" }, "<feed/>"],
    [
      "bytes",
      { data: bytes, datacontenttype: "application/octet-stream" },
      { data_base64: base64, datacontenttype: "application/octet-stream" },
    ],
    [
      "bytes that are base64 already",
      { data_base64: base64, datacontenttype: "image/png" },
      { data_base64: base64, datacontenttype: "image/png" },
    ],
    ["text as bytes", { data: Buffer.from("Grüße"), datacontenttype: "text/plain" }, "Grüße"],
    ["JSON as bytes", { data: Buffer.from(`{"a":"ä"}`), datacontenttype: "application/json" }, { a: "ä" }],
  ];
  describe.each(["binary", "structured", "batch"] as const)("in %s mode", (mode) => {
    test.each(SHAPES)("%s is stored as it was", async (_, properties, data) => {
      const event = make({ time: TIME, subject: "u-7", comexample: "x", ...properties });
      expect(await rowAfter("received", await send(event, mode))).toMatchObject({
        ...{ ce_id: "e-1", source: "/shop", type: "order.paid", subject: "u-7" },
        ...{ time: "2026-11-21T09:30:00.123+00:00", data },
      });
    });

    test.each(["50% off", "100%", "%", "%zz", "a b", "ä", "a\\b", `say "hi"`, "Ã¤ ü"])(
      "the subject %j is stored as it was",
      async (subject) => {
        expect(await rowAfter("received", await send(make({ subject, data: 1 }), mode))).toMatchObject({
          subject,
        });
      },
    );

    test.each([
      ["a number", { number: 5 }],
      ["a boolean", { flag: false }],
      ["a text with a percent sign", { rate: "5%" }],
      ["null", { nothing: null }],
      ["an object", { tags: { a: 1 } }],
      ["almost the name of a field of Object", { tostring: "y", hasownproperty: "z" }],
      ["the name of something else of an event", { payload: "x", userid: "y", datax: "z", data_y: "z" }],
    ])("an extension that is %s refuses nothing", async (_, extensions) => {
      const answer = await send(make({ data: { a: 1 }, ...extensions }), mode);
      expect(await rowAfter("received", answer)).toMatchObject({ ce_id: "e-1", data: { a: 1 } });
    });

    test("no data is JSON's null in a stream that keeps any JSON", async () => {
      await rowAfter("events", await send(make({}), mode, "events"));
      const { rows } = await world.sql.query("select payload::text from events");
      expect(rows).toEqual([{ payload: "null" }]);
    });
  });

  test.each([Mode.BINARY, Mode.STRUCTURED])(
    "its emitter over its own transport, in %s mode",
    async (mode) => {
      const emit = emitterFor(httpTransport(`${ingest.url}/v1/received`), { binding: HTTP, mode });
      const options = { headers: { authorization: `Bearer ${KEY}` } };
      const response = (await emit(make({ subject: "50%", data: { a: 1 } }), options)) as { body: string };
      const body = JSON.parse(response.body);
      const answer = { status: 202, headers: new Headers(), body };
      expect(await rowAfter("received", answer)).toMatchObject({ subject: "50%", data: { a: 1 } });
    },
  );
});

describe("headers of binary mode", () => {
  /** The subject as it was stored. */
  const stored = async (subject: string) =>
    (await rowAfter("received", await postBinary("received", "application/json", "1", { subject })))?.subject;

  test.each([
    ["percent-encoded UTF-8", "Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"],
    ["lower-case hex", "%e2%82%ac", "€"],
    ["encoded without need", "%41%2f", "A/"],
    ["a percent sign that is escaped", "50%25", "50%"],
    ["decoded once only", "%2541", "%41"],
    ["percent signs that escape nothing", "%, %4, %zz, 100%", "%, %4, %zz, 100%"],
    ["a quoted string", `"a b"`, "a b"],
    ["a quoted string with escapes", String.raw`"a \"b\" \\ c"`, String.raw`a "b" \ c`],
    ["quoted, then percent-encoded", `"%E2%82%AC"`, "€"],
    ["quotation marks that are percent-encoded", "%22a%22", `"a"`],
    ["quotation marks that quote no whole value", `"a" and "b"`, `"a" and "b"`],
    ["a quotation mark alone", `"`, `"`],
    ["raw UTF-8", Buffer.from("Grüße €").toString("latin1"), "Grüße €"],
    ["raw Latin-1", "Grüße", "Grüße"],
  ])("%s", async (_, value, subject) => expect(await stored(value)).toBe(subject));

  test.each(["%C0%A0", "%ff", "%ed%a0%80", "ok %E2%82"])(
    "%s is no UTF-8: it is refused by the attribute's name",
    async (subject) => {
      const answer = await postBinary("received", "application/json", "1", { subject });
      expect(errorsOf(answer)).toEqual(["subject"]);
      expect(answer.body.errors[0].message).toContain("ce-subject");
    },
  );

  test.each([
    ["broken percent-encoding", { comexample: "%C0%A0" }],
    ["ce-data", { data: "x", data_base64: "%%%" }],
    ["ce-datacontenttype", { datacontenttype: "text/plain" }],
    ["names of Object's own", { constructor: "x", __proto__x: "y", valueof: "z" }],
  ])("extensions refuse and change nothing: %s", async (_, extensions: Record<string, string>) => {
    const answer = await postBinary("received", "application/json", `{"a":1}`, extensions);
    expect(await rowAfter("received", answer)).toMatchObject({
      datacontenttype: "application/json",
      data: { a: 1 },
    });
  });

  test("ce-__proto__ is an extension like any other", async () => {
    const headers = { ...asHeaders(ATTRIBUTES), "content-type": "application/json" };
    const own = Object.fromEntries([...Object.entries(headers), ["ce-__proto__", "x"]]);
    expect(await rowAfter("received", await postBytes("received", own, "1"))).toMatchObject({ data: 1 });
  });

  test("extensions of a structured event refuse and change nothing", async () => {
    const body = `{"specversion":"1.0","id":"e-1","source":"/shop","type":"t","__proto__":{"subject":"x"},"constructor":1,
      "unset":null,"big":123456789012345678901,"nested":{"a":["\\u0000"]},"comexample":"\\ud800","data":{"a":1}}`;
    const answer = await ingest.postRaw("received", STRUCTURED, body);
    expect(await rowAfter("received", answer)).toMatchObject({ subject: null, data: { a: 1 } });
  });
});

describe("what is null is unset", () => {
  test("subject, time, datacontenttype, data_base64 and extensions", async () => {
    const event = {
      ...ATTRIBUTES,
      ...{ subject: null, time: null, datacontenttype: null, dataschema: null, data_base64: null },
      ...{ comexample: null, data: { a: 1 } },
    };
    const row = await rowAfter("received", await postStructured("received", event));
    expect(row).toMatchObject({ subject: null, time: null, datacontenttype: null, data: { a: 1 } });
  });

  test.each(["specversion", "id", "source", "type"])("%s is missing then", async (name) => {
    expect(errorsOf(await postStructured("received", { ...ATTRIBUTES, [name]: null }))).toEqual([name]);
  });

  test("data may be missing where the mapping allows it, and nowhere else", async () => {
    expect(await rowAfter("events", await postStructured("events", ATTRIBUTES))).toMatchObject({
      payload: null,
    });
    expect(errorsOf(await postStructured("locations", ATTRIBUTES))).toEqual(["data"]);
    expect(errorsOf(await postBinary("locations", "application/json", undefined))).toEqual(["data"]);
  });

  test.each(["buffered", "stored"])("a payload of null is JSON's null in Postgres, ack=%s", async (ack) => {
    const sent = [null, { a: null }, "null"];
    const body = sent.map((payload) => ({ type: "t", payload }));
    const answer = await ingest.post("events", body, { query: `?ack=${ack}` });
    await drain(world.supervisor(), {});
    await expectConserved(world, "events", answer.body.ids);
    const { rows } = await world.sql.query("select payload::text as text from events");
    expect(rows.map(({ text }) => text).sort()).toEqual([`"null"`, "null", `{"a": null}`]);
    expect((await ingest.post("events", { type: "t" })).body.errors).toMatchObject([{ path: "payload" }]);
  });
});

describe("data that are not JSON", () => {
  const bytes = Buffer.from([0, 255, 1]);
  const asText = (datacontenttype?: string) => ({
    data_base64: "AP8B",
    ...(datacontenttype === undefined ? {} : { datacontenttype }),
  });

  test.each([
    ["application/octet-stream", bytes, asText("application/octet-stream")],
    ["application/pdf; version=1", bytes, asText("application/pdf; version=1")],
    ["text/plain", Buffer.from("Grüße"), "Grüße"],
    ["text/plain; charset=utf-8", Buffer.from("\ufeffGrüße"), "\ufeffGrüße"],
    ["text/plain; charset=iso-8859-1", bytes, asText("text/plain; charset=iso-8859-1")],
    ["text/plain; charset=us-ascii", Buffer.from("a"), "a"],
    ["text/csv", bytes, asText("text/csv")],
    ["application/x-www-form-urlencoded", Buffer.from("a=1&b=%20"), "a=1&b=%20"],
    ["text/json", Buffer.from(`{"a":1}`), { a: 1 }],
    ["APPLICATION/SOAP+XML", Buffer.from("<a/>"), "<a/>"],
    [
      "application/octet-stream",
      Buffer.from(""),
      { data_base64: "", datacontenttype: "application/octet-stream" },
    ],
  ])("in binary mode, %s", async (type, body, data) => {
    const row = await rowAfter("received", await postBinary("received", type, new Uint8Array(body)));
    expect(row).toMatchObject({ datacontenttype: type, data });
  });

  test("in binary mode, without Content-Type, they are JSON", async () => {
    const row = await rowAfter(
      "received",
      await postBinary("received", undefined, new Uint8Array(Buffer.from(`{"a":1}`))),
    );
    expect(row).toMatchObject({ datacontenttype: null, data: { a: 1 } });
  });

  test("in binary mode, JSON may begin with a byte order mark", async () => {
    const body = new Uint8Array(Buffer.from(`\ufeff{"a":1}`));
    expect(await rowAfter("received", await postBinary("received", "application/json", body))).toMatchObject({
      data: { a: 1 },
    });
  });

  test.each([
    [undefined, asText()],
    ["application/octet-stream", asText("application/octet-stream")],
    ["text/plain", asText("text/plain")], // no UTF-8
  ])("data_base64 of type %s is kept as text, with its type", async (datacontenttype, data) => {
    const event = { ...ATTRIBUTES, datacontenttype, data_base64: bytes.toString("base64") };
    const row = await rowAfter("received", await postStructured("received", event));
    expect(row).toMatchObject({ datacontenttype: datacontenttype ?? null, data });
  });

  test("data that are a string stay a string, whatever their type says", async () => {
    const texts = ["text/xml", "application/json", undefined];
    const batch = texts.map((datacontenttype, i) => ({
      ...ATTRIBUTES,
      id: `${i}`,
      datacontenttype,
      data: `{"a":1}`,
    }));
    const { body } = await ingest.postRaw("received", BATCH, JSON.stringify(batch));
    await drain(world.supervisor(), {});
    await expectConserved(world, "received", body.ids);
    expect((await rowsOf("received")).map((row) => row.data)).toEqual(texts.map(() => `{"a":1}`));
  });

  test.each([
    ["not base64", { data_base64: "*" }],
    ["no string", { data_base64: 1 }],
    ["beside data", { data: 1, data_base64: "AA==" }],
    [
      "of JSON that is none",
      { datacontenttype: "application/json", data_base64: Buffer.from("{").toString("base64") },
    ],
    [
      "of JSON that is nested too deep",
      {
        datacontenttype: "application/json",
        data_base64: Buffer.from("[".repeat(65) + "]".repeat(65)).toString("base64"),
      },
    ],
  ])("data_base64 that is %s is refused by its name", async (_, more) => {
    expect(errorsOf(await postStructured("received", { ...ATTRIBUTES, ...more }))).toEqual(["data_base64"]);
  });

  test("JSON in data_base64 is as suspect as any other", async () => {
    const data_base64 = Buffer.from(String.raw`{"a":"\u0000"}`).toString("base64");
    const event = { ...ATTRIBUTES, datacontenttype: "application/json", data_base64 };
    expect(errorsOf(await postStructured("events", event))).toEqual(["data.a"]);
  });

  test("data are nested as deep in each mode, and no deeper than in the row that is made of them", async () => {
    for (const [depth, status] of [
      [63, 202],
      [64, 422],
    ] as const) {
      const json = "[".repeat(depth) + "]".repeat(depth);
      const data_base64 = Buffer.from(json).toString("base64");
      for (const answer of [
        await postStructured("events", { ...ATTRIBUTES, data: JSON.parse(json) }),
        await postStructured("events", { ...ATTRIBUTES, datacontenttype: "application/json", data_base64 }),
        await postBinary("events", "application/json", json),
      ])
        expect(answer.status).toBe(status);
    }
  });

  test("data in binary mode that are nested too deep are refused by their name", async () => {
    const [most, tooMuch] = [62, 65].map((levels) => `${"[".repeat(levels)}${"]".repeat(levels)}`);
    expect((await postBinary("received", "application/json", most ?? "")).status).toBe(202);
    const refused = await postBinary("received", "application/json", tooMuch ?? "");
    expect([refused.status, ...errorsOf(refused)]).toEqual([422, "data"]);
  });

  test("a stream whose events are the data says that it takes JSON only", async () => {
    const octets = { ...ATTRIBUTES, datacontenttype: "application/octet-stream", data_base64: "AA==" };
    for (const answer of [
      await postStructured("locations", octets),
      await postBinary("locations", "application/octet-stream", "x"),
      await postBinary("locations", "text/plain", "x"),
    ])
      expect(errorsOf(answer)).toEqual(["data"]);
  });

  test.each([`{"a":NaN}`, `[1,]`, `"x`, "\xff", "  ", ` {"a":`])(
    "in binary mode, %j is no JSON, and no text either",
    async (body) => {
      const answer = await postBinary(
        "received",
        "application/json",
        new Uint8Array(Buffer.from(body, "latin1")),
      );
      expect(answer.status).toBe(400);
    },
  );
});

describe("errors name what the sender wrote", () => {
  test.each([
    ["data", { data: { x: [1, "\0"] } }, "data.x.1"],
    ["time", { time: "yesterday" }, "time"],
    ["subject", { subject: "" }, "subject"],
    ["type", { type: "t".repeat(201) }, "type"],
    ["a subject that no column holds", { subject: "a\0b" }, "subject"],
  ])("in a stream that maps CloudEvents: %s", async (_, more, path) => {
    expect(errorsOf(await postStructured("events", { ...ATTRIBUTES, data: {}, ...more }))).toEqual([path]);
    const batch = await ingest.postRaw("events", BATCH, JSON.stringify([{ ...ATTRIBUTES, ...more }]));
    expect(errorsOf(batch)).toEqual([path]);
  });

  test("in a stream whose events are the data", async () => {
    const data = { userId: "u", lat: 91, lng: 2, recordedAt: "2026-11-21T09:30:00Z", unheardOf: 1 };
    const answer = await postStructured("locations", { ...ATTRIBUTES, data });
    expect(errorsOf(answer).sort()).toEqual(["data.lat", "data.unheardOf"]);
  });

  test("in binary mode, too", async () => {
    const answer = await postBinary("events", "application/json", "1", { time: "yesterday", subject: "%00" });
    expect(errorsOf(answer)).toEqual(["subject"]);
    expect(errorsOf(await postBinary("events", "application/json", String.raw`{"a":"\u0000"}`))).toEqual([
      "data.a",
    ]);
  });
});

describe("GET finds an event by its CloudEvents id and source", () => {
  const find = (id: string, source?: string) =>
    ingest.send(
      `/v1/events/${encodeURIComponent(id)}${source === undefined ? "" : `?source=${encodeURIComponent(source)}`}`,
      { headers: { authorization: `Bearer ${KEY}` } },
    );

  test.each(["e/1 ä+&?", "%41"])("the id %j", async (id) => {
    const source = "https://shop.example/a?b=c&d=+ä";
    const { body } = await postStructured("events", { ...ATTRIBUTES, id, source });
    await drain(world.supervisor(), {});
    const row = v5(
      JSON.stringify(["events", "tester", JSON.stringify([source, id])]),
      "6f1d7c1e-5b0a-5c39-9a54-0d6f5b8b1a77",
    );
    expect(body.ids).toEqual([row]);
    expect((await find(id, source)).body).toEqual({ id: row, status: "stored" });
    expect((await find(id, "/other")).body).toMatchObject({ status: "unknown" });
    expect((await find(id)).body).toMatchObject({ status: "unknown" });
    await expectConserved(world, "events", body.ids);
  });

  test.each([
    ["id", "i".repeat(513), "/shop"],
    ["source", "e-1", `/${"s".repeat(600)}`],
    ["pair, in letters that JSON escapes", "\u0001".repeat(60), "\u0002".repeat(60)],
  ])("a long %s", async (_, id, source) => {
    const { body } = await postStructured("events", { ...ATTRIBUTES, id, source });
    await drain(world.supervisor(), {});
    expect((await find(id, source)).body).toEqual({ id: body.ids[0], status: "stored" });
    await expectConserved(world, "events", body.ids);
  });

  test("several of one source at once", async () => {
    const events = ["a", "b"].map((id) => ({ ...ATTRIBUTES, id }));
    const { body } = await ingest.postRaw("events", BATCH, JSON.stringify(events));
    await drain(world.supervisor(), {});
    const { body: found } = await ingest.send("/v1/events?id=a&id=c&id=b&source=%2Fshop", {
      headers: { authorization: `Bearer ${KEY}` },
    });
    const stored = (id: string) => ({ id, status: "stored" });
    expect(found.events).toEqual([
      stored(body.ids[0]),
      { id: expect.any(String), status: "unknown" },
      stored(body.ids[1]),
    ]);
    await expectConserved(world, "events", body.ids);
  });

  test("an empty id or source is no CloudEvent's, and two sources are not understood", async () => {
    const ask = (path: string) =>
      ingest.send(`/v1/events${path}`, { headers: { authorization: `Bearer ${KEY}` } });
    expect((await ask("/a?source=")).status).toBe(404);
    expect((await ask("?id=&source=%2Fshop")).body).toEqual({ events: [{ id: "", status: "unknown" }] });
    for (const path of ["/a?source=x&source=y", "?id=a&source=x&source=y"])
      expect((await ask(path)).status).toBe(400);
  });

  test("a UUID is an id by itself", async () => {
    const id = "0190b3c4-aaaa-7bbb-8ccc-000000000001";
    const { body } = await postStructured("events", { ...ATTRIBUTES, id });
    await drain(world.supervisor(), {});
    expect(body.ids).toEqual([id]);
    for (const source of ["/shop", "/other", undefined])
      expect((await find(id, source)).body).toEqual({ id, status: "stored" });
    await expectConserved(world, "events", [id]);
  });
});

describe("the handshake of webhooks", () => {
  const ask = (path: string, headers: Record<string, string>) =>
    ingest.send(path, { method: "OPTIONS", headers });
  const ORIGIN = { "webhook-request-origin": "eventemitter.example.com" };
  const said = ({ status, headers }: Answer) => ({
    status,
    origin: headers.get("webhook-allowed-origin"),
    rate: headers.get("webhook-allowed-rate"),
    allow: headers.get("allow"),
  });

  test.each([
    {},
    { "webhook-request-rate": "120" },
    { "webhook-request-callback": "https://a.example/confirm" },
  ])(
    "is granted without a key, with the rate of one key, beside %j",
    async (more: Record<string, string>) => {
      const answer = await ask("/v1/events", { ...ORIGIN, ...more });
      expect(said(answer)).toEqual({ status: 200, origin: "*", rate: "30000", allow: "POST, OPTIONS" });
    },
  );

  test("an event that comes with its sender's origin is an event", async () => {
    const answer = await postStructured("received", ATTRIBUTES, ORIGIN);
    expect(await rowAfter("received", answer)).toMatchObject({ ce_id: ATTRIBUTES.id });
  });

  test("a browser's preflight is still answered, with both or alone", async () => {
    const preflight = { origin: "https://app.example", "access-control-request-method": "POST" };
    const both = await ask("/v1/events", { ...preflight, ...ORIGIN });
    expect(both.headers.get("access-control-allow-origin")).toBe("https://app.example");
    expect(said(both)).toMatchObject({ status: 200, origin: "*" });
    expect(said(await ask("/v1/events", preflight))).toMatchObject({ status: 204, origin: null, rate: null });
  });

  test.each(["/v1/events/1", "/v2/events", "/health"])(
    "%s takes no events, so it grants nothing",
    async (path) => {
      expect(said(await ask(path, ORIGIN)).origin).toBeNull();
    },
  );
});
