/** Corrects Drizzle's journal of a folder of migrations, meta/_journal.json, and reads the last snapshot. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type JournalEntry, journalOf, readJournal } from "../lib/store/migration-journal.ts";

/** The tables after a migration, and what they need, as Drizzle Kit notes them: by their keys. */
export interface Snapshot extends Partial<Record<"tables" | "enums" | "sequences" | "schemas", Section>> {
  id: string;
  prevId: string;
}

type Section = Record<string, unknown>;

/** Whether the folder holds a migration. If the folder is missing, it holds none. */
export const hasMigrations = (folder: string): boolean => readJournal(folder).entries.length > 0;

/**
 * Gives each migration from index `from` on a later date than all before it. The migrator skips a migration that is older than
 * the last one that it applied, and a machine whose clock is slow makes such a migration.
 */
export function keepInOrder(folder: string, from: number): void {
  const journal = readJournal(folder);
  const { entries } = journal;
  for (const [i, entry] of entries.entries())
    if (i >= from) entry.when = Math.max(entry.when, ...entries.slice(0, i).map(({ when }) => when + 1));
  writeFileSync(journalOf(folder), JSON.stringify(journal, null, 2));
}

/** Adds a migration after the last one; there must be one. `snapshot`: the tables after it. */
export function addMigration(folder: string, name: string, sql: string, snapshot: Snapshot): void {
  const journal = readJournal(folder);
  const last = journal.entries.at(-1) as JournalEntry;
  const idx = last.idx + 1;
  const entry = { ...last, idx, when: Date.now(), tag: `${numberOf(idx)}_${name}` };
  writeFileSync(join(folder, `${entry.tag}.sql`), sql);
  writeFileSync(snapshotOf(folder, entry), JSON.stringify(snapshot, null, 2));
  writeFileSync(
    journalOf(folder),
    JSON.stringify({ ...journal, entries: [...journal.entries, entry] }, null, 2),
  );
}

/** The snapshot of a migration. */
export const readSnapshot = (folder: string, entry: JournalEntry): Snapshot =>
  JSON.parse(readFileSync(snapshotOf(folder, entry), "utf8")) as Snapshot;

const numberOf = (idx: number): string => String(idx).padStart(4, "0");
const snapshotOf = (folder: string, { idx }: JournalEntry): string =>
  join(folder, `meta/${numberOf(idx)}_snapshot.json`);

/** The keys of the tables that the folder's migrations make: `public.visits`. */
export function tablesOfLastSnapshot(folder: string): string[] {
  const last = readJournal(folder).entries.at(-1);
  return last === undefined ? [] : Object.keys(readSnapshot(folder, last).tables ?? {});
}
