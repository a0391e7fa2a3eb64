/** The meaning of a SQLSTATE. */
import { expect, test } from "vitest";
import { outcomeOf } from "../../lib/store/postgres-errors.ts";

test.each([
  [undefined, "unreachable"],
  ["08006", "unreachable"],
  ["57P01", "unreachable"],
  ["57P03", "unreachable"],
  ["42P01", "misconfigured"],
  ["42501", "misconfigured"],
  ["28P01", "misconfigured"],
  ["3D000", "misconfigured"],
  ["3F000", "misconfigured"],
  ["25006", "misconfigured"],
  ["22P05", "row"],
  ["23514", "row"],
  ["44000", "row"],
  ["54000", "row"],
  ["P0001", "row"],
  ["57014", "unclear"],
  ["53100", "unclear"],
  ["40P01", "unclear"],
  ["25P02", "unclear"],
])("SQLSTATE %s is %s", (code, outcome) => expect(outcomeOf(code)).toBe(outcome));
