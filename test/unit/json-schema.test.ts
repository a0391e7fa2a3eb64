/**
 * A stream's events as JSON schema, compared with the door: the schema takes whatever the door takes, and refuses whatever it refuses,
 * but for the gaps that are listed here.
 */
import { Ajv2020 } from "ajv/dist/2020.js";
import {
  bigint,
  integer,
  jsonb,
  numeric,
  pgEnum,
  pgTable,
  real,
  smallint,
  varchar,
} from "drizzle-orm/pg-core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { Admitting } from "../../lib/ingest/admit.ts";
import type { InputError } from "../../lib/schema/input-error.ts";
import { eventSchemasOf } from "../../lib/schema/json-schema.ts";
import { defineStream, eventColumns, type Json, type Stream, unsetIf } from "../../lib/schema/stream.ts";
import { nearEventsOf } from "../integration/event-mutations.ts";
import { oddStreams } from "../integration/odd-streams.ts";
import { loadTestStreams } from "../streams/run/test-streams.ts";

/** Compiles the schema of a stream's events. Formats are words: they are not checked. */
function schemaOf(stream: Stream) {
  const { event, parts } = eventSchemasOf(stream, "#/$defs/");
  const ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: true });
  return ajv.compile({ ...event, $defs: Object.fromEntries(parts) });
}

/** What the door says of an event: its errors, or none. */
function errorsAtDoor(stream: Stream, event: unknown) {
  const admitting = new Admitting({
    ...{ stream, keyName: "key", idempotencyKey: undefined, eventMaxBytes: 100_000 },
    ...{ receivedAt: "2026-11-21T09:30:00Z", isPacked: false },
  });
  admitting.add({ value: event, needsDeepCheck: true });
  return admitting.admission.rejected.flatMap(({ errors }) => errors);
}

/** Enumerations, ranges and lengths that only the columns know. */
const limits = defineStream({
  name: "limits",
  table: pgTable("limits", {
    ...eventColumns(),
    ...{ small: smallint(), whole: integer().notNull(), big: bigint({ mode: "number" }), real: real() },
    ...{
      price: numeric({ precision: 5, scale: 2 }),
      cents: numeric({ precision: 5, scale: 2, mode: "number" }),
    },
    tiny: numeric({ precision: 2, scale: 4, mode: "number" }),
    round: numeric({ precision: 3, scale: -2, mode: "number" }),
    wide: numeric({ precision: 20, mode: "number" }),
    ...{ short: varchar({ length: 3 }), state: pgEnum("state", ["open", "done"])() },
    ...{ list: integer().array(), any: integer(), unset: integer(), filled: integer().notNull().default(1) },
  }),
  schema: z.strictObject({
    small: z.number().optional(),
    whole: z.number(),
    big: z.number().optional(),
    real: z.number().optional(),
    price: z.string().optional(),
    ...{ cents: z.number().optional(), tiny: z.number().optional(), round: z.number().optional() },
    wide: z.number().optional(),
    short: z.string().optional(),
    state: z.any().optional(),
    list: z.array(z.number()).optional(),
    any: z.any().refine((value) => typeof value === "number" || value === undefined),
    unset: unsetIf((value) => value === 3_000_000_000, z.number()),
    filled: z.number().optional(),
  }),
  examples: [
    { whole: 1, any: 2, state: "open", short: "abc", list: [1], price: "1.5", cents: 1.5 },
    {
      any: 3,
      ...{ whole: -1, small: 1, big: 1, real: 0.5, tiny: 0.001, round: 100, wide: 1 },
      unset: 1,
      filled: 2,
    },
  ],
});

const streams = [limits, ...(await loadTestStreams()).values(), ...oddStreams];

/** What the schema can't say, and the door refuses. */
const GAPS: [message: RegExp, fields: RegExp][] = [
  [/^contains (the character NUL|a lone surrogate)/, /./],
  // Of a number inside of any JSON.
  [
    /^is an integer beyond/,
    /^(events payload|deliveries payload|every_type value|limits (state|any)|odd_records |odd_wrapped (coerced|caught|made))/,
  ],
  // Days and the ends of time: `format` and words.
  [/^expected a (date that the calendar has|time from year 1)/, /([aA]t|On|moments)\b/],
  // What is converted, or mapped by toRow, before it is checked.
  [/./, /^(odd_wrapped (coerced|made)|odd_changed (isOn|name))$/],
  [/^expected a (whole number|value|date from)/, /^(checked n|shipments carrier|odd_shapes drawn)$/],
  // A refinement, which is code.
  [/^Invalid input$/, /^(odd_changed high|limits any)$/],
  // The other values of a field of which -1 or another means that it is unset.
  [/^expected a whole number/, /^limits unset$/],
  // A numeric text with an exponent.
  [/digits, 2 of them/, /^limits price$/],
];

describe.each(streams.map((stream) => [stream.name, stream] as const))("%s", (name, stream) => {
  const takes = schemaOf(stream);
  const events = nearEventsOf(stream);

  const each = (judge: (event: unknown, errors: InputError[], isTaken: boolean) => void) =>
    fc.assert(
      fc.property(events, (event) => judge(event, errorsAtDoor(stream, event), takes(event))),
      { numRuns: 1000 },
    );

  test("the schema takes what the door takes", () => {
    each((event, errors) => {
      if (errors.length === 0) expect([event, takes.errors]).toEqual([event, null]);
    });
  });

  test("the schema refuses what the door refuses, but for the gaps", () => {
    each((event, errors, isTaken) => {
      const isKnown = ({ path, message }: InputError) =>
        GAPS.some(([said, fields]) => said.test(message) && fields.test(`${name} ${path}`));
      if (isTaken) expect([event, errors.filter((one) => !isKnown(one))]).toEqual([event, []]);
    });
  });
});

test("an integer column narrows what the schema alone would take", () => {
  const takes = schemaOf(limits);
  expect(errorsAtDoor(limits, { whole: 3_000_000_000, any: 1 })).toEqual([
    { path: "whole", message: "expected a whole number from -2147483648 to 2147483647" },
  ]);
  expect(takes({ whole: 3_000_000_000, any: 1 })).toBe(false);
  expect(takes({ whole: 2_147_483_647, any: 1 })).toBe(true);
});

describe("what zod says and JSON schema reads differently is left out", () => {
  const takes = (schema: z.ZodType, value: unknown) => {
    const table = pgTable("one", { ...eventColumns(), value: jsonb("value").notNull() });
    const stream = defineStream({
      name: "one",
      table,
      schema: z.strictObject({ value: schema as z.ZodType<Json> }),
    });
    expect(errorsAtDoor(stream, { value })).toEqual([]);
    return schemaOf(stream)({ value });
  };
  let node: z.ZodType;
  node = z.strictObject({ text: z.string(), next: z.lazy(() => node).optional() });
  test.each<[what: string, schema: z.ZodType, value: unknown]>([
    ["a length after a trim", z.string().trim().max(2), "  ab  "],
    ["a pattern with flags", z.string().regex(/^a$/i), "A"],
    ["a pattern that counts halves of characters", z.string().regex(/^.{2}$/), "😀"],
    ["the same, without a number", z.string().regex(/^[^x][^x]$/), "😀"],
    ["a pattern that is none with the flag u", z.string().regex(/^[\w-.]+$/), "a-b"],
    ["a divisor that no double is", z.number().multipleOf(0.1), 0.3],
    ["a number after it was rounded", z.number().overwrite(Math.round).max(1), 1.4],
    ["what is coerced", z.coerce.number(), "12"],
    ["what is caught", z.int().catch(1), "x"],
    ["a preprocess", z.preprocess(String, z.string()), 5],
    ["a codec", z.stringbool(), "yes"],
    [
      "two strict objects",
      z.strictObject({ a: z.int() }).and(z.strictObject({ b: z.int() })),
      { a: 1, b: 2 },
    ],
    [
      "a union with a strict object",
      z
        .strictObject({ a: z.int() })
        .and(z.union([z.strictObject({ b: z.int() }), z.strictObject({ c: z.int() })])),
      { a: 1, c: 2 },
    ],
    [
      "null in an optional field",
      z.strictObject({ a: z.int().optional(), b: z.enum(["x"]).optional() }),
      { a: null, b: null },
    ],
    ["null in an open record", z.record(z.string(), z.int()), { a: null }],
    [
      "null in a field that its code reads",
      z.strictObject({
        a: z
          .string()
          .refine((text) => text.length > 0)
          .optional(),
      }),
      { a: null },
    ],
    [
      "a union of kinds that may be absent",
      z.union([
        z.strictObject({ kind: z.literal("a").optional() }),
        z.strictObject({ kind: z.literal("b") }),
      ]),
      { kind: null },
    ],
    ["a tree", node, { text: "a", next: { text: "b", next: null } }],
    ["a loose record", z.looseRecord(z.string().regex(/^x/), z.int()), { x: 1, y: "two" }],
    ["a record of some keys", z.partialRecord(z.enum(["a", "b"]), z.int()), { b: 1, a: null }],
    ["a tuple whose end may be absent", z.tuple([z.int(), z.int().optional()]), [1]],
    ["what JSON has no type for", z.strictObject({ a: z.any(), b: z.date().optional() }), { a: [1] }],
  ])("%s", (_, schema, value) => {
    expect(takes(schema, value)).toBe(true);
  });
});
