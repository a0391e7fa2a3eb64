/** Buries events: sets them aside in `dead_letters`, held or dead, unless they are stored. */
import { sql } from "drizzle-orm";
import { makeRecordset } from "../schema/insert-from-json.ts";
import type { Stream } from "../schema/stream.ts";
import { type Database, statementBound } from "./database.ts";
import { deadLetters } from "./dead-letters-table.ts";
import { isStored } from "./is-stored.ts";
import type { Letter } from "./letter.ts";
import { pauseAfter } from "./pause.ts";
import { failureOf } from "./postgres-errors.ts";
import { escapeNonAscii, isOfData, readableKeys } from "./readable-keys.ts";
import { listOf } from "./stream-table.ts";

const { columns, parametersOf, from, values: given } = makeRecordset(deadLetters);
const names = listOf(columns);
/** The columns of a letter as given, with the time of its next try by Postgres's own clock. */
const values = sql.join(
  columns.map((name) =>
    name === deadLetters.retryAt.name
      ? sql`case when q.tries > 0 then now() + ${pauseAfter(sql`q.tries`)} end`
      : sql`q.${sql.identifier(name)}`,
  ),
  sql`, `,
);

/** SQLSTATEs of a character that the database's encoding has not, if that is not UTF-8. */
const NOT_IN_ENCODING = ["22P05", "22021"];

/**
 * Buries letters of one stream, all or nothing. A letter that is there already changes only if the event was buried once
 * more since (after a redrive); then it waits to be looked at again. May be repeated.
 */
export async function buryLetters(
  db: Database,
  timeoutMs: number,
  stream: Stream,
  letters: readonly Letter[],
): Promise<void> {
  // Of copies of one event in one batch, the one with most burials, else the first.
  const byId = new Map<string, Letter>();
  for (const letter of letters)
    if (letter.burials > (byId.get(letter.id)?.burials ?? 0)) byId.set(letter.id, letter);
  const all = [...byId.values()].map((letter) => ({
    ...letter,
    // Text that Postgres can hold, whatever somebody may have pushed into the list.
    envelope: letter.envelope.replaceAll("\0", "\ufffd").toWellFormed(),
  }));
  try {
    await insertLetters(db, timeoutMs, stream, all);
  } catch (error) {
    if (!isOfData(error)) throw error;
    const isEncoding = NOT_IN_ENCODING.includes(failureOf(error).sqlstate ?? "");
    const readable = await withReadableKeys(db, timeoutMs, stream, all);
    const letters = isEncoding
      ? readable.map((letter) => ({ ...letter, envelope: escapeNonAscii(letter.envelope) }))
      : readable;
    await insertLetters(db, timeoutMs, stream, letters);
  }
}

/** A letter whose key can't be read has none: its event is not stored. */
async function withReadableKeys(
  db: Database,
  timeoutMs: number,
  stream: Stream,
  letters: readonly Letter[],
): Promise<Letter[]> {
  const records = letters.map(({ key }) => key ?? "{}");
  const areReadable = await readableKeys(db, timeoutMs, stream, records);
  return letters.map((letter, i) => (areReadable[i] ? letter : { ...letter, key: undefined }));
}

async function insertLetters(
  db: Database,
  timeoutMs: number,
  stream: Stream,
  letters: readonly Letter[],
): Promise<void> {
  const records = letters.map((letter) => JSON.stringify(letter));
  await db.batch([
    statementBound(db, timeoutMs),
    db
      .insert(deadLetters)
      .select(
        sql`select ${values} from (select ${given} from ${from(parametersOf(records))}) as q (${names})
          where not ${isStored(stream, { id: sql`q.id`, key: sql`q.key` })}`,
      )
      .onConflictDoUpdate({
        target: [deadLetters.stream, deadLetters.id],
        set: {
          key: sql`excluded.key`,
          envelope: sql`excluded.envelope`,
          sqlstate: sql`excluded.sqlstate`,
          reason: sql`excluded.reason`,
          burials: sql`excluded.burials`,
          tries: sql`excluded.tries`,
          retryAt: sql`excluded.retry_at`,
          diedAt: sql`excluded.died_at`,
          redrivenAt: null,
        },
        setWhere: sql`${deadLetters.burials} < excluded.burials`,
      }),
  ]);
}
