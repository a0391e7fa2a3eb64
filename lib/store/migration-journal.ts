/** Drizzle's journal of a folder of migrations, meta/_journal.json. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

export interface Journal {
  entries: JournalEntry[];
}

export interface JournalEntry {
  idx: number;
  version: string;
  /** When it was made, in milliseconds: the journal in the database knows it by that. */
  when: number;
  /** Its file, without `.sql`. */
  tag: string;
  breakpoints: boolean;
}

/** Where the journal is. */
export const journalOf = (folder: string): string => join(folder, "meta/_journal.json");

/** Reads the journal. If there is none, it has no entries. */
export function readJournal(folder: string): Journal {
  if (!existsSync(journalOf(folder))) return { entries: [] };
  return JSON.parse(readFileSync(journalOf(folder), "utf8")) as Journal;
}
