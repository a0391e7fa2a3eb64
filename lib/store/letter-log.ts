/** The log entries of events that were set aside. */
import type { Log } from "../log.ts";
import type { Stream } from "../schema/stream.ts";
import type { Letter } from "./letter.ts";

/** One entry for each dead letter, and one for held ones of one reason, which may be every event of a table that is at fault. */
export function logLetters(log: Log, { name: stream }: Stream, letters: readonly Letter[]): void {
  const held = new Map<string, { first: Letter; count: number }>();
  for (const letter of letters) {
    const { id, sqlstate, reason, tries } = letter;
    const alike = held.get(reason);
    if (tries === 0) log.warn("event.buried", { stream, id, sqlstate, reason });
    else if (alike) alike.count += 1;
    else held.set(reason, { first: letter, count: 1 });
  }
  for (const [reason, { first, count }] of held)
    log.warn("event.held", { stream, letters: count, example: first.id, sqlstate: first.sqlstate, reason });
}
