/** Buries events: sets them aside in `dead_letters`, held or dead, unless they are stored. */
import { and, eq, inArray, type SQL, sql } from "drizzle-orm";
import { decodeEnvelope } from "../schema/envelope.ts";
import { idOfNamesake } from "../schema/event-ids.ts";
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
  const all = copiesLeftOut(letters).map((letter) => ({
    ...letter,
    // Text that Postgres can hold, whatever somebody may have pushed into the list.
    envelope: letter.envelope.replaceAll("\0", "\ufffd").toWellFormed(),
  }));
  try {
    await insertApart(db, timeoutMs, stream, all);
  } catch (error) {
    if (!isOfData(error)) throw error;
    const isEncoding = NOT_IN_ENCODING.includes(failureOf(error).sqlstate ?? "");
    const readable = await withReadableKeys(db, timeoutMs, stream, all);
    const letters = isEncoding
      ? readable.map((letter) => ({ ...letter, envelope: escapeNonAscii(letter.envelope) }))
      : readable;
    await insertApart(db, timeoutMs, stream, letters);
  }
}

/** Of copies of one event in one batch, the one with most burials, else the first. */
function copiesLeftOut(letters: readonly Letter[]): Letter[] {
  const kept = new Map<string, Letter>();
  for (const letter of letters) {
    const event = `${letter.id} ${letter.key ?? ""}`;
    if (letter.burials > (kept.get(event)?.burials ?? 0)) kept.set(event, letter);
  }
  return [...kept.values()];
}

/**
 * Inserts the letters of different events. Two of them may have one id, if their keys differ; dead_letters has one letter of an id. So the
 * second gets an id that is made of its data.
 */
async function insertApart(
  db: Database,
  timeoutMs: number,
  stream: Stream,
  letters: readonly Letter[],
): Promise<void> {
  const firstById = new Map([...letters].reverse().map((letter) => [letter.id, letter]));
  const first = [...firstById.values()];
  await insertLetters(db, timeoutMs, stream, first);
  if (stream.key.isId) return;
  const keys = await keysUnder(db, timeoutMs, stream, [...firstById.keys()]);
  const isUnderItsId = ({ id, key }: Letter) => keys.get(id) === (key ?? null);
  const others = letters
    .filter((letter) => firstById.get(letter.id) !== letter || (keys.has(letter.id) && !isUnderItsId(letter)))
    .map((letter) => (isUnderItsId(letter) ? letter : namesakeOf(letter)));
  if (others.length > 0) await insertLetters(db, timeoutMs, stream, others);
}

function namesakeOf(letter: Letter): Letter {
  const envelope = decodeEnvelope(letter.envelope);
  return envelope === undefined ? letter : { ...letter, id: idOfNamesake(letter.stream, envelope) };
}

/** The keys of the letters that have these ids. */
async function keysUnder(db: Database, timeoutMs: number, stream: Stream, ids: readonly string[]) {
  const [, found] = await db.batch([
    statementBound(db, timeoutMs),
    db
      .select({ id: deadLetters.id, key: deadLetters.key })
      .from(deadLetters)
      .where(and(eq(deadLetters.stream, stream.name), inArray(deadLetters.id, [...ids]))),
  ]);
  return new Map(found.map(({ id, key }) => [id, key]));
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
        setWhere: and(
          sql`${deadLetters.burials} < excluded.burials`,
          stream.key.isId ? undefined : sql`${deadLetters.key} is not distinct from excluded.key`,
        ) as SQL,
      }),
  ]);
}
