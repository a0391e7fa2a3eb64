/**
 * The key of a stream: the fields that identify a row. An event whose key is there already is not stored again. All of them are fixed
 * at ingest, so that each try of an event has the same key: they are the event's id, or fields of its data, and never made by `toRow`.
 */

export interface StreamKey {
  /** The fields, in the order of the declaration. */
  readonly fields: readonly string[];
  /** The fields of the data that fix an event's place, `newest` included: all but the event's `id`. */
  readonly fieldsOfData: readonly string[];
  /** The field by which the newest event of a key wins, ties by the event's id; undefined: the event that is stored first stays. */
  readonly newest: string | undefined;
  /** Whether the key is the event's id alone. */
  readonly isId: boolean;
  /** Whether a stored event is looked up by its id: the id is part of the key, so there is an index, and no later event takes its row. */
  readonly keepsIds: boolean;
}

/** The field that holds the event's id, in every stream that has it. */
export const ID = "id";

/** How a declaration names a key. */
export interface DeclaredKey {
  key?: readonly string[] | undefined;
  onConflict?: { key: readonly string[]; newest: string } | undefined;
}

/** Reads a declared key; without one it is the event's id. */
export function keyOf({ key, onConflict }: DeclaredKey): StreamKey {
  const fields = onConflict?.key ?? key ?? [ID];
  const newest = onConflict?.newest;
  return {
    fields,
    fieldsOfData: [...fields, ...(newest === undefined ? [] : [newest])].filter((field) => field !== ID),
    newest,
    isId: newest === undefined && fields.length === 1 && fields[0] === ID,
    keepsIds: newest === undefined && fields.includes(ID),
  };
}
