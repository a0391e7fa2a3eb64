/** What a schema tells of its output's fields. */
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { exampleOf } from "../../lib/schema/example.ts";
import { fieldsOfSchema } from "../../lib/schema/schema-fields.ts";
import { json, timestampText, unsetIf } from "../../lib/schema/stream.ts";
import { oddStreams } from "../integration/odd-streams.ts";
import { loadOwnStreams } from "../own-installation.ts";

const told = (schema: z.ZodType) => {
  const { fields, isOpen, isUnknown } = fieldsOfSchema(schema);
  return { ...Object.fromEntries(fields), ...(isOpen && { open: 1 }), ...(isUnknown && { unknown: 1 }) };
};
const a = z.strictObject({ a: z.string() });
const b = z.strictObject({ b: z.string().optional() });

describe("whether a field is always there", () => {
  test.each<[string, z.ZodType, "always" | "maybe" | "unknown"]>([
    ["text", z.string().min(1), "always"],
    ["trimmed text", z.string().trim(), "always"],
    ["a time", timestampText(), "always"],
    ["an enum", z.enum(["x"]), "always"],
    ["optional", z.string().optional(), "maybe"],
    ["optional exactly", z.exactOptional(z.string()), "maybe"],
    ["nullable", z.string().nullable(), "maybe"],
    ["null as a literal", z.literal(["x", null]), "maybe"],
    ["unset by its value", unsetIf((n: number) => n < 0, z.number()), "maybe"],
    ["a default", z.string().default("x"), "always"],
    ["a default of what may be null", z.string().nullable().default("x"), "maybe"],
    ["a prefault", z.string().prefault("x"), "always"],
    ["caught", z.string().catch("x"), "always"],
    ["optional no more", z.string().optional().nonoptional(), "always"],
    ["a union", z.union([z.string(), z.int()]), "always"],
    ["a union with null", z.union([z.string(), z.null()]), "maybe"],
    ["a union with a transform", z.union([z.string(), z.int().transform(String)]), "unknown"],
    ["an intersection", z.intersection(z.string().nullable(), z.string()), "always"],
    ["both nullable", z.intersection(z.string().nullable(), z.string().nullable()), "maybe"],
    ["a transform", z.string().transform(() => null), "unknown"],
    [
      "a transform that is checked",
      z
        .string()
        .transform(() => "x")
        .pipe(z.string()),
      "always",
    ],
    ["a preprocess", z.preprocess((x) => x, z.string()), "always"],
    ["a preprocess of an optional", z.preprocess((x) => x, z.string().optional()), "maybe"],
    ["a codec", z.stringbool(), "always"],
    ["lazy", z.lazy(() => z.string().optional()), "maybe"],
    ["read-only and branded", z.string().brand("x").readonly(), "always"],
    ["any", z.any(), "unknown"],
    ["json()", json(), "unknown"],
    ["json().nullable()", json().nullable(), "maybe"],
    ["z.json()", z.json(), "maybe"],
  ])("%s", (_, schema, presence) =>
    expect(told(z.strictObject({ field: schema }))).toEqual({ field: presence }),
  );
});

describe("which fields there are", () => {
  test.each<[string, z.ZodType, object]>([
    ["an object that drops others", z.object({ a: z.string() }), { a: "always" }],
    ["a loose object", z.looseObject({ a: z.string() }), { a: "always", open: 1 }],
    ["a catchall", a.catchall(z.int()), { a: "always", open: 1 }],
    ["a record", z.record(z.string(), z.int()), { open: 1 }],
    ["a record of an enum", z.record(z.enum(["x", "y"]), z.int()), { x: "always", y: "always" }],
    ["a partial record", z.partialRecord(z.enum(["x"]), z.int()), { x: "maybe" }],
    ["a loose record", z.looseRecord(z.string().startsWith("x"), z.int()), { open: 1 }],
    ["a union", z.union([a, b]), { a: "maybe", b: "maybe" }],
    ["a union with one field in each", z.union([a, a.extend({ c: z.int() })]), { a: "always", c: "maybe" }],
    ["a union with a text", z.union([a, z.string()]), { a: "always" }],
    ["a union with any object", z.union([a, z.looseObject({})]), { a: "maybe", open: 1 }],
    ["a union with a transform", z.union([a, a.transform((x) => x)]), { a: "unknown", unknown: 1 }],
    ["an intersection", a.and(b), { a: "always", b: "maybe" }],
    ["an intersection with a transform", a.and(b.transform((x) => x)), { a: "always", unknown: 1 }],
    ["both have it", b.and(z.object({ b: z.string() })), { b: "always" }],
    ["a refined object", a.refine(() => true), { a: "always" }],
    ["an overwritten object", a.overwrite((x) => x), { unknown: 1 }],
    ["a transform", a.transform((x) => ({ ...x, b: 1 })), { unknown: 1 }],
    [
      "a transform that is checked",
      a.transform((): { b?: string | undefined } => ({})).pipe(b),
      { b: "maybe" },
    ],
    ["a preprocess", z.preprocess((x) => x, a), { a: "always" }],
    ["wrapped", a.readonly().optional().nullable().default(null), { a: "always" }],
    ["lazy", z.lazy(() => a), { a: "always" }],
    ["anything", z.any(), { unknown: 1 }],
    ["itself", loop(), { unknown: 1 }],
  ])("%s", (_, schema, fields) => expect(told(schema)).toEqual(fields));
});

function loop(): z.ZodType {
  const schema: z.ZodType = z.lazy(() => schema.readonly());
  return schema;
}

test("a field may be of a schema that stands within itself", () => {
  const tree: z.ZodType = z.strictObject({
    kids: z.array(z.lazy(() => tree)),
    up: z.lazy(() => tree).optional(),
  });
  expect(told(tree)).toEqual({ kids: "always", up: "maybe" });
});

test("what it tells is so for each example of every kind of stream", async () => {
  const streams = [...(await loadOwnStreams()).values(), ...oddStreams];
  for (const stream of streams) {
    const { fields, isOpen, isUnknown } = fieldsOfSchema(stream.schema);
    for (let i = 0; i < 30; i++) {
      const { data } = stream.parse(exampleOf(stream, i)) as { data: Record<string, unknown> };
      const others = Object.keys(data).filter((field) => !fields.has(field));
      if (!isOpen && !isUnknown) expect([stream.name, others]).toEqual([stream.name, []]);
      for (const [field, presence] of fields)
        if (presence === "always") expect([stream.name, field, data[field] ?? null]).not.toContain(null);
    }
  }
});
