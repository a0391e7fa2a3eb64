/**
 * Tables that change hands: a stream becomes `existing`, or is not any more. Drizzle Kit would drop the one and make the other anew. So
 * before it compares, a migration without SQL takes the table out of the snapshot, or puts it back as the newest snapshot had it.
 *
 * Types, sequences and schemas that the stream's file exports go with it.
 */
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { readJournal } from "../lib/store/migration-journal.ts";
import type { Declared, Named } from "./declared.ts";
import { addMigration, readSnapshot, type Snapshot } from "./journal.ts";

/** How the SQL of a migration begins that leaves tables to their owners. */
const LEFT = "-- Left to their owners from now on: ";
const TAKEN_BACK = "-- Ours again, as they were: ";
const NAME = "existing_tables";

/** Adds the migration to the folder, if it needs one. Returns what there is to say, for people. */
export function handOver(folder: string, { ours, existing }: Declared): string[] {
  const last = lastOf(folder);
  if (last === undefined) return [];
  const isOurs = ({ section, key }: Named) => ours.some((one) => one.section === section && one.key === key);
  const left = distinct(existing).filter((one) => !isOurs(one) && has(last, one));
  const taken = distinct(ours).flatMap((one) => {
    const from = has(last, one) ? undefined : lastWith(folder, one);
    return from === undefined ? [] : [{ ...one, from }];
  });
  if (left.length + taken.length === 0) return [];
  const next: Snapshot = { ...structuredClone(last), id: randomUUID(), prevId: last.id };
  for (const { section, key } of left) delete next[section]?.[key];
  for (const { section, key, from } of taken)
    next[section] = { ...next[section], [key]: from[section]?.[key] };
  const comments = [
    ...(left.length > 0 ? [`${LEFT}${namesOf(left)}`] : []),
    ...(taken.length > 0 ? [`${TAKEN_BACK}${namesOf(taken)}`] : []),
  ];
  addMigration(folder, NAME, `${comments.join("\n")}\n`, next);
  return [
    ...tablesAmong(left).map(
      (table) => `${table} is left to its owner from now on: nothing of it is dropped or changed.`,
    ),
    ...tablesAmong(taken).map(
      (table) =>
        `${table} is ours again, as your migrations knew it: what others changed since is in no migration.`,
    ),
  ];
}

const has = (snapshot: Snapshot, { section, key }: Named): boolean => snapshot[section]?.[key] !== undefined;

const distinct = (all: readonly Named[]): Named[] => [
  ...new Map(all.map((one) => [`${one.section} ${one.key}`, one])).values(),
];

function lastOf(folder: string): Snapshot | undefined {
  const last = readJournal(folder).entries.at(-1);
  return last && readSnapshot(folder, last);
}

/** The newest snapshot that has it, if the migration after that one left it to its owner; a DROP is for good. */
function lastWith(folder: string, one: Named): Snapshot | undefined {
  const { entries } = readJournal(folder);
  const i = entries.findLastIndex((entry) => has(readSnapshot(folder, entry), one));
  const [entry, after] = [entries[i], entries[i + 1]];
  if (entry === undefined || after === undefined) return undefined;
  const isLeft = readFileSync(join(folder, `${after.tag}.sql`), "utf8").startsWith(LEFT);
  return isLeft ? readSnapshot(folder, entry) : undefined;
}

/** As people name it. */
const nameOf = (key: string): string => key.replace(/^public\./, "");
const namesOf = (all: readonly Named[]): string => all.map(({ key }) => nameOf(key)).join(", ");
const tablesAmong = (all: readonly Named[]): string[] =>
  all.filter(({ section }) => section === "tables").map(({ key }) => nameOf(key));
