/**
 * From envelopes to rows. What cannot become a row is a dead letter at once: no envelope, an envelope that
 * makes no row, or one that was alone when too many drain calls died.
 */
import type { Batch } from "./buffer.ts";
import { decodeEnvelope, type Envelope } from "./envelope.ts";
import { idFromRaw } from "./ids.ts";
import { type Row, rowOf } from "./row.ts";
import type { Letter } from "./store.ts";
import type { Stream } from "./stream.ts";

/** Deaths alone after which a row is buried instead of being tried again. */
const BURY_AFTER = 3;

interface ReadEnvelope {
  envelope: Envelope;
  text: string;
}

/** Turns a batch into rows; what can't become one is a letter at once. */
export function readBatch(stream: Stream, batch: Batch) {
  const rows: Row[] = [];
  const letters: Letter[] = [];
  const envelopes = new Map<Row, ReadEnvelope>();
  for (const text of batch.envelopes) {
    const envelope = decodeEnvelope(text);
    const id = envelope?.id ?? idFromRaw(stream.name, "", text);
    const row = envelope && rowOf(stream, envelope);
    if (envelope && batch.deaths !== undefined && batch.deaths >= BURY_AFTER)
      letters.push(letterOf(stream, id, text, envelope, { reason: "killed the drain call that held it" }));
    else if (row && "id" in row) {
      rows.push(row);
      envelopes.set(row, { envelope, text });
    } else letters.push(letterOf(stream, id, text, envelope, { reason: row?.reason ?? "not an envelope" }));
  }
  return { rows, letters, envelopes };
}

/** The letter of an event that dies now. */
export const letterOf = (
  stream: Stream,
  id: string,
  text: string,
  envelope: Envelope | undefined,
  { sqlstate, reason }: { sqlstate?: string | undefined; reason: string },
): Letter => ({
  stream: stream.name,
  id,
  envelope: text,
  sqlstate,
  reason,
  attempts: (envelope?.deaths ?? 0) + 1,
  receivedAt: envelope?.receivedAt,
});
