/** JSON for people: in lines, unless a number would change. */
import { expect, test } from "vitest";
import { shownJson } from "../src/model/shown-json.ts";

test.each([
  ['{"a":1}', '{\n  "a": 1\n}'],
  ['{"a":12345678901234567890}', '{"a":12345678901234567890}'],
  ["no JSON", "no JSON"],
])("%s is shown as %j", (text, shown) => {
  expect(shownJson(text)).toBe(shown);
});
