/**
 * Gives each event its id before the first write. Every later step may happen twice, and the primary key keeps the second
 * write from storing the event again. An id has one of three sources: the event's own id, the request's Idempotency-Key, or
 * a new UUIDv7.
 */
import { createHash } from "node:crypto";
import { v5, v7 } from "uuid";

/** The namespace of every id that Spillway derives. It is published, so that a sender can compute the ids of its events. */
export const SPILLWAY_NAMESPACE = "6f1d7c1e-5b0a-5c39-9a54-0d6f5b8b1a77";

/** The most characters in an id that a client gives its event. */
export const RAW_ID_MAX = 512;

const UUID_SHAPE = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** A UUID of version 4 or 7, with RFC 9562's variant. */
const UNGUESSABLE = /^[0-9a-f]{8}-[0-9a-f]{4}-[47][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i;

/** Whether the text is 8-4-4-4-12 hex digits, as a row's id is. */
export const isUuid = (text: string): boolean => UUID_SHAPE.test(text);

/**
 * Whether the text is a UUID that nobody can guess, of version 4 or 7. Only such an id may be a row's id as it is: any other
 * can be computed, and a key could occupy the id of another key's event with it.
 */
export const isUnguessableUuid = (text: string): boolean => UNGUESSABLE.test(text);

/** Derives a UUIDv5 from parts. They are joined as JSON, so that two different lists never give the same text. */
const derive = (...parts: (string | number)[]): string => v5(JSON.stringify(parts), SPILLWAY_NAMESPACE);

/**
 * Returns the id of an event whose client gave it one. A UUID of version 4 or 7 is only lower-cased. Any other id becomes
 * `UUIDv5(SPILLWAY_NAMESPACE, JSON [stream, key name, raw id])`, so that the "1" of two callers gives two ids.
 */
export const idFromRaw = (stream: string, keyName: string, raw: string): string =>
  isUnguessableUuid(raw) ? raw.toLowerCase() : derive(stream, keyName, raw);

/** Returns the id of a text that was in a buffer and is no envelope. No event of a key has such an id, because no key has an empty name. */
export const idOfForeignText = (stream: string, text: string): string => derive(stream, "", text);

/** Returns the id of the letter of an event whose own id another event's letter has: its key tells the two apart. */
export const idOfNamesake = (stream: string, { id, dataJson }: { id: string; dataJson: string }): string =>
  derive(stream, "", id, dataJson);

/**
 * Returns the id of a webhook whose sender signs none: it follows from the body, so a delivery that is sent again has the same one.
 * `scope` stands for the name of a key, and no key has it.
 */
export const idOfSignedBody = (stream: string, scope: string, sha256: string): string =>
  derive(stream, scope, "body", sha256);

/**
 * Returns the row ids under which an event may be that somebody asks for: the id as given, if it is a UUID (Spillway gave it
 * out), and the one that an event of this key with this id has.
 */
export function candidateIds(stream: string, keyName: string, raw: string): string[] {
  const own = idFromRaw(stream, keyName, raw);
  return isUuid(raw) && !isUnguessableUuid(raw) ? [raw.toLowerCase(), own] : [own];
}

/** Random bytes for the next ids. Asking the system for 16 bytes at a time took an eighth of ingest's CPU. */
const pool = new Uint8Array(4096);
let poolAt = pool.length;

const DIGITS = Buffer.from("0123456789abcdef");
const idBytes = new Uint8Array(16);
const idText = Buffer.from("00000000-0000-0000-0000-000000000000");

/** Makes a new id. Ids sort by time, to the millisecond (RFC 9562, UUIDv7). */
export function newId(): string {
  if (poolAt === pool.length) {
    crypto.getRandomValues(pool);
    poolAt = 0;
  }
  const random = pool.subarray(poolAt, poolAt + 16);
  poolAt += 16;
  return textOfUuid(v7({ random }, idBytes));
}

/** A UUID's text, in one piece. Joined of its parts, as the library does, it takes 700 bytes for as long as its event waits. */
function textOfUuid(bytes: Uint8Array): string {
  let at = 0;
  for (const byte of bytes) {
    if (at === 8 || at === 13 || at === 18 || at === 23) at += 1;
    idText[at++] = DIGITS[byte >> 4] as number;
    idText[at++] = DIGITS[byte & 15] as number;
  }
  return idText.toString("latin1");
}

/**
 * Hands out the ids of one request that has an Idempotency-Key. If the same events are sent again, they get the same ids.
 * Each id follows from the event's JSON and from the number of equal events before it in the request.
 */
export function idempotentIds(stream: string, keyName: string, idempotencyKey: string) {
  const seen = new Map<string, number>();
  return (eventJson: string): string => {
    const sha256 = createHash("sha256").update(eventJson).digest("hex");
    const ordinal = seen.get(sha256) ?? 0; // the number of equal events before this one in the request
    seen.set(sha256, ordinal + 1);
    return derive(stream, keyName, "idempotency-key", idempotencyKey, sha256, ordinal);
  };
}
