/**
 * Reads a batch: from envelopes to rows. Four kinds become a dead letter at once: text that is not an envelope, an
 * envelope whose data make no record or have a dropped version, and one that was alone in hand when too many drain calls died. One
 * that broke the connection to Postgres alone is held.
 */
import type { Batch } from "../buffer/buffer.ts";
import { decodeEnvelope, type Envelope } from "../schema/envelope.ts";
import { idOfForeignText } from "../schema/event-ids.ts";
import { type Row, rowOf } from "../schema/json-row.ts";
import type { Stream } from "../schema/stream.ts";
import { decodeDelivery } from "../schema/webhook-letter.ts";
import { BREAKS, type Letter, letterOf, letterOfDelivery } from "../store/letter.ts";

/** Crashes alone after which an envelope is buried instead of being tried again. */
const BURY_AFTER = 3;

/** A row that becomes a letter if Postgres refuses it. */
export interface ReadRow extends Row {
  envelope: Envelope;
}

/** An envelope of which the stream's `upgrade` or `toRow` made no row. */
export interface Unmade {
  envelope: Envelope;
  reason: string;
}

/**
 * Turns a batch into rows, and into letters of those that can't become one. `unmade`: those that another release may make a
 * row of. `hasNewer`: a newer release buffered some of the batch, which this one can't read.
 */
export function readBatch(stream: Stream, batch: Batch) {
  const rows: ReadRow[] = [];
  const letters: Letter[] = [];
  const unmade: Unmade[] = [];
  let hasNewer = false;
  const { crashesAlone = 0, suspicions } = batch;
  const brokeAlone = suspicions > 0 && crashesAlone > 0;
  const crashedTooOften = crashesAlone >= BURY_AFTER;
  for (const text of batch.envelopes) {
    const envelope = decodeEnvelope(text);
    if (envelope === undefined) letters.push(letterOfText(stream, text));
    else if (envelope.v > stream.v) hasNewer = true;
    else if (brokeAlone) letters.push(letterOf(stream, envelope, { reason: BREAKS, isHeld: true }));
    else if (crashedTooOften)
      letters.push(letterOf(stream, envelope, { reason: "killed the drain call that held it" }));
    else {
      // upgrade and toRow are not run for an event that crashed drain calls, because they may be the cause.
      const row = rowOf(stream, envelope);
      if (!("reason" in row))
        rows.push({ id: row.id, receivedAt: row.receivedAt, json: row.json, envelope }); // a spread costs 1 µs a row
      else if (row.isProven) letters.push(letterOf(stream, envelope, row));
      else unmade.push({ envelope, reason: row.reason });
    }
  }
  return { rows, letters, unmade, hasNewer };
}

/** The letter of a text that is no envelope: a webhook that became no event, or something foreign. */
function letterOfText(stream: Stream, text: string): Letter {
  const delivery = decodeDelivery(text);
  return delivery ? letterOfDelivery(stream, delivery, text) : letterOfForeignText(stream, text);
}

/** The letter of a text that somebody else pushed; its id is made of the text. */
const letterOfForeignText = (stream: Stream, text: string): Letter => ({
  stream: stream.name,
  id: idOfForeignText(stream.name, text),
  envelope: text,
  sqlstate: undefined,
  reason: "not an envelope",
  burials: 1,
  tries: 0,
  receivedAt: undefined,
});
