/** What others than an event's sender may read of a refusal: no undeclared name in a path, no value in a message. */
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { withoutValues } from "../../lib/ingest/quote-free.ts";
import { declaredPath } from "../../lib/schema/declared-path.ts";
import { json } from "../../lib/schema/stream.ts";

const place = z.strictObject({ lat: z.number(), lng: z.number() });
const tree: z.ZodType = z.lazy(() => z.strictObject({ left: tree.optional(), name: z.string() }));
const schema = z.strictObject({
  type: z.string(),
  payload: json().nullable(),
  place: place.optional(),
  stops: z.array(place.nullable()).default([]),
  shape: z.union([z.strictObject({ kind: z.literal("circle"), radius: z.number() }), place]).nullish(),
  tags: z.record(z.string(), place),
  pair: z.tuple([z.string(), place]),
  tree,
  both: z.intersection(z.object({ a: z.string() }), z.object({ b: place })),
  piped: z.object({ before: z.string() }).transform((value) => value),
});

describe("a path", () => {
  test.each([
    ["", ""],
    ["type", "type"],
    ["place.lat", "place.lat"],
    ["stops.12.lng", "stops.12.lng"],
    ["shape.radius", "shape.radius"],
    ["shape.lat", "shape.lat"],
    ["pair.1.lat", "pair.1.lat"],
    ["tree.left.left.name", "tree.left.left.name"],
    ["both.b.lng", "both.b.lng"],
    ["piped.before", "piped.before"],
    ["data.place.lat", "data.place.lat"],
    ["id", "id"],
    ["time", "time"],
  ])("keeps what the schema declares: %s", (path, told) => expect(declaredPath(schema, path)).toBe(told));

  test.each([
    ["jane@example.com", "*.*"],
    ["payload.jane", "payload.*"],
    ["payload.0.type", "payload.*.*"],
    ["place.jane", "place.*"],
    ["place.lat.jane", "place.lat.*"],
    ["stops.jane", "stops.*"],
    ["stops.0.jane.lat", "stops.0.*.*"],
    ["tags.jane.lat", "tags.*.*"],
    ["data.jane", "data.*"],
    ["toString", "*"],
    ["__proto__.type", "*.*"],
    ["id.jane", "id.*"],
    [`${"x".repeat(150)}… (10 more characters)`, "*"],
  ])("has * for any other name: %s", (path, told) => expect(declaredPath(schema, path)).toBe(told));
});

describe("a message", () => {
  const event = { name: "Jane Doe", age: 42, tags: ["vip"], of: { phone: "+49 30 1234" }, is: true };

  test.each([
    ["Invalid input: expected string, received number"],
    ["Too big: expected string to have <=42 characters"],
    ['Invalid option: expected one of "vip"|"plain"'],
    ["is not a field of this stream"],
    ["expected a time at most 60 seconds from now"],
    ["expected at most 420 bytes of JSON"],
  ])("without a value stays as it is: %s", (message) => expect(withoutValues(message, event)).toBe(message));

  test.each([
    ["expected another name than Jane Doe", "expected another name than *"],
    ["got 42, 42 and 420", "got *, * and 420"],
    ["'vip' is no tag, nor is vips", "'*' is no tag, nor is vips"],
    ["no such number: +49 30 1234", "no such number: *"],
    ["Jane Doe (vip)", "* (*)"],
  ])("of a schema of its own loses the values that it quotes: %s", (message, told) =>
    expect(withoutValues(message, event)).toBe(told),
  );

  test("about an event with too many values to look for is not told", () => {
    const many = { all: Array.from({ length: 2000 }, (_, i) => `v${i}`) };
    expect(withoutValues("got v1999", many)).toBe("does not fit the schema");
    expect(withoutValues("Invalid input: expected string, received array", many)).toBe(
      "Invalid input: expected string, received array",
    );
  });

  test("about a value that is itself the message is a *", () => {
    expect(withoutValues("secret", "secret")).toBe("*");
    expect(withoutValues("got ", "")).toBe("got ");
  });
});
