/** Finds what somebody meant who mistyped the name of a command or of an option. */

/** A name that is this many edits away is hardly meant. */
const EDITS_MAX = 2;

/** Returns the name that is the fewest edits away; undefined: none is near. */
export function nearestOf(typed: string, names: Iterable<string>): string | undefined {
  let nearest: string | undefined;
  let fewest = Math.min(EDITS_MAX, Math.floor(typed.length / 2)) + 1;
  for (const name of names) {
    const edits = editsBetween(typed, name);
    if (edits >= fewest) continue;
    nearest = name;
    fewest = edits;
  }
  return nearest;
}

/** "; did you mean …?" or nothing, for the end of an error. */
export function suggestionFor(typed: string, names: Iterable<string>, before = ""): string {
  const nearest = nearestOf(typed, names);
  return nearest === undefined ? "" : `; did you mean ${before}${nearest}?`;
}

/** Counts the letters to insert, delete, replace, or swap with their neighbour (optimal string alignment). */
function editsBetween(a: string, b: string): number {
  let before: number[] = [];
  let above = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = above[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      row[j] = Math.min(above[j]! + 1, row[j - 1]! + 1, replaced);
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (isSwap) row[j] = Math.min(row[j]!, before[j - 2]! + 1);
    }
    before = above;
    above = row;
  }
  return above[b.length]!;
}
