/**
 * Ids are fixed before the first write, because every later step may happen twice and the primary key is what
 * absorbs it. Three sources: the event's own id, the request's Idempotency-Key, or a new UUIDv7.
 */
import { createHash } from "node:crypto";
import { v5, v7 } from "uuid";

/** The namespace of every id that Spillway derives. Published: anyone can compute the id of an event that they sent. */
export const SPILLWAY_NAMESPACE = "6f1d7c1e-5b0a-5c39-9a54-0d6f5b8b1a77";

const UUID_SHAPE = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Whether the text is 8-4-4-4-12 hex: such an id is used as it is, lower-cased. */
export const isUuid = (text: string): boolean => UUID_SHAPE.test(text);

/** A name for UUIDv5: parts joined as JSON, so that no two lists of parts read the same. */
const derive = (...parts: (string | number)[]): string => v5(JSON.stringify(parts), SPILLWAY_NAMESPACE);

/**
 * The id of an event that brought its own: a UUID as it is, lower-cased; anything else is
 * `UUIDv5(SPILLWAY_NAMESPACE, JSON [stream, key name, raw id])`, so that two callers' "1" never collide.
 */
export const idFromRaw = (stream: string, keyName: string, raw: string): string =>
  isUuid(raw) ? raw.toLowerCase() : derive(stream, keyName, raw);

/** Random bytes for the next ids: asking the system for 16 at a time was an eighth of ingest's CPU. */
const pool = new Uint8Array(4096);
let poolAt = pool.length;

/** A new id, ordered by time to the millisecond (RFC 9562, UUIDv7). */
export function newId(): string {
  if (poolAt === pool.length) {
    crypto.getRandomValues(pool);
    poolAt = 0;
  }
  const random = pool.subarray(poolAt, poolAt + 16);
  poolAt += 16;
  return v7({ random });
}

/** Hands out the ids of one request under an Idempotency-Key: the same bytes sent again get the same ids. */
export function idempotentIds(stream: string, keyName: string, idempotencyKey: string) {
  const seen = new Map<string, number>();
  return (eventJson: string): string => {
    const sha256 = createHash("sha256").update(eventJson).digest("hex");
    const ordinal = seen.get(sha256) ?? 0; // its place among equals in this request
    seen.set(sha256, ordinal + 1);
    return derive(stream, keyName, "idempotency-key", idempotencyKey, sha256, ordinal);
  };
}
