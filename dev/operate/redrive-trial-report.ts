/** Prints the dry run of a redrive: how many letters would be stored, and which would die again, grouped by reason. */
import type { TrialProgress, TriedLetter } from "../../lib/operate/redrive-trial.ts";
import { type Cell, countOf, printable, printTable } from "./command-line.ts";

/** Prints what the pages show, and returns the exit status. */
export async function printTrial(pages: AsyncIterable<TrialProgress>): Promise<number> {
  const tried: TriedLetter[] = [];
  let skipped = 0;
  let stopped: string | undefined;
  for await (const page of pages) {
    for (const { letter, why } of page.skipped)
      console.error(`  ${printable(`${letter.stream} ${letter.id}: can't be redriven, ${why}`)}`);
    tried.push(...page.tried);
    skipped += page.skipped.length;
    stopped = page.stopped;
  }
  const count = (kind: TriedLetter["outcome"]["kind"]) =>
    tried.filter(({ outcome }) => outcome.kind === kind).length.toLocaleString("en-US");
  const groups = groupsOf(tried);
  console.log(
    `${count("stored")} would be stored, ${count("refused")} would die again${groups.length > 0 ? ":\n" : "."}`,
  );
  if (groups.length > 0) {
    printTable(["letters", "stream", "sqlstate", "reason", "example"], groups);
    console.log("");
  }
  if (count("there") !== "0") console.log(`${count("there")} are there already.`);
  if (count("other-key") !== "0")
    console.log(`${count("other-key")} would be stored under another key, because a trigger changes it.`);
  if (skipped > 0) console.log(`${countOf(skipped, "letter")} can't be redriven, see above.`);
  if (stopped !== undefined) console.log(`Not all were tried. ${stopped}.`);
  console.log("Nothing was changed, but sequences of the tables may have advanced.");
  return stopped !== undefined || skipped > 0 ? 1 : 0;
}

/** Letters that would die alike, the largest group first. */
function groupsOf(tried: readonly TriedLetter[]): Cell[][] {
  const groups = new Map<string, { letters: number; rest: Cell[] }>();
  for (const { letter, outcome } of tried) {
    if (outcome.kind !== "refused") continue;
    const { sqlstate = null, reason } = outcome;
    const key = JSON.stringify([letter.stream, sqlstate, reason]);
    const group = groups.get(key) ?? { letters: 0, rest: [letter.stream, sqlstate, reason, letter.id] };
    groups.set(key, { ...group, letters: group.letters + 1 });
  }
  return [...groups.values()]
    .sort((a, b) => b.letters - a.letters)
    .map(({ letters, rest }) => [letters, ...rest]);
}
