/** What becomes of an event. Each event gets one outcome, once. */

/** One thing that is wrong with an event, and where. */
export interface EventError {
  /** The path of the field, as `payload.items.0`; empty: the event as a whole. */
  path: string;
  message: string;
}

/** The end of an event, without saying which event. */
export type End =
  /** Spillway's buffer has it: it will be in Postgres, or in `dead_letters`. */
  | { kind: "buffered" }
  /** Postgres has it. */
  | { kind: "stored" }
  /** Spillway refuses it, and would refuse it again. `status` 0: it is no JSON object, and was not sent. */
  | { kind: "refused"; status: number; code: string; errors: EventError[] }
  /** It was given up here: the store was full, it was too old, `clear()` took it, or the client was closed before. */
  | { kind: "dropped"; why: "full" | "expired" | "cleared" | "closed" };

export type Outcome = End & { id: string; stream: string };

/** Why events wait. If the key or a setting is wrong, they are tried again every few minutes. */
export interface Held {
  /** 0: there was no answer. */
  status: number;
  /** Spillway's code (docs/errors.md), `http-404` of an answer that has none, or `no-answer`. */
  code: string;
  detail: string;
  /** undefined: all streams wait. */
  stream?: string;
}
