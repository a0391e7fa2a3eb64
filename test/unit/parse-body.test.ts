import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { mediaTypeOf } from "../../lib/ingest/media-type.ts";
import { type ParsedBody, parseBody, TooMany } from "../../lib/ingest/parse-body.ts";
import { BodySyntaxError } from "../../lib/ingest/raw-event.ts";
import events from "../streams/events.ts";

const parse = (type: Parameters<typeof parseBody>[1], body: string | Uint8Array, headers = {}): ParsedBody =>
  parseBody(events, type, headers, typeof body === "string" ? Buffer.from(body) : body, 1000);

test.each([
  ["ndjson", "{}\n\n{}\n{}"],
  ["json", "[{},{},{}]"],
  ["cloudevent-batch", "[{},{},{}]"],
] as const)(
  "of %s more events than are accepted are refused before anything is made of them",
  (type, body) => {
    expect(() => parseBody(events, type, {}, Buffer.from(body), 2)).toThrow(TooMany);
    expect(parseBody(events, type, {}, Buffer.from(body), 3).events).toHaveLength(3);
  },
);

test("8 MB of blank lines make no event and no mess", () => {
  expect(() => parse("ndjson", "\n".repeat(8_000_000))).toThrow("expected at least one event");
});

const values = ({ events }: ParsedBody) => events.map(({ value }) => value);

describe("the media type decides the form", () => {
  test.each([
    ["application/json", "json"],
    ["Application/JSON; charset=UTF-8", "json"],
    ['application/json;charset="utf-8"', "json"],
    ["application/x-ndjson", "ndjson"],
    ["application/cloudevents+json; charset=utf-8", "cloudevent"],
    ["application/cloudevents-batch+json", "cloudevent-batch"],
    ["application/json; charset=iso-8859-1", undefined],
    ["application/vnd.github+json", undefined],
    ["text/plain", undefined],
    ["", undefined],
    [undefined, undefined],
  ])("%s is %s", (type, form) => expect(mediaTypeOf({ "content-type": type })).toBe(form));

  test.each([
    ["application/json", "cloudevent-binary"],
    ["application/vnd.shop.order+json", "cloudevent-binary"],
    ["text/plain", undefined],
    [undefined, undefined],
  ])("with ce-specversion, %s is %s", (type, form) =>
    expect(mediaTypeOf({ "content-type": type, "ce-specversion": "1.0" })).toBe(form),
  );
});

describe("JSON", () => {
  test("an object is one event, an array a batch of its items", () => {
    expect(parse("json", `{"a":1}`)).toMatchObject({ isBatch: false, events: [{ value: { a: 1 } }] });
    expect(parse("json", `[{"a":1},2]`)).toMatchObject({
      isBatch: true,
      events: [{ value: { a: 1 } }, { value: 2 }],
    });
    expect(parse("json", `[{"a":1}]`).isBatch).toBe(true);
  });

  test("a byte order mark before it is passed over", () => {
    expect(values(parse("json", `\ufeff{"a":1}`))).toEqual([{ a: 1 }]);
  });

  test.each(["", " ", "{", "[]", "1", `"a"`, "null", "true", "{}x", "[1,]", "NaN"])("%j is no body", (body) =>
    expect(() => parse("json", body)).toThrow(BodySyntaxError),
  );

  test("bytes that are no UTF-8 are no body", () => {
    expect(() => parse("json", Buffer.from(`"\xe4"`, "latin1"))).toThrow(BodySyntaxError);
    expect(() => parse("json", Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22]))).toThrow(BodySyntaxError); // a surrogate
  });
});

describe("NDJSON", () => {
  test("any value is a line's event: whether it fits is judged later", () => {
    expect(values(parse("ndjson", `{"a":1}\n2\n\r\n "x" \r\n`))).toEqual([{ a: 1 }, 2, "x"]);
  });

  test("a line is suspect for itself alone", () => {
    const { events } = parse("ndjson", `{"a":1}\n{"a":1e400}`);
    expect(events.map(({ needsDeepCheck }) => needsDeepCheck)).toEqual([false, true]);
  });

  test.each(["", "\n \n"])("%j holds no event", (body) =>
    expect(() => parse("ndjson", body)).toThrow("at least one"),
  );
});

describe("CloudEvents", () => {
  const event = { specversion: "1.0", id: "1", source: "/s", type: "t", data: { a: 1 } };
  const uuid = "0190B3C4-AAAA-7BBB-8CCC-000000000001";

  test("an id is taken with its source, a UUID as it is", () => {
    const idOf = (more: object) =>
      parse("cloudevent", JSON.stringify({ ...event, ...more })).events[0]?.rawId;
    expect(idOf({})).toBe('["/s","1"]');
    expect(idOf({ id: uuid })).toBe(uuid);
    expect(idOf({ source: "/s2" })).not.toBe(idOf({}));
  });

  test.each([
    [{ specversion: "0.3" }, "specversion"],
    [{ specversion: undefined }, "specversion"],
    [{ id: "" }, "id"],
    [{ id: 1 }, "id"],
    [{ source: undefined }, "source"],
    [{ type: null }, "type"],
    [{ subject: 1 }, "subject"],
    [{ time: 1 }, "time"],
    [{ data_base64: "AA==" }, "data_base64"],
  ])("%j is named as the fault", (more, path) => {
    expect(parse("cloudevent", JSON.stringify({ ...event, ...more })).events[0]?.error?.path).toBe(path);
    const batch = parse("cloudevent-batch", JSON.stringify([event, { ...event, ...more }]));
    expect(batch.events.map(({ error }) => error?.path)).toEqual([undefined, path]);
  });

  test("the three modes give the same event", () => {
    const { data, ...attributes } = { ...event, subject: "ä 1", time: "2026-11-21T09:30:00Z" };
    const headers = Object.fromEntries(
      Object.entries(attributes).map(([name, value]) => [`ce-${name}`, encodeURIComponent(value)]),
    );
    const structured = parse("cloudevent", JSON.stringify({ ...attributes, data })).events[0];
    const [batched] = parse("cloudevent-batch", JSON.stringify([{ ...attributes, data }])).events;
    const [binary] = parse("cloudevent-binary", JSON.stringify(data), headers).events;
    expect(structured?.value).toEqual({
      type: "t",
      payload: { a: 1 },
      userId: "ä 1",
      occurredAt: attributes.time,
    });
    for (const other of [batched, binary])
      expect([other?.rawId, other?.value]).toEqual([structured?.rawId, structured?.value]);
  });

  test("what is no object, or no array of them, is no body; a header that is no percent-encoding neither", () => {
    expect(() => parse("cloudevent", "1")).toThrow(BodySyntaxError);
    expect(() => parse("cloudevent-batch", JSON.stringify(event))).toThrow(BodySyntaxError);
    expect(() => parse("cloudevent-batch", "[]")).toThrow("at least one");
    expect(() => parse("cloudevent-binary", "{}", { "ce-type": "%zz" })).toThrow("ce-type");
  });
});

test("whatever the bytes are, there is an answer: events, or a BodySyntaxError", () => {
  const type = fc.constantFrom(
    ...(["json", "ndjson", "cloudevent", "cloudevent-batch", "cloudevent-binary"] as const),
  );
  const body = fc.oneof(
    fc.uint8Array({ maxLength: 60 }),
    fc.json().map((text) => Buffer.from(text)),
    fc.array(fc.json()).map((lines) => Buffer.from(lines.join("\n"))),
    fc.array(fc.json()).map((items) => Buffer.from(`[${items.join(",")}]`)),
  );
  fc.assert(
    fc.property(type, body, (form, bytes) => {
      try {
        expect(parse(form, bytes, { "ce-id": "1" }).events.length).toBeGreaterThan(0);
      } catch (error) {
        expect(error).toBeInstanceOf(BodySyntaxError);
      }
    }),
    { numRuns: 1000 },
  );
});
