/** Fixes an event's id and bytes: from now on it is sent as it is here, however often. */

export interface EncodedEvent {
  id: string;
  /** JSON. */
  body: string;
}

interface Plain {
  id?: unknown;
  toJSON?(): unknown;
}

/**
 * Encodes an event. Its id is the given one, or its own, or a new one. Throws if it is no JSON object; an error that the
 * event's own code throws passes through.
 */
export function encodeEvent(event: unknown, given: string | undefined, newId: () => string): EncodedEvent {
  const plain = (event as Plain | undefined)?.toJSON?.() ?? event;
  if (!plain || typeof plain !== "object" || Array.isArray(plain)) throw new Error("expected an object");
  const id = given ?? (plain as Plain).id ?? newId();
  return { id: `${id}`, body: JSON.stringify({ ...plain, id }) };
}

/** The most bytes that JSON.stringify's text can have in UTF-8: three for each UTF-16 unit that is not ASCII. */
export const mostBytesOf = (json: string): number => json.length + 2 * json.replace(/[ -~]+/g, "").length;
