/** Which letters belong to a group: those of its stream and SQLSTATE, held or dead, whose reason is the same. */
import type { LetterGroup, ListedLetter } from "../../../../lib/contract/letters.ts";

/** Whether a letter is one of a group. The query finds others, too, because it does not ask for the reason. */
export const isOfGroup = (group: LetterGroup, letter: ListedLetter): boolean =>
  letter.stream === group.stream &&
  letter.sqlstate === group.sqlstate &&
  letter.reason === group.reason &&
  (letter.retryAt !== null) === group.isHeld;

/** The query that finds a group's letters, and perhaps those of other reasons. */
export function queryOf({ stream, sqlstate, isHeld }: LetterGroup, cursor: string | null): string {
  const query = new URLSearchParams({ each: "1", limit: "1000", stream, sqlstate: sqlstate ?? "none" });
  query.set("state", isHeld ? "held" : "dead");
  if (cursor !== null) query.set("cursor", cursor);
  return query.toString();
}

/** Names a group. */
export const keyOf = ({ stream, sqlstate, reason, isHeld }: LetterGroup): string =>
  JSON.stringify([stream, sqlstate, reason, isHeld]);
