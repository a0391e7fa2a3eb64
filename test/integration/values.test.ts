/** Numbers, times and nulls as docs/http.md, "Numbers and times", says it: sent over HTTP, and read from Postgres. */
import { bigint, doublePrecision, integer, numeric, pgTable, real, timestamp } from "drizzle-orm/pg-core";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { drain } from "../../lib/drain/drain.ts";
import { defineStream, eventColumns, timestampText } from "../../lib/schema/stream.ts";
import { type Ingest, serveIngest } from "./test-ingest.ts";
import { expectConserved, openWorldWith, type World } from "./test-stack.ts";

/** A column for each kind of number, and for the times that a schema may leave to the column. */
const amounts = defineStream({
  name: "amounts",
  table: pgTable("amounts", {
    ...eventColumns(),
    whole: integer("whole"),
    double: doublePrecision("double"),
    real: real("real"),
    price: numeric("price", { precision: 5, scale: 2 }),
    priceNumber: numeric("price_number", { precision: 5, scale: 2, mode: "number" }),
    exact: numeric("exact"),
    big: bigint("big", { mode: "bigint" }),
    views: bigint("views", { mode: "number" }),
    at: timestamp("at", { withTimezone: true, mode: "string" }),
    zoned: timestamp("zoned", { withTimezone: true, mode: "string" }),
    local: timestamp("local", { mode: "string" }),
  }),
  schema: z.strictObject({
    whole: z.int().optional(),
    double: z.number().optional(),
    real: z.number().optional(),
    price: z.string().optional(),
    priceNumber: z.number().optional(),
    exact: z.string().optional(),
    big: z
      .string()
      .regex(/^-?\d+$/)
      .optional(),
    views: z.int().optional(),
    at: timestampText().optional(),
    zoned: z.iso.datetime({ offset: true }).optional(),
    local: z.iso.datetime({ local: true, offset: true }).optional(),
  }),
  toRow: ({ big, ...rest }) => ({ ...rest, ...(big === undefined ? {} : { big: BigInt(big) }) }),
});

let world: World;
let ingest: Ingest;
beforeAll(async () => {
  world = await openWorldWith(
    amounts,
    `whole integer, double double precision, "real" real, price numeric(5, 2), price_number numeric(5, 2), exact numeric,
    big bigint, views bigint, at timestamptz, zoned timestamptz, local timestamp`,
  );
  ingest = await serveIngest(world);
});
beforeEach(() => world.reset());
afterAll(async () => {
  await ingest.close();
  await world.close();
});

/** Posts a body, drains, and returns the value of an SQL expression over the one row that is stored. */
async function stored(stream: string, json: string, expression: string): Promise<unknown> {
  const { status, body } = await ingest.postRaw(stream, "application/json", json);
  expect([status, body.errors]).toEqual([stream === "leads" ? 201 : 202, undefined]);
  await drain(world.supervisor(), { stream });
  await expectConserved(world, stream, body.ids);
  const { rows } = await world.sql.query(`select ${expression} as value from ${stream}`);
  expect(rows).toHaveLength(1);
  return rows[0].value;
}

/** Posts a body that is refused, and expects that the path is named and nothing is kept. */
async function expectRefused(stream: string, json: string, path: string): Promise<void> {
  const { status, body } = await ingest.postRaw(stream, "application/json", json);
  expect([status, body.errors]).toEqual([422, [{ path, message: expect.stringMatching(/./) }]]);
  await expectConserved(world, stream, []);
}

describe("a number", () => {
  test.each([
    ["0.1234567890123456789", "0.12345678901234568"],
    ["0.30000000000000004", "0.30000000000000004"],
    ["123456789012345.678901", "123456789012345.67"],
    ["1e-400", "0"],
    ["-1e-400", "0"],
    ["-0", "0"],
    ["-0.0", "0"],
    ["1.0", "1"],
    ["1.5e3", "1500"],
    ["5e-324", "5e-324"],
    ["2.2250738585072011e-308", "2.225073858507201e-308"],
    ["9007199254740991", "9007199254740991"],
    ["-9007199254740991", "-9007199254740991"],
    ["9007199254740991.4", "9007199254740991"],
  ])("%s is kept as %s, in jsonb and in double precision", async (sent, kept) => {
    expect(await stored("amounts", `{"double":${sent}}`, `double = ${kept}::float8`)).toBe(true);
    const json = `{"type":"t","payload":{"n":[${sent}]}}`;
    expect(await stored("events", json, `payload = '{"n":[${kept}]}'::jsonb`)).toBe(true);
  });

  test.each([
    "1e400",
    "-1e400",
    "9007199254740992",
    "-9007199254740993",
    "1e22",
    "12345678901234567890.5",
    "1.8e308",
  ])("%s is refused with its path, in jsonb and in double precision", async (sent) => {
    await expectRefused("amounts", `{"double":${sent}}`, "double");
    await expectRefused("events", `{"type":"t","payload":{"n":[1,${sent}]}}`, "payload.n.1");
  });

  test.each([
    ["whole", "1.0", "1"],
    ["whole", "1e3", "1000"],
    ["whole", "-0", "0"],
    ["whole", "-2147483648", "-2147483648"],
    ["views", "9007199254740991", "9007199254740991"],
    ["real", "0.1", "0.1"],
    ["real", "16777217", "1.6777216e+07"],
    ["real", "0.123456789", "0.12345679"],
    ["real", "1e-45", "1e-45"],
    ["real", "-7.1e-46", "-1e-45"],
    ["real", "1e-400", "0"],
    ["price", `"999.994"`, "999.99"],
    ["price", `"-0.005"`, "-0.01"],
    ["price", `"9.99e2"`, "999.00"],
    ["priceNumber", "999.994", "999.99"],
    ["priceNumber", "0.1", "0.10"],
    ["priceNumber", "1e-7", "0.00"],
    ["exact", `"12345678901234567890.123456789012345678901"`, "12345678901234567890.123456789012345678901"],
    ["exact", `"1e30"`, "1000000000000000000000000000000"],
    ["big", `"9223372036854775807"`, "9223372036854775807"],
    ["big", `"-9223372036854775808"`, "-9223372036854775808"],
  ])("a column %s keeps %s as %s", async (field, sent, kept) => {
    const column = field === "priceNumber" ? "price_number" : field;
    expect(await stored("amounts", `{"${field}":${sent}}`, `"${column}"::text`)).toBe(kept);
  });

  test.each([
    ["whole", "1.5"],
    ["whole", "2147483648"],
    ["real", "1e-46"],
    ["real", "-5e-324"],
    ["price", `"999.995"`],
    ["price", `"1000"`],
    ["price", `"-1e3"`],
    ["priceNumber", "999.995"],
    ["priceNumber", "1000"],
    ["exact", `"1e131072"`],
    ["exact", `"1e-20000"`],
    ["big", `"9223372036854775808"`],
    ["big", `"-9223372036854775809"`],
  ])("a column %s can't hold %s: refused with its path", async (field, sent) => {
    await expectRefused("amounts", `{"${field}":${sent}}`, field);
  });
});

describe("a time", () => {
  test.each([
    ["2026-11-21t09:30:00z", "2026-11-21 09:30:00"],
    ["2026-11-21 09:30:00Z", "2026-11-21 09:30:00"],
    ["2026-11-21T09:30:00-00:00", "2026-11-21 09:30:00"],
    ["2026-11-21T09:30:00+15:59", "2026-11-20 17:31:00"],
    ["2026-11-21T23:59:60Z", "2026-11-22 00:00:00"],
    ["2026-11-21T09:30:00.123456789Z", "2026-11-21 09:30:00.123457"],
    [`2026-11-21T09:30:59.${"9".repeat(100)}Z`, "2026-11-21 09:31:00"],
    ["0001-01-01T01:00:00+01:00", "0001-01-01 00:00:00"],
    ["9999-12-31T22:59:59.9999994-01:00", "9999-12-31 23:59:59.999999"],
    ["2024-02-29T12:00:00Z", "2024-02-29 12:00:00"],
  ])("%s is kept as %s", async (sent, kept) => {
    expect(await stored("amounts", `{"at":"${sent}"}`, "(at at time zone 'UTC')::text")).toBe(kept);
  });

  test.each([
    "2026-02-30T00:00:00Z",
    "1900-02-29T00:00:00Z",
    "2026-13-01T00:00:00Z",
    "2026-11-21T24:00:00Z",
    "2026-11-21T09:60:00Z",
    "2026-11-21T09:30:61Z",
    "2026-11-21T09:30:00+16:00",
    "2026-11-21T09:30:00+05:60",
    "0001-01-01T00:00:00+01:00",
    "0000-12-31T23:59:59-01:00",
    "9999-12-31T23:30:00-01:00",
    "9999-12-31T23:59:60Z",
    "9999-12-31T23:59:59.9999995Z",
    "2026-11-21T09:30Z",
    "2026-11-21T09:30:00",
    "2026-11-21T09:30:00+0530",
    "2026-11-21T09:30:00.Z",
    "2026-11-21",
    "now",
    "infinity",
  ])("%s is refused with its path", async (sent) => {
    await expectRefused("amounts", `{"at":"${sent}"}`, "at");
  });

  test.each([
    ["zoned", "0000-06-01T00:00:00Z"],
    ["zoned", "0001-01-01T00:00:00+01:00"],
    ["zoned", "9999-12-31T23:59:59-01:00"],
    ["zoned", "2026-11-21T09:30:00+16:00"],
    ["local", "0000-06-01T00:00:00"],
    ["local", "2026-11-21T09:30:00+23:00"],
  ])("a column %s whose schema takes %s can't hold it: refused with its path", async (field, sent) => {
    await expectRefused("amounts", `{"${field}":"${sent}"}`, field);
  });

  test("a column without a time zone keeps the time as it is written, whatever its offset", async () => {
    const json = `{"local":"0001-01-01T00:00:00+01:00"}`;
    expect(await stored("amounts", json, "local::text")).toBe("0001-01-01 00:00:00");
  });
});

describe("what a sender's platform means by no value", () => {
  const fix = `"userId":"u","lat":1,"lng":2,"recordedAt":"2026-11-21T09:30:00Z"`;
  const lead = `"name":"n","source":"s"`;
  test.each([
    ["locations", `{${fix},"speed":null,"accuracy":12.5}`, "(accuracy, speed)::text", "(12.5,)"],
    ["locations", `{${fix},"speed":-1,"accuracy":-1}`, "(accuracy, speed)::text", "(,)"],
    ["locations", `{${fix},"speed":0,"accuracy":0}`, "(accuracy, speed)::text", "(0,0)"],
    ["locations", `{${fix},"speed":-0.5,"accuracy":null}`, "(accuracy, speed)::text", "(,)"],
    ["leads", `{${lead},"email":"","phone":"","notes":""}`, "(email, phone, notes)::text", `(,,"")`],
    ["leads", `{${lead},"email":null,"phone":null,"notes":null}`, "(email, phone, notes)::text", "(,,)"],
    ["leads", `{${lead},"email":"jörg.müller@bücher.example"}`, "email", "jörg.müller@bücher.example"],
    ["leads", `{${lead},"email":"می\u200cخ@example.com"}`, "email", "می\u200cخ@example.com"],
    ["leads", `{${lead},"email":"用户@例子.广告"}`, "email", "用户@例子.广告"],
    ["leads", `{${lead},"email":"अजय@डाटा.भारत"}`, "email", "अजय@डाटा.भारत"],
    ["leads", `{${lead},"email":"a@xn--e1afmkfd.xn--p1ai"}`, "email", "a@xn--e1afmkfd.xn--p1ai"],
    ["events", `{"type":"t","payload":{"a":null},"occurredAt":null}`, "payload::text", `{"a": null}`],
  ])("%s %s", async (stream, json, expression, value) => {
    expect(await stored(stream, json, expression)).toBe(value);
  });

  test.each([
    ["locations", `{${fix.replace(`"lat":1`, `"lat":null`)},"speed":null}`, "lat"],
    ["locations", `{${fix},"speed":"fast","accuracy":null}`, "speed"],
    ["locations", `{${fix},"heading":null}`, "heading"],
    ["leads", `{"name":null,"source":"s","email":""}`, "name"],
    ["leads", `{${lead},"email":"jörg.müller"}`, "email"],
    ["leads", `{${lead},"email":"a@b"}`, "email"],
    ["leads", `{${lead},"email":"a@localhost"}`, "email"],
    ["leads", `{${lead},"email":"a b@example.com"}`, "email"],
    ["leads", `{${lead},"email":" "}`, "email"],
    ["leads", `{${lead},"email":"a\u00a0b@example.com"}`, "email"],
    ["leads", `{${lead},"email":"a\u202eb@example.com"}`, "email"],
    ["checked", `{"n":null,"note":null}`, "n"],
    ["activities", `{"contactId":"c","type":"t","description":null}`, "description"],
  ])("%s %s is refused", async (stream, json, path) => {
    await expectRefused(stream, json, path);
  });
});
