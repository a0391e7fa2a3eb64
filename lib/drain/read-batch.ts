/**
 * From envelopes to rows. What cannot become a row is a dead letter at once: no envelope, an envelope that
 * makes no row, or one that was alone when too many drain calls died.
 */
import type { Batch } from "../buffer/buffer.ts";
import { decodeEnvelope, type Envelope, encodeEnvelope } from "../schema/envelope.ts";
import { idFromRaw } from "../schema/event-ids.ts";
import { type Row, rowOf } from "../schema/json-row.ts";
import type { Stream } from "../schema/stream.ts";
import type { Letter } from "../store/store.ts";

/** Deaths alone after which a row is buried instead of being tried again. */
const BURY_AFTER = 3;

/** A row that becomes a letter if Postgres refuses it. */
interface ReadRow extends Row {
  envelope: Envelope;
}

/** Turns a batch into rows; what can't become one is a letter at once. */
export function readBatch(stream: Stream, batch: Batch) {
  const rows: ReadRow[] = [];
  const letters: Letter[] = [];
  const killed = batch.deaths !== undefined && batch.deaths >= BURY_AFTER;
  for (const text of batch.envelopes) {
    const envelope = decodeEnvelope(text);
    if (envelope === undefined) letters.push(strayLetter(stream, text));
    else if (killed)
      letters.push(letterOf(stream, envelope, { reason: "killed the drain call that held it" }));
    else {
      const row = rowOf(stream, envelope); // not of what killed: toRow may be how
      if ("reason" in row) letters.push(letterOf(stream, envelope, row));
      else rows.push({ id: row.id, receivedAt: row.receivedAt, json: row.json, envelope }); // a spread costs 1 µs a row
    }
  }
  return { rows, letters };
}

/** The letter of an event that dies now, for people to read: unpacked. */
export const letterOf = (
  stream: Stream,
  envelope: Envelope,
  { sqlstate, reason }: { sqlstate?: string | undefined; reason: string },
): Letter => ({
  stream: stream.name,
  id: envelope.id,
  envelope: encodeEnvelope(envelope),
  sqlstate,
  reason,
  attempts: (envelope.deaths ?? 0) + 1,
  receivedAt: envelope.receivedAt,
});

/** The letter of what somebody else pushed; its id is made of the text. */
const strayLetter = (stream: Stream, text: string): Letter => ({
  stream: stream.name,
  id: idFromRaw(stream.name, "", text),
  envelope: text,
  sqlstate: undefined,
  reason: "not an envelope",
  attempts: 1,
  receivedAt: undefined,
});
