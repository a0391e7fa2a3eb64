/** Examples of a stream: derived from its schema or declared, never wrong. */
import { integer, jsonb, pgEnum, pgTable, smallint, text, varchar } from "drizzle-orm/pg-core";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { errorsOfExample, exampleOf, whyNoExample } from "../../lib/schema/example.ts";
import { defineStream, eventColumns, json, type Stream, timestampText } from "../../lib/schema/stream.ts";
import { loadOwnStreams } from "../own-installation.ts";

const table = pgTable("samples", { ...eventColumns(), value: jsonb("value") });

/** A stream of a schema, whatever its types; its rows have no columns of their own. */
const streamOf = (schema: z.ZodType, examples: readonly unknown[] = []): Stream =>
  defineStream({ name: "samples", table, schema: schema as z.ZodType<string>, toRow: () => ({}), examples });

const streamOfValue = (value: z.ZodType) => streamOf(z.strictObject({ value }));

const tree = z.strictObject({
  name: z.string(),
  get kids() {
    return z.array(tree).optional();
  },
  get parent() {
    return tree.nullable();
  },
});
const list: z.ZodType = z.lazy(() => z.strictObject({ head: z.int(), tail: list.optional() }));
/** Four schemas, each of which may hold each. */
const graph: z.ZodType[] = Array.from({ length: 4 }, () =>
  z.strictObject(
    Object.fromEntries(
      Array.from({ length: 4 }, (_, i) => [`n${i}`, z.lazy(() => graph[i] as z.ZodType).optional()]),
    ),
  ),
);
const itself: z.ZodType = z.lazy(() => itself.optional());
enum Level {
  Low,
  High,
}

describe("a value is derived for", () => {
  const derivable: Record<string, z.ZodType> = {
    "a text": z.string(),
    "a text with bounds": z.string().min(5).max(7),
    "an empty text": z.string().length(0),
    "a text of one character": z.string().length(1),
    "a text with start, middle and end": z.string().startsWith("ab").includes("-").endsWith("yz").min(20),
    "a lower-case text": z.string().lowercase(),
    "an upper-case text": z.string().uppercase().min(3),
    "a text that is trimmed and changed": z.string().trim().toLowerCase().normalize().min(1),
    "a text of letters": z.string().regex(/^[A-Z]{3}$/),
    "a text of digits": z.string().regex(/^\d{5}(\d{4})?$/),
    "a word": z.string().regex(/^\w+$/).max(8),
    email: z.email(),
    "email as a check": z.string().email().max(320),
    uuid: z.uuid(),
    uuidv4: z.uuidv4(),
    uuidv6: z.uuidv6(),
    uuidv7: z.uuidv7(),
    guid: z.guid(),
    url: z.url(),
    httpUrl: z.httpUrl(),
    "url with a prefix": z.url().startsWith("https://api."),
    hostname: z.hostname(),
    emoji: z.emoji(),
    base64: z.base64(),
    base64url: z.base64url(),
    hex: z.hex(),
    nanoid: z.nanoid(),
    "a short nanoid": z.nanoid({ length: 10 }),
    cuid: z.cuid(),
    cuid2: z.cuid2(),
    ulid: z.ulid(),
    xid: z.xid(),
    ksuid: z.ksuid(),
    ipv4: z.ipv4(),
    ipv6: z.ipv6(),
    cidrv4: z.cidrv4(),
    cidrv6: z.cidrv6(),
    mac: z.mac(),
    "mac with dashes": z.mac({ delimiter: "-" }),
    jwt: z.jwt(),
    "jwt of an algorithm": z.jwt({ alg: "ES256" }),
    e164: z.e164(),
    creditCard: z.creditCard(),
    iban: z.iban(),
    currencyCode: z.currencyCode(),
    md5: z.hash("md5"),
    "sha1 in base64": z.hash("sha1", { enc: "base64" }),
    sha256: z.hash("sha256"),
    "sha384 in base64url": z.hash("sha384", { enc: "base64url" }),
    sha512: z.hash("sha512"),
    date: z.iso.date(),
    time: z.iso.time(),
    "time to the minute": z.iso.time({ precision: -1 }),
    datetime: z.iso.datetime(),
    "datetime with offset": z.iso.datetime({ offset: true }),
    "datetime to the millisecond": z.iso.datetime({ precision: 3 }),
    "datetime to the second": z.iso.datetime({ precision: 0 }),
    "local datetime": z.iso.datetime({ local: true }),
    duration: z.iso.duration(),
    "a format of one's own": z.stringFormat("pin", /^\d{4}$/),
    timestampText: timestampText(),
    number: z.number(),
    "a number with bounds": z.number().min(-90).max(90),
    "a number with exclusive bounds": z.number().gt(0).lt(0.01),
    "a negative number": z.number().negative(),
    "a number below -5": z.number().max(-5),
    "a large number": z.number().min(5e9),
    "a multiple of a tenth": z.number().multipleOf(0.1),
    "a multiple of seven": z.int().multipleOf(7).min(50).max(80),
    int: z.int(),
    "an int with exclusive bounds": z.int().gt(3).lt(5),
    int32: z.int32(),
    uint32: z.uint32(),
    float32: z.float32(),
    float64: z.float64(),
    "a coerced number": z.coerce.number(),
    boolean: z.boolean(),
    stringbool: z.stringbool(),
    "stringbool in German": z.stringbool({ truthy: ["ja"], falsy: ["nein"] }),
    null: z.null(),
    literal: z.literal("a"),
    literals: z.literal(["a", 2, true, null]),
    enum: z.enum(["a", "b"]),
    "a native enum": z.enum(Level),
    "strict object": z.strictObject({ a: z.string(), b: z.strictObject({ c: z.int() }) }),
    "loose object": z.looseObject({ a: z.string() }),
    "object with catchall": z.object({ a: z.string() }).catchall(z.number()),
    partial: z.strictObject({ a: z.string(), b: z.int() }).partial(),
    wrapped: z.strictObject({
      optional: z.string().optional(),
      exact: z.exactOptional(z.string()),
      nullable: z.string().nullable(),
      nullish: z.string().nullish(),
      default: z.string().default("a"),
      prefault: z.string().prefault("a"),
      catch: z.string().catch("a"),
      readonly: z.string().readonly(),
      nonoptional: z.nonoptional(z.string().optional()),
      branded: z.string().brand("x"),
    }),
    array: z.array(z.int()),
    "array with bounds": z.array(z.string()).min(3).max(4),
    "array of a length": z.array(z.boolean()).length(5),
    "array that is not empty": z.array(z.boolean()).nonempty(),
    "array without duplicates": z.array(z.string()).refine((items) => new Set(items).size === items.length),
    tuple: z.tuple([z.string(), z.int().optional()]),
    "tuple with rest": z.tuple([z.string()], z.boolean()),
    record: z.record(z.string(), z.number()),
    "record of an enum": z.record(z.enum(["a", "b"]), z.number()),
    partialRecord: z.partialRecord(z.enum(["a", "b"]), z.number()),
    looseRecord: z.looseRecord(z.string().regex(/^a/), z.number()),
    "record of numbers": z.record(z.number(), z.number()),
    union: z.union([z.string(), z.number()]),
    xor: z.xor([z.string(), z.number()]),
    "discriminated union": z.discriminatedUnion("kind", [
      z.strictObject({ kind: z.literal("a"), a: z.string() }),
      z.strictObject({ kind: z.literal("b"), b: z.int() }),
    ]),
    "a union with one option that cannot be derived": z.union([z.string().regex(/^x-\d+-y$/), z.int()]),
    intersection: z.strictObject({ a: z.string() }).and(z.strictObject({ b: z.int() })),
    "intersection of texts": z.string().min(3).and(z.string().max(5)),
    "zod's json": z.json(),
    json: json(),
    any: z.any(),
    unknown: z.unknown(),
    custom: z.custom((value) => typeof value === "number"),
    tree,
    list,
    graph: graph[0] as z.ZodType,
    itself,
    "template literal": z.templateLiteral(["id-", z.int(), "-", z.enum(["x", "y"])]),
    transform: z.string().transform((value) => value.length),
    "transform to a number": z.string().transform(Number).pipe(z.int()),
    "transform to a date":
      z.string().transform((value) => new Date(value).toISOString()).pipe(z.iso.datetime()), // biome-ignore format: one line a case
    preprocess: z.preprocess((value) => value ?? "", z.string()),
    codec: z.codec(z.iso.date(), z.int(), {
      decode: (value) => Date.parse(value),
      encode: (value) => new Date(value).toISOString().slice(0, 10),
    }),
    "a coerced date": z.coerce.date(),
    "a coerced bigint": z.coerce.bigint(),
    "a refinement that the example fits": z.string().refine((value) => value.length > 0),
  };

  test.each(Object.entries(derivable))("%s", (_, schema) => {
    const stream = streamOfValue(schema);
    expect(whyNoExample(stream)).toBeUndefined();
    for (let i = 0; i < 30; i++) {
      const example = exampleOf(stream, i);
      expect(stream.schema.safeParse(example)).toMatchObject({ success: true });
      expect(exampleOf(stream, i)).toEqual(example); // the same each time
    }
  });

  test.each<[string, z.ZodType, unknown]>([
    ["a text", z.string(), "text"],
    ["an email", z.email(), "name0@example.com"],
    ["a moment", timestampText(), "2026-11-01T09:30:00Z"],
    ["a latitude", z.number().min(-90).max(90), 10],
    ["JSON", json(), { key: "value" }],
    ["a list", z.array(z.enum(["a", "b"])), ["a"]],
  ])("%s: number 0 is for people to read", (_, schema, value) => {
    expect(exampleOf(streamOfValue(schema))).toEqual({ value });
  });

  test("every field of every option, with the values that are easily changed on the way", () => {
    const stream = streamOf(
      z.union([
        z.strictObject({ a: z.string().optional(), n: z.number().min(1).max(2).nullable() }),
        z.strictObject({ b: json() }),
      ]),
    );
    const all = Array.from({ length: 20 }, (_, i) => exampleOf(stream, i) as Record<string, unknown>);
    const seen = (field: string) => all.flatMap((one) => (field in one ? [one[field]] : []));
    expect(seen("a").length + seen("b").length).toBe(20);
    expect(seen("a")).toContain('ä "1" \\ 😀');
    expect(seen("n")).toEqual(expect.arrayContaining([null, 1, 2]));
    expect(seen("b").length).toBe(10);
  });
});

describe("no value is derived, and the sentence names stream, path and type, for", () => {
  test.each<[string, z.ZodType, string]>([
    ["a regular expression that is not simple", z.string().regex(/^[A-Z]{2}-\d{4}$/), "value (string (regex /^[A-Z]{2}-\\d{4}$/))"], // biome-ignore format: one line a case
    ["an optional one", z.string().regex(/^x-y/).optional(), "value (optional string (regex /^x-y/))"],
    ["a nullable one", z.string().regex(/^x-y/).nullable(), "value (nullable string (regex /^x-y/))"],
    ["one in a list of objects", z.array(z.strictObject({ sku: z.string().regex(/^x-y/) })), "value.0.sku (string (regex /^x-y/))"], // biome-ignore format: one line a case
    ["one in a record", z.record(z.string(), z.string().regex(/^x-y/)), "value.text (string (regex /^x-y/))"],
    ["one that is a record's key", z.record(z.string().regex(/^x-y/), z.int()), "value.(key) (string (regex /^x-y/))"], // biome-ignore format: one line a case
    ["a format that is not known", z.stringFormat("plate", (one) => one === "B-AB 123"), "value (string (plate))"], // biome-ignore format: one line a case
    ["bounds that leave nothing", z.int().gt(3).lt(4), "value (number (safeint, greater_than, less_than))"],
    ["a refinement", z.string().refine((one) => one === "other"), "value (string (refinement))"],
    ["a refinement of an object", z.strictObject({ a: z.int(), b: z.int() }).refine(({ a, b }) => a < b), "value (object (refinement))"], // biome-ignore format: one line a case
    ["a transform that throws", z.string().transform(() => Buffer.from("").readInt8()), "value (pipe)"],
    ["a pipe that refuses", z.string().transform(() => 1).pipe(z.literal(2)), "value (pipe)"], // biome-ignore format: one line a case
    ["a refinement that is a promise", z.string().refine(async () => true), "value (string (refinement))"],
    ["a custom check", z.custom((one) => one === "1px"), "value (custom (refinement))"],
    ["recursion without an end", z.lazy(() => z.strictObject({ endless: z.lazy(() => endless) })), "(recursion)"], // biome-ignore format: one line a case
    ["a bigint", z.bigint(), "value (bigint)"],
    ["a date", z.date(), "value (date)"],
    ["a map", z.map(z.string(), z.string()), "value (map)"],
    ["never", z.never(), "value (never)"],
  ])("%s", (_, schema, expected) => {
    const stream = streamOfValue(schema);
    expect(exampleOf(stream)).toBeUndefined();
    const why = whyNoExample(stream);
    expect(why).toContain('stream "samples" lacks examples');
    expect(why).toContain(expected);
    expect(why).toContain("Declare at least one in defineStream: examples: [{ … }]");
  });
  const endless: z.ZodType = z.strictObject({ get again() { return endless; } }); // biome-ignore format: one line

  test("an event that is no object, and one whose schema wants the id, which ingest takes off", () => {
    expect(whyNoExample(streamOf(z.array(z.int())))).toContain("the event itself (expected an object)");
    expect(whyNoExample(streamOf(z.strictObject({ id: z.string() })))).toContain("id (");
  });
});

describe("columns", () => {
  const mood = pgEnum("mood", ["sad", "ok"]);
  const columns = pgTable("columns", {
    ...eventColumns(),
    short: varchar("short", { length: 3 }).notNull(),
    small: smallint("small").notNull(),
    mood: mood("mood").notNull(),
  });

  test("a value that its column cannot hold is not handed out: a smaller one is", () => {
    const schema = z.strictObject({
      short: z.string(),
      small: z.number().min(0),
      mood: z.enum(["sad", "ok"]),
    });
    const stream = defineStream({ name: "columns", table: columns, schema });
    for (let i = 0; i < 20; i++) {
      const example = exampleOf(stream, i) as Record<string, unknown>;
      expect(stream.checkRow(example)).toBeUndefined();
    }
  });

  test("where none fits the column, the sentence names its field; where toRow throws, it says so", () => {
    const schema = z.strictObject({ short: z.string().min(4), small: z.int(), mood: z.enum(["sad", "ok"]) });
    expect(whyNoExample(defineStream({ name: "columns", table: columns, schema }))).toContain(
      "short (expected at most 3 characters)",
    );
    const throws = defineStream({
      name: "samples",
      table,
      schema: z.strictObject({ a: z.string() }),
      toRow: () => {
        throw new RangeError("on purpose");
      },
    });
    expect(whyNoExample(throws)).toContain("schema or toRow threw RangeError");
  });
});

describe("declared examples", () => {
  const sku = z.strictObject({ sku: z.string().regex(/^[A-Z]{2}-\d{4}$/) });

  test("come first; the derived ones follow, else the declared ones again", () => {
    const underivable = streamOf(sku, [{ sku: "AB-1234" }, { sku: "CD-5678" }]);
    expect(whyNoExample(underivable)).toBeUndefined();
    expect([0, 1, 2, 3].map((i) => exampleOf(underivable, i))).toEqual(
      ["AB-1234", "CD-5678", "AB-1234", "CD-5678"].map((one) => ({ sku: one })),
    );
    const derivable = streamOf(z.strictObject({ sku: z.string() }), [{ sku: "AB-1234" }]);
    expect([0, 1].map((i) => exampleOf(derivable, i))).toEqual([{ sku: "AB-1234" }, { sku: "text" }]);
  });

  test("a wrong one does not stop the start, is not handed out, and its errors are said", () => {
    const stream = streamOf(sku, [{ sku: "wrong" }, { sku: "CD-5678" }]);
    expect(exampleOf(stream)).toEqual({ sku: "CD-5678" });
    expect(errorsOfExample(stream, stream.examples[0])).toEqual([
      { path: "sku", message: expect.stringContaining("pattern") },
    ]);
    expect(errorsOfExample(stream, stream.examples[1])).toEqual([]);
    expect(whyNoExample(streamOf(sku, [{ sku: "wrong" }]))).toContain("lacks examples");
  });

  test("are typed: an example that the schema's input does not have does not compile", () => {
    const orders = pgTable("orders", { ...eventColumns(), sku: text("sku").notNull(), n: integer("n") });
    const schema = z.strictObject({ sku: z.string(), n: z.int().default(1) });
    defineStream({ name: "orders", table: orders, schema, examples: [{ sku: "a" }, { sku: "a", n: 2 }] });
    // @ts-expect-error a field that must be there is missing
    defineStream({ name: "orders", table: orders, schema, examples: [{ n: 2 }] });
    // @ts-expect-error a field has another type
    defineStream({ name: "orders", table: orders, schema, examples: [{ sku: 1 }] });
  });
});

test("each stream of the registry has an example", async () => {
  for (const stream of (await loadOwnStreams()).values())
    if (!stream.retired) expect(whyNoExample(stream)).toBeUndefined();
});
