/** Reads dead letters, and redrives or purges those of a group, by their ids: a filter alone would take letters of other reasons, too. */
import type {
  LetterCount,
  LetterGroup,
  LetterPage,
  ListedLetter,
  RedriveAnswer,
  ShownLetters,
  TrialAnswer,
} from "../../../lib/contract/letters.ts";
import { isOfGroup, queryOf } from "./model/letters.ts";
import { shownJson } from "./model/shown-json.ts";
import { countOf } from "./phrases.ts";
import { askSupervisor, Refused } from "./server.ts";

/** The most letters that one press of a button takes: a request names no more ids. */
export const LETTERS_MAX = 1000;

/** The letters of a group, those that died first first; LETTERS_MAX at most. */
export async function lettersOf(group: LetterGroup): Promise<ListedLetter[]> {
  const found: ListedLetter[] = [];
  let cursor: string | null = null;
  do {
    const page: LetterPage = await askSupervisor("GET", `/dead-letters?${queryOf(group, cursor)}`);
    found.push(...page.letters.filter((letter) => isOfGroup(group, letter)));
    cursor = page.next;
  } while (cursor !== null && found.length < LETTERS_MAX);
  return found.slice(0, LETTERS_MAX);
}

/** The event of a letter, as JSON for people. It is asked for by its id alone. */
export async function eventOf({ stream, id }: ListedLetter): Promise<string> {
  const { letters } = await askSupervisor<ShownLetters>(
    "GET",
    `/dead-letters/${id}?stream=${encodeURIComponent(stream)}`,
  );
  const [letter] = letters;
  if (letter === undefined) return "It is not there any more.";
  return shownJson(letter.envelope);
}

/** Said if somebody else was quicker. */
export const NONE_LEFT = "None of these letters is there any more.";

/** Throws a Refused if there are no letters: a request without ids is for all letters of the stream. */
function filterOf({ stream, isHeld }: LetterGroup, letters: readonly ListedLetter[]) {
  if (letters.length === 0) throw new Refused(NONE_LEFT);
  return { streams: [stream], ids: letters.map(({ id }) => id), state: isHeld ? "held" : "dead" };
}

/** Tries a redrive of a group, changing nothing, and says what would become of it. */
export async function tryRedrive(group: LetterGroup): Promise<string> {
  const body = { ...filterOf(group, await lettersOf(group)), dryRun: true };
  const { stored, refused, there, skipped, groups, stopped } = await askSupervisor<TrialAnswer>(
    "POST",
    "/dead-letters/redrive",
    { body },
  );
  const whys = groups.map(({ letters, reason }) => `${countOf(letters, "letter")}: ${reason}.`);
  const parts = [
    `${stored} would be stored`,
    `${refused} refused again`,
    there > 0 && `${there} stored already`,
    skipped > 0 && `${skipped} can't be redriven`,
  ];
  return [`Dry run: ${parts.filter((part) => part !== false).join(", ")}.`, ...whys, stopped ?? ""]
    .filter(Boolean)
    .join(" ");
}

/** Redrives a group. */
export async function redrive(group: LetterGroup): Promise<string> {
  const body = filterOf(group, await lettersOf(group));
  const { redriven, skipped, skippedLetters, stopped, next } = await askSupervisor<RedriveAnswer>(
    "POST",
    "/dead-letters/redrive",
    { body },
  );
  const why = skippedLetters[0]?.why;
  const left = next === null ? "" : " The time was up: press again to go on.";
  return `${countOf(redriven, "letter")} redriven${skipped > 0 ? `, ${skipped} skipped (${why})` : ""}.${stopped === null ? "" : ` ${stopped}`}${left}`;
}

/** Deletes these letters for good. */
export async function purge(group: LetterGroup, letters: readonly ListedLetter[]): Promise<string> {
  const { letters: gone, live } = await askSupervisor<LetterCount>("POST", "/dead-letters/purge", {
    body: filterOf(group, letters),
  });
  return `${countOf(gone, "letter")} purged, ${live} of them live: those events are lost.`;
}
