/** The meaning of a SQLSTATE. */
import { expect, test } from "vitest";
import { kindOf, reasonOf } from "../../lib/store/postgres-errors.ts";

test.each([
  ["08006", "no-answer"],
  ["57P01", "no-answer"],
  ["57P03", "no-answer"],
  ["42P01", "refused"],
  ["42501", "refused"],
  ["28P01", "misconfigured"],
  ["3D000", "misconfigured"],
  ["3F000", "misconfigured"],
  ["25006", "misconfigured"],
  ["22P05", "refused"],
  ["23514", "refused"],
  ["44000", "refused"],
  ["54000", "refused"],
  ["P0001", "refused"],
  ["57014", "timeout"],
  ["53100", "busy"],
  ["53200", "busy"],
  ["55P03", "busy"],
  ["55000", "refused"],
  ["55006", "refused"],
  ["57P05", "busy"],
  ["58030", "busy"],
  ["XX000", "busy"],
  ["F0001", "busy"],
  ["40P01", "conflict"],
  ["40001", "conflict"],
])("SQLSTATE %s is %s", (code, kind) => expect(kindOf(code)).toBe(kind));

test("a reason names the condition, the SQLSTATE and the parts of the schema, and no data", () => {
  expect(reasonOf("42703", { column: "payload" })).toBe("undefined column (SQLSTATE 42703): column payload");
  expect(reasonOf("23514", { table: "t", constraint: "c" })).toBe(
    "check constraint violated (SQLSTATE 23514): table t, constraint c",
  );
  expect(reasonOf("22999", {})).toBe("data refused (SQLSTATE 22999)");
  expect(reasonOf("ZZ123", {})).toBe("raised by the database (SQLSTATE ZZ123)");
});
