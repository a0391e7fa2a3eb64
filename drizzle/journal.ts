/** Reads and corrects Drizzle's journal of a folder of migrations, meta/_journal.json, and reads the last snapshot. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

interface Journal {
  entries: { idx: number; tag: string; when: number }[];
}

const fileOf = (folder: string) => join(folder, "meta/_journal.json");

/** Whether the folder holds a migration. If the folder is missing, it holds none. */
export const hasMigrations = (folder: string): boolean => readJournal(folder).entries.length > 0;

/** Reads the journal. If there is none, it has no entries. */
export function readJournal(folder: string): Journal {
  if (!existsSync(fileOf(folder))) return { entries: [] };
  return JSON.parse(readFileSync(fileOf(folder), "utf8")) as Journal;
}

/**
 * Gives each migration from index `from` on a later date than all before it. The migrator skips a migration that is older than
 * the last one that it applied, and a machine whose clock is slow makes such a migration.
 */
export function keepInOrder(folder: string, from: number): void {
  const journal = readJournal(folder);
  const { entries } = journal;
  for (const [i, entry] of entries.entries())
    if (i >= from) entry.when = Math.max(entry.when, ...entries.slice(0, i).map(({ when }) => when + 1));
  writeFileSync(fileOf(folder), JSON.stringify(journal, null, 2));
}

/** The tables that the folder's migrations make, as Drizzle Kit noted them. */
export function tablesOfLastSnapshot(folder: string): string[] {
  const last = readJournal(folder).entries.at(-1);
  if (last === undefined) return [];
  const file = join(folder, `meta/${String(last.idx).padStart(4, "0")}_snapshot.json`);
  const { tables } = JSON.parse(readFileSync(file, "utf8")) as { tables: Record<string, { name: string }> };
  return Object.values(tables).map(({ name }) => name);
}
