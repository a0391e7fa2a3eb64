/** Warnings that come again and again: which are said, and when again. */
import { expect, test } from "vitest";
import { Quiet } from "../../dev/tell/quiet.ts";

function quiet() {
  const said: string[] = [];
  let nowMs = 0;
  const warnings = new Quiet(
    (text) => said.push(text),
    () => nowMs,
  );
  return { said, warnings, turnTo: (ms: number) => (nowMs = ms) };
}

test("the same warning is said again after a minute, and not before", () => {
  const { said, warnings, turnTo } = quiet();
  const counts = [0, 1, 59_999, 60_000, 119_999, 120_000].map((ms) => {
    turnTo(ms);
    warnings.say("keys.away", "the same");
    warnings.endSecond();
    return said.length;
  });
  expect(counts).toEqual([1, 1, 1, 2, 2, 3]);
});

test("of one name five a second are said, then how many more, and the next second begins anew", () => {
  const { said, warnings } = quiet();
  for (let id = 0; id < 8; id++) warnings.say("event.buried", `buried ${id}`);
  for (let id = 0; id < 5; id++) warnings.say("row.refused", `refused ${id}`);
  warnings.endSecond();
  warnings.say("event.buried", "buried 8");
  warnings.endSecond();
  const five = (word: string) => [0, 1, 2, 3, 4].map((id) => `${word} ${id}`);
  expect(said).toEqual([...five("buried"), ...five("refused"), "and 3 more: event.buried", "buried 8"]);
});
