/** What a sender hears of its events, whether it has a key or signs: what was accepted, or why nothing is promised. */
import type { Accepted } from "../lib/ingest/accept.ts";

type Kept = Extract<Accepted, { kind: "accepted" }>;

/** The body of a 202 or 201. */
export function acceptedBody(
  ids: readonly string[],
  { ack, duplicates, superseded }: Pick<Kept, "ack" | "duplicates" | "superseded">,
): Record<string, unknown> {
  const body: Record<string, unknown> = { accepted: ids.length, ids, ack };
  if (duplicates.length > 0) body.duplicates = duplicates;
  if (superseded.length > 0) body.superseded = superseded;
  return body;
}

/** Why nothing is promised: the code and the reason of the 503. What its sender should do follows the reason. */
export const NOT_ACCEPTED = {
  shed: ["buffer-full", "the buffer is full"],
  unanswered: ["servers-away", "neither the buffer nor the database answered in time"],
  unbuffered: [
    "buffer-away",
    "the buffer does not answer, and the events of a public key are never written to the database at once",
  ],
  unproven: [
    "database-refuses",
    "the database refuses some of it, and nothing proves that these events are at fault",
  ],
} as const;
