/** Values that a column can hold. */
import { doublePrecision, integer, pgTable, smallint, text, timestamp, varchar } from "drizzle-orm/pg-core";
import { expect, test } from "vitest";
import { checkColumns } from "../../lib/schema/column-limits.ts";
import { makeRecordset } from "../../lib/schema/insert-from-json.ts";

test("a value that its column cannot hold is named by its field", () => {
  const table = pgTable("t", {
    small: smallint("small"),
    whole: integer("whole").notNull(),
    short: varchar("short", { length: 3 }),
    real: doublePrecision("real"),
  });
  const check = checkColumns(table, []);
  expect(check({ whole: 1, small: -32_768, short: "äöü", real: 1e300 })).toBeUndefined();
  expect(check({ whole: 1, short: "😀😀😀" })).toBeUndefined(); // characters, not UTF-16 units
  expect(check({})?.path).toBe("whole");
  expect(check({ whole: 2 ** 31 })?.path).toBe("whole");
  expect(check({ whole: 1.5 })?.path).toBe("whole");
  expect(check({ whole: 1, small: 32_768 })?.path).toBe("small");
  expect(check({ whole: 1, short: "four" })?.path).toBe("short");
});

test("a column whose name each object inherits is absent where the row has none of its own", () => {
  const table = pgTable("t", {
    constructor: integer("constructor"),
    toString: varchar("to_string", { length: 3 }),
  });
  expect(checkColumns(table, [])({})).toBeUndefined();
  expect(makeRecordset(table).encode({})).toBe("{}");
  expect(checkColumns(table, [])({ constructor: 1.5 })?.path).toBe("constructor");
});

test("an item of an array of an enum is one of its values, or null", () => {
  const check = checkColumns(
    pgTable("t", { states: text("states", { enum: ["open", "done"] }).array() }),
    [],
  );
  expect(check({ states: ["open", null] })).toBeUndefined();
  expect(check({ states: ["open", "lost"] })?.path).toBe("states.1");
});

test("a Date is of the years 1 to 9999", () => {
  const check = checkColumns(pgTable("t", { at: timestamp("at") }), []);
  const fits = ["0001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z"];
  expect(fits.map((text) => check({ at: new Date(text) }))).toEqual([undefined, undefined]);
  const beyond = ["0000-12-31T23:59:59.999Z", "+010000-01-01T00:00:00.000Z", "nonsense"];
  expect(beyond.map((text) => check({ at: new Date(text) })?.path)).toEqual(["at", "at", "at"]);
});
