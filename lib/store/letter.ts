/** A letter: an event that is set aside in `dead_letters`, held or dead. */
import { type Envelope, encodeEnvelope } from "../schema/envelope.ts";
import { idOfNamesake } from "../schema/event-ids.ts";
import { keyRecordOfEnvelope } from "../schema/key-record.ts";
import type { Stream } from "../schema/stream.ts";
import { encodeDelivery, type UnmadeDelivery } from "../schema/webhook-letter.ts";

export interface Letter {
  stream: string;
  /** Its event's id; or, beside a letter of another event under that id, one that is made of its data. */
  id: string;
  /** Its key record; undefined: its id is its key, or it has none that Postgres can read. */
  key?: string | undefined;
  envelope: string;
  sqlstate: string | undefined;
  reason: string;
  /** How many times this event became a letter, this time included. */
  burials: number;
  /** Refusals while it is held; 0: it is dead. */
  tries: number;
  receivedAt: string | undefined;
}

/** Whether a letter's id is its event's, or the one that it has beside another event's letter under that id (bury.ts). */
export const isLetterOf = (stream: Pick<Stream, "name">, id: string, envelope: Envelope): boolean =>
  envelope.id === id || idOfNamesake(stream.name, envelope) === id;

/** The reason of a letter whose insert, or one beside it, broke the connection to Postgres: it is tried alone. */
export const BREAKS = "its insert breaks the connection to Postgres";

interface Why {
  sqlstate?: string | undefined;
  reason: string;
  /** Whether it is set aside to be tried again, because nothing proves that the event is at fault. */
  isHeld?: boolean;
}

/** The letter of an event that is set aside now, for people to read: unpacked. */
export const letterOf = (
  stream: Stream,
  envelope: Envelope,
  { sqlstate, reason, isHeld = false }: Why,
): Letter => ({
  stream: stream.name,
  id: envelope.id,
  key: keyRecordOfEnvelope(stream, envelope),
  envelope: encodeEnvelope(envelope),
  sqlstate,
  reason,
  burials: (envelope.burials ?? 0) + 1,
  tries: isHeld ? 1 : 0,
  receivedAt: envelope.receivedAt,
});

/** The letter of a webhook that became no event. Its sender is told that it was taken, so it is dead at once. */
export const letterOfDelivery = (
  stream: Pick<Stream, "name">,
  delivery: UnmadeDelivery,
  text = encodeDelivery(delivery),
): Letter => ({
  stream: stream.name,
  id: delivery.id,
  envelope: text,
  sqlstate: undefined,
  reason: `webhook ${delivery.webhook}: ${delivery.reason}`,
  burials: 1,
  tries: 0,
  receivedAt: delivery.receivedAt,
});
