import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type MediaType, mediaTypeOf } from "../../lib/ingest/media-type.ts";
import { BodyParser } from "../../lib/ingest/parse-body.ts";
import { BodySyntaxError, type RawEvent, TooMany } from "../../lib/ingest/raw-event.ts";
import events from "../streams/events.ts";

interface Parsed {
  events: RawEvent[];
  isBatch: boolean;
}

/** Takes all events that have come. */
function takeAll(parser: BodyParser): RawEvent[] {
  const taken: RawEvent[] = [];
  for (let event = parser.next(); event; event = parser.next()) taken.push(event);
  return taken;
}

/** Parses a body that comes in pieces of so many bytes. */
function parse(
  type: MediaType,
  body: string | Uint8Array,
  { headers = {}, eventsMax = 1000, eventMaxBytes = 32_768, pieceBytes = 65_536 } = {},
): Parsed {
  const parser = new BodyParser({ stream: events, type, headers, eventsMax, eventMaxBytes });
  const bytes = Buffer.from(body);
  const parsed: RawEvent[] = [];
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    parser.add(bytes.subarray(at, at + pieceBytes));
    parsed.push(...takeAll(parser));
  }
  parser.end();
  parsed.push(...takeAll(parser));
  return { events: parsed, isBatch: parser.isBatch };
}

test.each([
  ["ndjson", "{}\n\n{}\n{}"],
  ["json", "[{},{},{}]"],
  ["cloudevent-batch", "[{},{},{}]"],
] as const)("of %s more events than are accepted are refused", (type, body) => {
  expect(() => parse(type, body, { eventsMax: 2 })).toThrow(TooMany);
  expect(parse(type, body, { eventsMax: 3 }).events).toHaveLength(3);
});

test("8 MB of blank lines make no event and no mess", () => {
  expect(() => parse("ndjson", "\n".repeat(8_000_000))).toThrow("expected at least one event");
});

const values = ({ events }: Parsed) => events.map(({ value }) => value);

describe("the media type decides the form", () => {
  test.each([
    ["application/json", "json"],
    ["Application/JSON; charset=UTF-8", "json"],
    ['application/json;charset="utf-8"', "json"],
    ["application/x-ndjson", "ndjson"],
    ["application/ndjson", "ndjson"],
    ["application/jsonl", "ndjson"],
    ["text/plain", "json"],
    ["text/plain;charset=UTF-8", "json"],
    ["application/cloudevents+json; charset=utf-8", "cloudevent"],
    ["application/cloudevents-batch+json", "cloudevent-batch"],
  ])("%s is %s", (type, form) => expect(mediaTypeOf({ "content-type": type })).toBe(form));

  test.each([
    "application/json; charset=iso-8859-1",
    "application/vnd.github+json",
    "application/x-www-form-urlencoded",
    "constructor",
    "__proto__",
    "toString",
  ])("%s is not taken; the answer names it", (type) =>
    expect(mediaTypeOf({ "content-type": type })).toEqual({ problem: expect.stringContaining(type) }),
  );

  test.each(["", undefined])("none is not taken; the answer names those that are", (type) =>
    expect(mediaTypeOf({ "content-type": type })).toEqual({
      problem: expect.stringMatching(/application\/json.*application\/x-ndjson.*got none/),
    }),
  );

  test.each([
    ["application/json", "cloudevent-binary"],
    ["application/vnd.shop.order+json", "cloudevent-binary"],
    ["text/plain", "cloudevent-binary"],
    ["text/plain; charset=iso-8859-1", "cloudevent-binary"],
    [undefined, "cloudevent-binary"],
    ["application/json; charset=iso-8859-1", { problem: expect.stringContaining("iso-8859-1") }],
    ["application/cloudevents+json", "cloudevent"],
    ["application/cloudevents-batch+json", "cloudevent-batch"],
    ["application/cloudevents+protobuf", { problem: expect.stringContaining("protobuf") }],
  ])("with ce-* headers, %s is %s", (type, form) => {
    for (const name of ["ce-specversion", "ce-id", "ce-source", "ce-type"])
      expect(mediaTypeOf({ "content-type": type, [name]: "1.0" })).toEqual(form);
  });
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

  test.each([1, 2, 3, 4, 100])(
    "a byte order mark before it is passed over, in pieces of %i bytes",
    (pieceBytes) => {
      expect(values(parse("json", `\ufeff{"a":1}`, { pieceBytes }))).toEqual([{ a: 1 }]);
      expect(values(parse("json", `\ufeff [{"a":1}]`, { pieceBytes }))).toEqual([{ a: 1 }]);
      expect(values(parse("ndjson", `\ufeff{"a":1}\n2`, { pieceBytes }))).toEqual([{ a: 1 }, 2]);
      expect(values(parse("cloudevent-batch", "\ufeff[1]", { pieceBytes }))).toHaveLength(1);
    },
  );

  test.each([
    ...[
      "ef 7b7d",
      "efbb 7b7d",
      "bf 7b7d",
      "bbbf 7b7d",
      "efbbbf efbbbf 7b7d",
      "20 efbbbf 7b7d",
      "efefbbbf 7b7d",
    ],
    ...["ef", "efbb", "efbbbf", "efbb 5b7b7d5d", "20 5b efbbbf 7b7d 5d"],
  ])("%s is no byte order mark, or not where one may be", (hex) => {
    const body = Buffer.from(hex.replaceAll(" ", ""), "hex");
    for (const pieceBytes of [1, 2, 100])
      for (const type of ["json", "cloudevent", "cloudevent-batch"] as const)
        expect(() => parse(type, body, { pieceBytes })).toThrow(BodySyntaxError);
  });

  test.each(["", " ", "{", "[]", "1", `"a"`, "null", "true", "{}x", "[1,]", "NaN"])("%j is no body", (body) =>
    expect(() => parse("json", body)).toThrow(BodySyntaxError),
  );

  test("bytes that are no UTF-8 are no body", () => {
    expect(() => parse("json", Buffer.from(`"\xe4"`, "latin1"))).toThrow(BodySyntaxError);
    expect(() => parse("json", Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22]))).toThrow(BodySyntaxError); // a surrogate
  });
});

/** What JSON.parse makes of the whole text, as events; undefined: it is no body. */
function eventsOfWhole(text: string): unknown[] | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null) return undefined;
    return Array.isArray(value) ? (value.length > 0 ? value : undefined) : [value];
  } catch {
    return undefined;
  }
}

test("split on its bytes and in any pieces, a body gives what JSON.parse gives of the whole", () => {
  const blank = fc.constantFrom("", " ", "\n", "\t \r\n");
  const token = fc.constantFrom(
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    '"',
    "\\",
    "1",
    "e",
    "null",
    '"a"',
    '"\\""',
    '"],["',
    " ",
  );
  const text = fc.oneof(
    {
      weight: 2,
      arbitrary: fc
        .tuple(fc.array(fc.json()), blank, blank)
        .map(([items, a, b]) => `${a}[${a}${items.join(`${b},${a}`)}${b}]${b}`),
    },
    { weight: 1, arbitrary: fc.json() },
    { weight: 3, arbitrary: fc.array(token, { maxLength: 12 }).map((tokens) => tokens.join("")) },
    { weight: 1, arbitrary: fc.array(token, { maxLength: 12 }).map((tokens) => `[${tokens.join("")}]`) },
  );
  fc.assert(
    fc.property(text, fc.integer({ min: 1, max: 20 }), (body, pieceBytes) => {
      const expected = eventsOfWhole(body);
      if (expected === undefined) expect(() => parse("json", body, { pieceBytes })).toThrow(BodySyntaxError);
      else expect(values(parse("json", body, { pieceBytes }))).toEqual(expected);
    }),
    { numRuns: 3000 },
  );
});

test.each([
  ["json", '[{"a":"xyz"},{"b":1}]', [{ a: "xyz" }, { b: 1 }]],
  ["json", '{"a":"xyz"}', [{ a: "xyz" }]],
  ["ndjson", '{"a":"xyz"}\n{"b":1}', [{ a: "xyz" }, { b: 1 }]],
] as const)("of %s in pieces of one byte no piece is held", (type, body, expected) => {
  const parser = new BodyParser({ stream: events, type, headers: {}, eventsMax: 9, eventMaxBytes: 999 });
  const pieces = [...body].map((character) => Buffer.from(character));
  const parsed = pieces.flatMap((piece, i) => {
    parser.add(piece);
    const found = takeAll(parser);
    pieces[i - 1]?.fill("!"); // whoever holds this piece finds no JSON
    return found;
  });
  parser.end();
  parsed.push(...takeAll(parser));
  expect(parsed.map(({ value }) => value)).toEqual(expected);
});

describe("an event is judged on its bytes before it is parsed", () => {
  const message = ({ events: [event] }: Parsed) => event?.error?.message;

  test.each([
    ["8 MB of brackets", "[".repeat(8_000_000), "nested deeper than 64 levels"],
    ["8 MB of brackets in a field", `{"a":${"[".repeat(8_000_000)}`, "nested deeper than 64 levels"],
    ["8 MB of objects", `{"a":`.repeat(1_600_000), "nested deeper than 64 levels"],
    ["8 MB of keys", `{${'"k":1,'.repeat(1_300_000)}"k":1}`, "expected at most 32768 bytes of JSON"],
    [
      "20,000 brackets, closed",
      `{"a":${"[".repeat(20_000)}${"]".repeat(20_000)}}`,
      "nested deeper than 64 levels",
    ],
    [
      "24,000 keys",
      `{${Array.from({ length: 24_000 }, (_, i) => `"${i}":1`).join(",")}}`,
      "expected at most 32768 bytes of JSON",
    ],
    ["17,000 texts", `{"a":[${'"",'.repeat(17_000)}1]}`, "expected at most 32768 bytes of JSON"],
    ["25,000 numbers", `{"a":[${"1 , ".repeat(25_000)}1]}`, "expected at most 32768 bytes of JSON"],
    ["8 MB of one string", `{"a":"${"x".repeat(8_000_000)}"}`, "expected at most 32768 bytes of JSON"],
    ["8 MB of a number", `{"a":${"1".repeat(8_000_000)}}`, "expected at most 32768 bytes of JSON"],
  ])("%s is not parsed", (_, body, told) => {
    const asObject = body.startsWith("{") ? body : `{"a":${body}`;
    expect(message(parse("json", asObject))).toBe(told);
    expect(message(parse("ndjson", asObject))).toBe(told);
  });

  test("an array of millions of values is refused at the first event too many", () => {
    expect(() => parse("json", `[${"[],".repeat(2_600_000)}`)).toThrow(TooMany);
  });

  test("8 MB of blanks around and between are not counted", () => {
    const blanks = " ".repeat(2_000_000);
    expect(values(parse("json", `${blanks}{${blanks}"a":${blanks}1}${blanks}`))).toEqual([{ a: 1 }]);
  });

  test("an event of the largest size passes in its longest spelling", () => {
    const text = "x".repeat(32_768 - 8);
    const spelt = [...text].map(() => "\\u0078").join("");
    expect(values(parse("json", `{"a":"${spelt}"}`))).toEqual([{ a: text }]);
  });

  test("a number counts once, in whatever pieces it comes", () => {
    const numbers = `{"a":[${Array.from({ length: 1200 }, () => "1000000000000000").join(",")}]}`;
    for (const pieceBytes of [1, 3]) {
      const parsed = parse("json", numbers, { pieceBytes, eventMaxBytes: 1000 });
      expect(message(parsed)).toBeUndefined();
    }
  });

  test("what comes after an event that is too large is parsed", () => {
    const large = `{"a":"${"x".repeat(300_000)}"}`;
    expect(
      parse("ndjson", `${large}\n{"a":1}`).events.map(({ value, isTooLarge }) => [value, isTooLarge]),
    ).toEqual([
      [undefined, true],
      [{ a: 1 }, undefined],
    ]);
    expect(values(parse("json", `[${large},{"a":1}]`))).toEqual([undefined, { a: 1 }]);
  });
});

describe("NDJSON", () => {
  test("a line that is not JSON is one event with an error; each has its line's number", () => {
    const { events } = parse("ndjson", `{"a":1}\n\n{"a":\n"\\\n{"a":2}`, { pieceBytes: 3 });
    expect(events.map(({ line, value, error }) => [line, value, error?.message])).toEqual([
      [1, { a: 1 }, undefined],
      [3, undefined, "expected JSON"],
      [4, undefined, "expected JSON"],
      [5, { a: 2 }, undefined],
    ]);
    const bytes = Buffer.concat([Buffer.from(`{"a":1}\n"`), Buffer.from([0xff]), Buffer.from(`"\n{"a":2}`)]);
    expect(parse("ndjson", bytes).events.map(({ error }) => error?.message)).toEqual([
      undefined,
      "expected UTF-8 text",
      undefined,
    ]);
  });

  test("whatever the lines are, in whatever pieces they come, each is its own event, or none if it is blank", () => {
    const piece = fc.constantFrom(
      "[",
      "{",
      "}",
      ",",
      '"',
      "\\",
      "1",
      '"a"',
      '{"a":1}',
      " ",
      "\r",
      "\t",
      "\ufeff",
      "ä",
    );
    const line = fc.oneof(
      fc.json(),
      fc.array(piece, { maxLength: 6 }).map((pieces) => pieces.join("")),
    );
    const numbered = (lines: string[]) => lines.map((text, i) => ({ text, line: i + 1 }));
    const parsedAlone = ({ text, line }: { text: string; line: number }) => {
      try {
        return { line, value: JSON.parse(text) };
      } catch {
        return { line, value: undefined };
      }
    };
    const lines = fc.array(line, { maxLength: 8 }).filter(([first]) => !first?.includes("\ufeff"));
    fc.assert(
      fc.property(lines, fc.boolean(), fc.integer({ min: 1, max: 9 }), (given, isEnded, pieceBytes) => {
        const expected = numbered(given).filter(({ text }) => /[^ \t\r]/.test(text));
        const body = given.join("\n") + (isEnded ? "\n" : "");
        if (expected.length === 0) expect(() => parse("ndjson", body)).toThrow(BodySyntaxError);
        else
          expect(
            parse("ndjson", body, { pieceBytes }).events.map(({ line, value }) => ({ line, value })),
          ).toEqual(expected.map(parsedAlone));
      }),
      { numRuns: 2000 },
    );
  });

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
    [{ datacontenttype: 1 }, "datacontenttype"],
    [{ data_base64: "AA==" }, "data_base64"], // beside data
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
    const [binary] = parse("cloudevent-binary", JSON.stringify(data), { headers }).events;
    expect(structured?.value).toEqual({
      type: "t",
      payload: { a: 1 },
      userId: "ä 1",
      occurredAt: attributes.time,
    });
    for (const other of [batched, binary])
      expect([other?.rawId, other?.value]).toEqual([structured?.rawId, structured?.value]);
  });

  test("what is no object, or no array of them, is no body", () => {
    expect(() => parse("cloudevent", "1")).toThrow(BodySyntaxError);
    expect(() => parse("cloudevent-batch", JSON.stringify(event))).toThrow(BodySyntaxError);
    expect(() => parse("cloudevent-batch", "[]")).toThrow("at least one");
    const headers = { "ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "t" };
    for (const body of ["{", `{"a":NaN}`, Buffer.from([0xff])])
      expect(() => parse("cloudevent-binary", body, { headers })).toThrow(BodySyntaxError);
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
        expect(parse(form, bytes, { headers: { "ce-id": "1" } }).events.length).toBeGreaterThan(0);
      } catch (error) {
        expect(error).toBeInstanceOf(BodySyntaxError);
      }
    }),
    { numRuns: 1000 },
  );
});
