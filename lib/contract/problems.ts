/**
 * The problems: every error that Spillway answers, by its code. A program branches on the code; the text beside it is for people
 * and may change. docs/errors.md has a row for each, to which `type` links.
 */

/** The document to which the `type` of each problem links. */
export const ERRORS_URL = "https://github.com/OWNER/spillway/blob/main/docs/errors.md";

export interface ProblemKind {
  status: number;
  title: string;
  /** Whether Spillway may have kept some of the request's events. If so, the answer says how to send them again. */
  kept: "nothing" | "perhaps";
  /** Whether the same request may be sent again: later, after Retry-After; or only when it or a setting is changed. */
  again: "later" | "changed";
}

const refused = (status: number, title: string): ProblemKind & { again: "changed" } => ({
  status,
  title,
  kept: "nothing",
  again: "changed",
});

const later = (
  status: number,
  title: string,
  kept: ProblemKind["kept"] = "nothing",
): ProblemKind & { again: "later" } => ({
  status,
  title,
  kept,
  again: "later",
});

export const problems = {
  "malformed-request": refused(400, "The request is not HTTP/1.1"),
  "invalid-query": refused(400, "The query makes no sense"),
  "invalid-header": refused(400, "A header makes no sense"),
  "invalid-body": refused(400, "The body can't be read"),
  "missing-key": refused(401, "There is no API key"),
  "unknown-key": refused(401, "The API key is not known"),
  "expired-key": refused(401, "The API key has expired"),
  "invalid-signature": refused(401, "The signature does not fit the body"),
  "unknown-operator": refused(401, "The operator token is missing or not right"),
  "stream-not-allowed": refused(403, "The API key may not use this stream"),
  "origin-not-allowed": refused(403, "The API key may not be used from this origin"),
  "public-key-not-allowed": refused(403, "A public API key may not do this"),
  "caller-not-allowed": refused(403, "The caller may only drain"),
  "unknown-path": refused(404, "There is nothing at this path"),
  "unknown-stream": refused(404, "There is no such stream"),
  "retired-stream": refused(404, "The stream takes no more events"),
  "unknown-source": refused(404, "The stream has no such webhook source"),
  "unknown-letter": refused(404, "There is no such dead letter"),
  "unknown-row": refused(404, "There is no such stored event"),
  "unknown-name": refused(404, "No live API key has this name"),
  "impossible-id": refused(404, "No event can have this id"),
  "method-not-allowed": refused(405, "The path has no such method"),
  "name-taken": refused(409, "A live API key has this name"),
  "too-many-keys": refused(409, "There is no room for one more API key"),
  "request-timeout": later(408, "The request did not come in time"),
  "body-too-large": refused(413, "The body is too large"),
  "event-too-large": refused(413, "The event is too large"),
  "too-many-events": refused(413, "The request has too many events"),
  "unsupported-encoding": refused(415, "The body's encoding is not supported"),
  "unsupported-media-type": refused(415, "The body's media type is not supported"),
  "expectation-failed": refused(417, "The expectation can't be met"),
  "invalid-event": refused(422, "No event is valid"),
  "refused-by-database": refused(422, "The database refuses every event for its data"),
  "rate-limited": later(429, "The sender sends more than it may"),
  "headers-too-large": refused(431, "The headers are too large"),
  "internal-error": later(500, "Something unexpected went wrong", "perhaps"),
  "buffer-full": later(503, "The buffer is full", "perhaps"),
  "servers-away": later(503, "Neither buffer nor database answered in time", "perhaps"),
  "database-refuses": later(503, "The database refuses events that may be good", "perhaps"),
  "database-away": later(503, "The database does not answer"),
  "buffer-away": later(503, "The buffer does not answer", "perhaps"),
  "keys-away": later(503, "Nobody can say now whether the key is known"),
  "webhook-without-secret": later(503, "The webhook source has no secret"),
  "webhook-late": later(503, "The webhook did not come in time"),
  "instance-busy": later(503, "The instance is busy"),
  "instance-ending": later(503, "The instance is ending"),
} as const satisfies Record<string, ProblemKind>;

export type ProblemCode = keyof typeof problems;

/** Why an event of a batch is rejected alone, if not because it is invalid: only then its item has a code. */
export type RejectedCode = "event-too-large" | "refused-by-database";

/** Returns the URI that identifies a problem: it opens the problem's row in the documentation. */
export const typeOf = (code: ProblemCode): string => `${ERRORS_URL}#${code}`;
