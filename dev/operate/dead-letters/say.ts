/** Sentences about letters that several of the commands say. */
import type { NotCompared, SkippedLetter } from "../../../lib/contract/letters.ts";
import { countOf, printable } from "../command-line.ts";
import type { Filter } from "./filters.ts";

/** Says of which streams letters are shown that may be stored since. */
export function sayNotCompared(found: readonly NotCompared[]): void {
  for (const [stream, why] of new Map(found.map((one) => [one.stream, one.why])))
    console.log(
      `\nLetters of ${stream} were not compared with its table, so some of them may be stored: ${why}.`,
    );
}

/** Says that no letter is found, and returns the exit status. */
export function sayNothing({ all }: Filter): number {
  console.log(all ? "No dead letters." : "No live dead letters (--all: redriven and stored ones too).");
  return 0;
}

/** Says which letters of an answer can't be redriven. */
export function saySkipped(skipped: number, letters: readonly SkippedLetter[]): void {
  for (const { stream, id, why } of letters)
    console.error(`  ${printable(`${stream} ${id}: can't be redriven, ${why}`)}`);
  if (skipped > letters.length)
    console.error(`  and ${countOf(skipped - letters.length, "letter")} more can't be redriven`);
}

/** A moment to the second. */
export const toSecond = (moment: string): string => `${moment.slice(0, 19)}Z`;
