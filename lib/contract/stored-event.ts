/** The JSON of `GET /streams/{stream}/events/{id}`: one stored event. A body may get further members later. */

/** A longer row is not sent. */
export const STORED_EVENT_MAX_BYTES = 1_000_000;

/** A stored event, as its table has it now. */
export interface StoredEvent {
  stream: string;
  id: string;
  /** A JSON object: the columns that the stream declares, by their fields' names. Null: it is longer than STORED_EVENT_MAX_BYTES. */
  row: string | null;
  /** The length of that text. */
  bytes: number;
}
