/** The beginning of a query holds no value, however the value is written, and wherever the text was cut off. */
import { expect, test } from "vitest";
import { beginningOf } from "../../lib/store/query-beginning.ts";

test.each([
  ["lock table events in access exclusive mode", "lock table events in access exclusive mode"],
  ["select 1", "select …"],
  ["select -42.5", "select …"],
  ["select .5", "select …"],
  ["update events set a = 'x'", "update events set a = …"],
  ["update events set a = E'x\\'y'", "update events set a = E …"],
  ["select $tag$secret$tag$", "select …"],
  ["select $$secret$$", "select …"],
  ['insert into "t1" ("a2") values ($1, $12)', 'insert into "t1" ("a2") values ($1, $12)'],
  ["select * from t -- secret", "select * from t …"],
  ["/* secret */ select 1", "…"],
  ["  select\n   a\n from b", "select a from b"],
  ["begin; alter role r password 'secret", "begin; alter role r password …"],
])("%j is told as %j", (query, told) => {
  expect(beginningOf(query).trim()).toBe(told);
});

test("a long one is cut off", () => {
  expect(beginningOf(`select ${"a, ".repeat(100)}b`)).toMatch(/^select (a, )+a?,? …$/);
});
