/** Fixes an event's id and bytes: from now on it is sent as it is here, however often. */

export interface EncodedEvent {
  id: string;
  /** JSON. */
  body: string;
}

/**
 * Encodes an event. Its id is the given one, or its own, or a new one. Throws a TypeError if it is no JSON object; an error that the
 * event's own code throws passes through.
 */
export function encodeEvent(event: unknown, given: string | undefined, newId: () => string): EncodedEvent {
  const plain = hasToJson(event) ? event.toJSON() : event;
  if (typeof plain !== "object" || plain === null || Array.isArray(plain))
    throw new TypeError("expected an object");
  const own = (plain as { id?: unknown }).id;
  const id = given ?? (typeof own === "string" || typeof own === "number" ? own : newId());
  return { id: String(id), body: JSON.stringify({ ...plain, id }) };
}

const hasToJson = (event: unknown): event is { toJSON(): unknown } =>
  typeof (event as { toJSON?: unknown } | null | undefined)?.toJSON === "function";

/** The length of a text in UTF-8, in bytes. The text has no lone surrogates: JSON.stringify escapes them. */
export function utf8Length(text: string): number {
  let bytes = text.length;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) continue;
    // Half of a pair is 2 bytes of the pair's 4.
    bytes += unit < 0x800 || (unit >= 0xd800 && unit < 0xe000) ? 1 : 2;
  }
  return bytes;
}
