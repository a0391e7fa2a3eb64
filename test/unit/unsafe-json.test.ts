import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { EventSplitter, lookAt } from "../../lib/ingest/split-events.ts";
import { findUnsafeValue, mayHoldUnsafeText, NESTING_MAX } from "../../lib/schema/unsafe-json.ts";

const nested = (levels: number) => `${"[".repeat(levels)}1${"]".repeat(levels)}`;
const isMarked = (json: string) => mayHoldUnsafeText(json) || lookAt(Buffer.from(json)).hasRiskyNumber;
const faultOf = (json: string) => (isMarked(json) ? findUnsafeValue(JSON.parse(json)) : undefined);

describe("what would poison a batch is refused with its path", () => {
  test.each([
    ["NUL", String.raw`{"a":{"b":"x\u0000"}}`, "a.b"],
    ["NUL in a key", String.raw`{"a":{"\u0000":1}}`, "a"],
    ["a lone surrogate", String.raw`{"a":["ok","\ud800"]}`, "a.1"],
    ["a lone low surrogate", String.raw`{"a":"\uDC00x"}`, "a"],
    ["__proto__", `{"a":{"__proto__":{"b":1}}}`, "a.__proto__"],
    ["__proto__ spelt with an escape", String.raw`{"a":{"\u005f_proto__":{"b":1}}}`, "a.__proto__"],
    ["an infinite number", `{"a":1e400}`, "a"],
    ["an integer beyond 2^53", `{"a":9007199254740993}`, "a"],
    ["a negative one", `{"a":[-9007199254740992]}`, "a.0"],
    ["one written with an exponent", `{"a":1E30}`, "a"],
  ])("%s", (_name, json, path) => {
    expect(faultOf(json)?.path).toBe(path);
  });

  test("nesting deeper than the limit, and not the limit itself", () => {
    expect(findUnsafeValue(JSON.parse(nested(NESTING_MAX)))).toBeUndefined();
    for (const levels of [NESTING_MAX + 1, 200_000])
      expect(findUnsafeValue(JSON.parse(nested(levels)))?.message).toContain("nested deeper");
  });
});

test.each([
  `{"a":"😀"}`,
  String.raw`{"a":"\ud83d\ude00"}`,
  `{"a":9007199254740991}`,
  `{"a":0.1234567890123456789}`,
  `{"a":1.5e3}`,
])("%s is accepted", (json) => expect(faultOf(json)).toBeUndefined());

test.each([
  [`{"a":1234567890123456}`, true],
  [`[1.5,-2e7]`, true],
  [`[true,1234567,"1234567890123456","1e5"]`, false],
  [`[123456789012345,0.123456789012345,false,null]`, false],
])("%s has a risky number: %s, also in pieces", (json, isRisky) => {
  for (let size = 1; size <= json.length; size++) {
    const splitter = new EventSplitter("one", { eventsMax: 1, eventMaxBytes: 999 });
    for (let at = 0; at < json.length; at += size) {
      splitter.add(Buffer.from(json.slice(at, at + size)));
      expect(splitter.next()).toBeUndefined();
    }
    splitter.end();
    expect(splitter.next()?.hasRiskyNumber).toBe(isRisky);
  }
});

test("no value that a full walk refuses gets past the look at the raw text", () => {
  const text = fc.string({ unit: fc.constantFrom("a", "\0", "\ud800", "_", "__proto__", "é", "😀") });
  const value = fc.letrec((tie) => ({
    node: fc.oneof(
      { maxDepth: 4 },
      text,
      fc.double(),
      fc.bigInt({ min: 0n, max: 2n ** 60n }).map(Number),
      fc.array(tie("node"), { maxLength: 3 }),
      fc.dictionary(text, tie("node"), { maxKeys: 3 }),
    ),
  })).node;
  fc.assert(
    fc.property(value, (generated) => {
      const json = JSON.stringify(generated);
      const parsed: unknown = JSON.parse(json);
      if (findUnsafeValue(parsed)) expect(isMarked(json)).toBe(true);
    }),
    { numRuns: 2000 },
  );
});
