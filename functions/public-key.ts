/**
 * What a public key may not do. Everybody who opens a page has its key, so it can only add events, and whatever it does must not
 * harm another visitor: it asks for nothing, never makes Postgres work while a request waits, and takes no id that somebody could
 * guess.
 */
import type { IncomingMessage } from "node:http";
import type { ApiKey } from "../lib/config.ts";
import { isUnguessableUuid } from "../lib/schema/event-ids.ts";
import type { Stream } from "../lib/schema/stream.ts";
import { Problem } from "./answer.ts";

const notAllowed = (detail: string): Problem => new Problem("public-key-not-allowed", detail);

/** Throws a 403 if the key is public and may not send this request to this stream, which is one of its own. */
export function refusePublicKey(
  key: ApiKey,
  { method, headers }: IncomingMessage,
  query: URLSearchParams,
  stream: Stream,
): void {
  if (key.kind === "secret") return;
  if (method !== "POST") throw notAllowed("a public key may only POST: ask from a server, with a secret key");
  if (stream.ack === "stored")
    throw notAllowed(
      `the stream ${stream.name} is stored before the answer, and the events of a public key are only buffered`,
    );
  if (query.getAll("ack").includes("stored"))
    throw notAllowed("the events of a public key are only buffered: leave ack=stored out");
  if (!mayComeFrom(key, headers.origin))
    throw new Problem("origin-not-allowed", "pages of this origin may not use this key");
}

/** Whether a page of this origin may use a public key. This is a filter: whoever is no page sends any origin, or none. */
const mayComeFrom = ({ origins }: ApiKey, origin: string | undefined): boolean =>
  origin === undefined || origins.length === 0 || origins.includes("*") || origins.includes(origin);

/** Throws a 400 for an Idempotency-Key that another visitor of the page could guess, and so take its ids. */
export function refuseGuessable(idempotencyKey: string | undefined): void {
  if (idempotencyKey === undefined || isUnguessableUuid(idempotencyKey)) return;
  throw new Problem(
    "invalid-header",
    "expected a UUID of version 4 or 7 as Idempotency-Key: with a public key, others could guess any other",
  );
}
