/** The limits of columns of numbers, compared with Postgres: what is let in, Postgres takes, and what it takes is let in. */
import { bigint, numeric, pgTable, real } from "drizzle-orm/pg-core";
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

test.each<[type: string, values: fc.Arbitrary<string | number | bigint>]>([
  ["numeric(5,2)", decimal],
  ["numeric(3)", decimal],
  ["numeric(2,4)", decimal],
  ["numeric(3,-2)", decimal],
  ["numeric", fc.oneof(decimal, far)],
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
