/** The limits of columns of numbers, compared with Postgres: what is let in, Postgres takes, and what it takes is let in. */
import { bigint, integer, numeric, pgTable, real, timestamp, varchar } from "drizzle-orm/pg-core";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { checkColumns } from "../../lib/schema/column-limits.ts";
import { openWorld, type World } from "./test-stack.ts";

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

const digits = fc.oneof(fc.stringMatching(/^\d{0,7}$/), fc.stringMatching(/^9{0,7}[459]?0?$/));
const decimal = fc
  .tuple(fc.constantFrom("", "-", "+"), digits, digits, fc.constantFrom("", "e-3", "e2", "E+3", "e-7"))
  .filter(([, whole, fraction]) => whole !== "" || fraction !== "")
  .map(([sign, whole, fraction, exponent]) => `${sign}${whole}.${fraction}${exponent}`);
const far = fc
  .tuple(fc.integer({ min: -16_400, max: -16_370 }), fc.integer({ min: 131_060, max: 131_080 }), fc.boolean())
  .map(([low, high, isLow]) => `9.5e${isLow ? low : high}`);
const extreme = fc
  .tuple(
    fc.constantFrom("0", "0.0", "1", "9.5"),
    fc.constantFrom(
      "-9999999999",
      "-1073741824",
      "-1073741823",
      "-20000",
      "-16384",
      "20000",
      "1073741824",
      "9999999999",
    ),
  )
  .map((parts) => parts.join("e"));
const notFinite = fc.constantFrom("Infinity", "-Infinity", " inf", "+INFINITY ", "NaN");
const float = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.double({ min: 1e-46, max: 1e-44 }),
  fc.double({ min: -3.5e38, max: -3.3e38 }),
);
const whole = fc.oneof(
  fc.bigInt({ min: -(2n ** 63n) - 9n, max: -(2n ** 63n) + 9n }),
  fc.bigInt({ min: 2n ** 63n - 9n, max: 2n ** 63n + 9n }),
);

const numbers = pgTable("numbers", {
  "numeric(5,2)": numeric({ precision: 5, scale: 2 }),
  "numeric(3)": numeric({ precision: 3 }),
  "numeric(2,4)": numeric({ precision: 2, scale: 4 }),
  "numeric(3,-2)": numeric({ precision: 3, scale: -2 }),
  numeric: numeric(),
  real: real(),
  bigint: bigint({ mode: "bigint" }),
});
const check = checkColumns(numbers, ["id"]);

const lists = pgTable("lists", {
  ...{ "integer[]": integer().array(), "integer[][]": integer().array().array(), "real[]": real().array() },
  "varchar(3)[]": varchar({ length: 3 }).array(),
  "numeric(5,2)[]": numeric({ precision: 5, scale: 2 }).array(),
  "timestamptz[]": timestamp({ withTimezone: true, mode: "string" }).array(),
});
const checkList = checkColumns(lists, ["id"]);

test.each<[type: keyof typeof lists.$inferSelect, value: unknown[], path?: string]>([
  ["integer[]", []],
  ["integer[]", [1, null, -2_147_483_648]],
  ["integer[]", [1, 2_147_483_648], "integer[].1"],
  ["integer[]", [1.5], "integer[].0"],
  [
    "integer[][]",
    [
      [1, 2],
      [3, 4],
    ],
  ],
  ["integer[][]", [[1], [1.5]], "integer[][].1.0"],
  ["real[]", [1e39], "real[].0"],
  ["varchar(3)[]", ["äöü", null, ""]],
  ["varchar(3)[]", ["abcd"], "varchar(3)[].0"],
  ["numeric(5,2)[]", ["999.994"]],
  ["numeric(5,2)[]", ["1", "999.995"], "numeric(5,2)[].1"],
  ["timestamptz[]", ["2026-11-21T09:30:00Z"]],
  ["timestamptz[]", ["2026-02-30T09:30:00Z"], "timestamptz[].0"],
])("an array column is checked item by item: %s %j", async (type, value, path) => {
  const text = String(lists[type].mapToDriverValue(value));
  const { rows } = await world.sql.query(`select pg_input_is_valid($1, '${type}') as taken`, [text]);
  expect(rows[0].taken).toBe(path === undefined);
  expect(checkList({ [type]: value })?.path).toBe(path);
});

test.each<[type: string, values: fc.Arbitrary<string | number | bigint>]>([
  ["numeric(5,2)", fc.oneof(decimal, far, extreme, notFinite)],
  ["numeric(3)", decimal],
  ["numeric(2,4)", decimal],
  ["numeric(3,-2)", decimal],
  ["numeric", fc.oneof(decimal, far, extreme, notFinite)],
  ["real", float],
  ["bigint", whole],
])("a %s takes what is let in, and no more", async (type, values) => {
  const property = fc.asyncProperty(fc.array(values, { minLength: 20, maxLength: 60 }), async (many) => {
    const { rows } = await world.sql.query(
      `select pg_input_is_valid(text, '${type}') as taken from unnest($1::text[]) with ordinality as given (text, i) order by i`,
      [many.map(String)],
    );
    const letIn = many.map((value) => [value, check({ [type]: value }) === undefined]);
    expect(letIn).toEqual(many.map((value, i) => [value, rows[i].taken]));
  });
  await fc.assert(property, { numRuns: 100 });
});
