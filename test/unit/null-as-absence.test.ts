/** Null in a field that may be absent is absence, whatever kind of schema says so; any other null stays what it is. */
import { jsonb, pgTable } from "drizzle-orm/pg-core";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { nullDropper } from "../../lib/schema/null-as-absence.ts";
import { defineStream, eventColumns, json, type Stream } from "../../lib/schema/stream.ts";

const table = pgTable("samples", { ...eventColumns(), value: jsonb("value") });
const streamOf = (schema: z.ZodType): Stream =>
  defineStream({ name: "samples", table, schema: schema as z.ZodType<string>, toRow: () => ({}) });
const object = (shape: z.core.$ZodLooseShape) => streamOf(z.strictObject(shape));

const speed = z.number().optional();
const tree = z.strictObject({
  note: z.string().optional(),
  get kids() {
    return z.array(tree).optional();
  },
});
const list: z.ZodType = z.lazy(() => z.strictObject({ note: z.string().optional(), tail: list.optional() }));
/** Makes itself anew at each level. */
const anew = (): z.ZodType =>
  z.strictObject({
    note: z.string().optional(),
    get kid() {
      return anew().optional();
    },
  });
const shape = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("circle"), radius: z.number(), label: z.string().optional() }),
  z.strictObject({ kind: z.literal("line"), label: z.string().nullable(), width: z.number().optional() }),
]);
/** The kind may be absent in its first option. */
const defaulted = [
  z.strictObject({ kind: z.literal("circle").optional(), speed }),
  z.strictObject({ kind: z.literal("line"), speed }),
] as const;
const contact = z.union([
  z.strictObject({ email: z.email(), note: z.string().optional() }),
  z.strictObject({ phone: z.string(), note: z.string().optional(), label: z.string().nullable() }),
]);

describe("null is left out of", () => {
  test.each<[string, Stream, unknown, unknown]>([
    ["an optional field", object({ speed, n: z.int() }), { speed: null, n: 1 }, { n: 1 }],
    ["an exactly optional field", object({ n: z.int().exactOptional() }), { n: null }, {}],
    ["a field with a default", object({ n: z.int().default(7) }), { n: null }, { n: 7 }],
    ["a field with a prefault", object({ n: z.string().prefault("x") }), { n: null }, { n: "x" }],
    ["a field with a catch", object({ n: z.int().catch(3).optional() }), { n: null }, {}],
    ["a readonly field", object({ n: z.int().optional().readonly() }), { n: null }, {}],
    ["a coerced field: it is not 0", object({ n: z.coerce.number().optional() }), { n: null }, {}],
    [
      "a coerced field that is piped",
      object({ n: z.coerce.number().pipe(z.int()).optional() }),
      { n: null },
      {},
    ],
    ["a field with a transform", object({ n: z.int().transform(String).optional() }), { n: null }, {}],
    ["a field with a codec", object({ on: z.stringbool().optional() }), { on: null }, {}],
    ["an optional field of any JSON", object({ any: json().optional() }), { any: null }, {}],
    ["an optional enum", object({ e: z.enum(["a"]).optional() }), { e: null }, {}],
    ["an optional union", object({ u: z.union([z.string(), z.int()]).optional() }), { u: null }, {}],
    ["an optional lazy field", object({ l: z.lazy(() => z.int()).optional() }), { l: null }, {}],
    ["a lazy optional field", object({ l: z.lazy(() => z.int().optional()) }), { l: null }, {}],
    [
      "objects in objects and arrays",
      object({ a: z.array(z.strictObject({ b: z.strictObject({ speed }) })) }),
      { a: [{ b: { speed: null } }, { b: { speed: 1 } }] },
      { a: [{ b: {} }, { b: { speed: 1 } }] },
    ],
    [
      "objects in tuples",
      object({ t: z.tuple([z.int(), z.strictObject({ speed })], z.strictObject({ speed })) }),
      { t: [1, { speed: null }, { speed: null }] },
      { t: [1, {}, {}] },
    ],
    [
      "entries of a record",
      object({ r: z.record(z.string(), z.int()) }),
      { r: { a: null, b: 1 } },
      { r: { b: 1 } },
    ],
    [
      "objects in a record",
      object({ r: z.record(z.enum(["a"]), z.strictObject({ speed })) }),
      { r: { a: { speed: null } } },
      { r: { a: {} } },
    ],
    [
      "a partial record",
      object({ r: z.partialRecord(z.enum(["a"]), z.int()) }),
      { r: { a: null } },
      { r: {} },
    ],
    [
      "a record of known keys whose values are optional",
      object({ r: z.record(z.enum(["a", "b"]), z.int().optional()) }),
      { r: { a: null, b: 1 } },
      { r: { b: 1 } },
    ],
    [
      "a catchall",
      streamOf(z.object({ n: z.int() }).catchall(z.string())),
      { n: 1, a: null, b: "c" },
      { n: 1, b: "c" },
    ],
    [
      "a tree",
      streamOf(tree),
      { kids: [{ note: null, kids: [{ note: null }] }] },
      { kids: [{ kids: [{}] }] },
    ],
    ["a lazy list", streamOf(list), { tail: { note: null, tail: { tail: null } } }, { tail: { tail: {} } }],
    ["a schema made anew", streamOf(anew()), { kid: { kid: { note: null } } }, { kid: { kid: {} } }],
    [
      "an option of a discriminated union",
      streamOf(shape),
      { kind: "circle", radius: 1, label: null },
      { kind: "circle", radius: 1 },
    ],
    [
      "the other option, but not where it takes null",
      streamOf(shape),
      { kind: "line", label: null, width: null },
      { kind: "line", label: null },
    ],
    [
      "an option of a union",
      streamOf(contact),
      { phone: "1", note: null, label: null },
      { phone: "1", label: null },
    ],
    ["a kind that may be absent", streamOf(z.union(defaulted)), { kind: null, speed: null }, {}],
    [
      "a kind that may be absent, in a discriminated union",
      streamOf(z.discriminatedUnion("kind", defaulted)),
      { kind: null, speed: null },
      {},
    ],
    [
      "an option whose kind is caught",
      streamOf(z.union([z.strictObject({ kind: z.literal("circle").catch("circle"), speed }), shape])),
      { kind: "square", speed: null },
      { kind: "circle" },
    ],
    [
      "a coerced option of a union: it is not 0",
      object({ n: z.union([z.coerce.number(), z.string()]).optional() }),
      { n: null },
      {},
    ],
    [
      "a coerced lazy field: it is not 0",
      object({ n: z.lazy(() => z.coerce.number()).optional() }),
      { n: null },
      {},
    ],
    [
      "a coerced side of an intersection",
      object({ n: z.intersection(z.coerce.number(), z.number()).optional() }),
      { n: null },
      {},
    ],
    [
      "the option that accepts the rest, and not where that one takes null",
      streamOf(
        z.union([
          z.strictObject({ email: z.string(), label: z.string().optional() }),
          z.strictObject({ phone: z.string(), label: z.string().nullable(), note: z.string().optional() }),
        ]),
      ),
      { phone: "1", label: null, note: null },
      { phone: "1", label: null },
    ],
    [
      "both sides of an intersection",
      streamOf(z.strictObject({ a: z.int().optional() }).and(z.strictObject({ b: z.int().optional() }))),
      { a: null, b: null },
      {},
    ],
    [
      "an object that is transformed",
      streamOf(z.strictObject({ speed }).transform((one) => ({ one }))),
      { speed: null },
      { one: {} },
    ],
    [
      "an object that is piped",
      streamOf(z.record(z.string(), z.any()).pipe(z.strictObject({ speed }))),
      { speed: null },
      {},
    ],
    [
      "an object that is preprocessed",
      streamOf(z.preprocess((one) => ({ ...(one as object), m: 1 }), z.strictObject({ speed, m: z.int() }))),
      { speed: null },
      { m: 1 },
    ],
    [
      "an object with a refinement",
      streamOf(z.strictObject({ speed }).refine((one) => !("speed" in one))),
      { speed: null },
      {},
    ],
  ])("%s", (_name, stream, sent, stored) => {
    expect(stream.parse(sent)).toEqual({ success: true, data: stored });
    expect(JSON.stringify(stream.parse(sent).data)).toBe(JSON.stringify(stored));
  });
});

describe("null stays in", () => {
  test.each<[string, Stream, unknown]>([
    ["a nullish field", object({ n: z.int().nullish() }), { n: null }],
    ["a nullish field with a default", object({ n: z.int().nullish().default(1) }), { n: null }],
    ["an optional field of z.any()", object({ n: z.any().optional() }), { n: null }],
    ["an optional field of z.json()", object({ n: z.json().optional() }), { n: null }],
    ["an optional literal null", object({ n: z.literal(null).optional() }), { n: null }],
    ["an optional union with null", object({ n: z.union([z.int(), z.null()]).optional() }), { n: null }],
    ["any JSON", object({ any: json() }), { any: { a: null, b: [null, { c: null }] } }],
    ["z.json()", object({ any: z.json() }), { any: { a: null, b: [null, { c: null }] } }],
    [
      "a record of nullable values",
      object({ r: z.record(z.string(), z.int().nullable()) }),
      { r: { a: null } },
    ],
    ["an array of nullable items", object({ a: z.array(z.int().nullable()) }), { a: [null, 1] }],
  ])("%s", (_name, stream, sent) => {
    expect(stream.parse(sent)).toEqual({ success: true, data: sent });
  });

  test("what a preprocess accepts: it gives null a meaning of its own", () => {
    const named = z.preprocess((value) => (value === null ? "none" : value), z.string()).optional();
    expect(object({ named }).parse({ named: null }).data).toEqual({ named: "none" });
    const fields = (one: unknown) => ({ speed: (one as { speed: unknown }).speed === null ? -1 : 0 });
    expect(streamOf(z.preprocess(fields, z.strictObject({ speed }))).parse({ speed: null }).data).toEqual({
      speed: -1,
    });
  });
});

describe("null is an error with its path in", () => {
  test.each<[string, Stream, unknown, string]>([
    ["a required field, and only there", object({ n: z.int(), speed }), { n: null, speed: null }, "n"],
    ["a required field of any JSON", object({ any: json(), speed }), { any: null, speed: null }, "any"],
    [
      "a required field at depth",
      object({ a: z.array(z.strictObject({ n: z.int(), speed })) }),
      { a: [{ n: null, speed: null }] },
      "a.0.n",
    ],
    ["an item of an array", object({ a: z.array(z.int()).optional() }), { a: [1, null] }, "a.1"],
    [
      "a key that each event of a record must have",
      object({ r: z.record(z.enum(["a"]), z.int()) }),
      { r: { a: null } },
      "r.a",
    ],
    [
      "a union's option that requires it",
      streamOf(shape),
      { kind: "circle", radius: null, label: null },
      "radius",
    ],
    ["the event itself", object({ speed }), null, ""],
  ])("%s", (_name, stream, sent, path) => {
    const issues = stream.parse(sent).error?.issues ?? [];
    expect(issues.map((issue) => issue.path.join("."))).toEqual([path]);
    expect(issues[0]?.message).toMatch(/null|other than/);
  });

  test("a key that the schema does not know", () => {
    const { error } = object({ speed }).parse({ heading: null });
    expect(error?.issues).toMatchObject([{ code: "unrecognized_keys", keys: ["heading"] }]);
  });
});

test("a field that is nothing but itself is absent", () => {
  const itself: z.ZodType = z.lazy(() => z.union([z.string(), itself]).optional());
  expect(object({ itself, speed }).parse({ itself: null, speed: null })).toEqual({ success: true, data: {} });
});

test("an array is no record and no object, whatever it holds", () => {
  const stream = object({ r: z.record(z.string(), z.int()), o: z.looseObject({ 0: z.int().optional() }) });
  const issues = stream.parse({ r: [null], o: [null] }).error?.issues ?? [];
  expect(issues.map(({ path }) => path.join("."))).toEqual(["r", "o"]);
});

test("an event without null is not copied", () => {
  const seen: unknown[] = [];
  const schema = z.custom<string>((value) => seen.push(value) > 0);
  const sent = { a: [{ n: 1 }], any: { a: null } };
  expect(object({ a: z.array(z.strictObject({ n: z.int(), speed })), any: schema }).parse(sent).success).toBe(
    true,
  );
  expect(seen).toContain(sent.any);
});

test("what stands within unions is read once, not twice as often at each level", () => {
  const kid = z.union([
    z.strictObject({
      get kid() {
        return kid.optional();
      },
      a: z.int().optional(),
    }),
    z.strictObject({
      get kid() {
        return kid.optional();
      },
      b: z.int().optional(),
    }),
  ]) as z.ZodType;
  let reads = 0;
  const get = (own: object, key: string | symbol) => {
    reads += 1;
    return Reflect.get(own, key);
  };
  let sent: object = new Proxy({ a: 1 }, { get });
  for (let level = 0; level < 20; level++) sent = { kid: sent };
  expect(nullDropper(kid)(sent)).toBe(sent);
  expect(reads).toBeLessThan(20);
});
