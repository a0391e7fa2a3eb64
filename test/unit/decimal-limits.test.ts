/** Texts in a numeric column. test/integration/column-limits.test.ts compares the limits with Postgres. */
import { expect, test } from "vitest";
import { decimalBeyond } from "../../lib/schema/decimal-limits.ts";

const LENGTH = 150_000;

// To try each way to divide the text takes half a minute, and fails by the time limit of a test.
test.each([
  ["digits", "1".repeat(LENGTH)],
  ["blanks", " ".repeat(LENGTH)],
  ["digits and blanks", `${"1".repeat(LENGTH / 2)}${" ".repeat(LENGTH / 2)}`],
  ["zeros after the point", `1.${"0".repeat(LENGTH)}`],
  ["an exponent", `1e${"1".repeat(LENGTH)}`],
])("a long text of %s that ends in a letter is read once, and left to Postgres", (_, text) => {
  expect(decimalBeyond({ precision: 5, scale: 2 })(`${text}x`)).toBe(false);
  expect(decimalBeyond(undefined)(`${text}x`)).toBe(false);
});

test("blanks around a number are none of its digits", () => {
  const isBeyond = decimalBeyond({ precision: 5, scale: 2 });
  expect([" 999.99\n", "\t1000 ", " .995e3", " ", ""].map(isBeyond)).toEqual([
    false,
    true,
    false,
    false,
    false,
  ]);
});
