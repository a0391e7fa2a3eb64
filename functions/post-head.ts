/** Reads a POST's head: what its body is, and which answer its sender wants. So a bad head costs no look at the body. */
import type { IncomingMessage } from "node:http";
import { headerNames } from "../lib/contract/header-names.ts";
import { IDEMPOTENCY_KEY_MAX } from "../lib/contract/limits.ts";
import { type MediaType, mediaTypeOf } from "../lib/ingest/media-type.ts";
import type { Ack, Stream } from "../lib/schema/stream.ts";
import { ackOf } from "./ack-of.ts";
import { Problem } from "./answer.ts";
import { checkDeclaredLength, type Encoding, encodingOf } from "./body.ts";

export interface PostHead {
  encoding: Encoding;
  type: MediaType;
  ack: Ack;
  idempotencyKey: string | undefined;
}

/** Reads a POST's head. Throws a 415, a 413 or a 400, in this order. */
export function postHeadOf(
  req: IncomingMessage,
  query: URLSearchParams,
  stream: Stream,
  bodyMaxBytes: number,
): PostHead {
  const encoding = encodingOf(req);
  const type = mediaTypeOf(req.headers);
  if (typeof type === "object") throw new Problem("unsupported-media-type", type.problem);
  checkDeclaredLength(req, bodyMaxBytes);
  const ack = ackOf(query) === "stored" ? "stored" : stream.ack;
  return { encoding, type, ack, idempotencyKey: idempotencyKeyOf(req) };
}

function idempotencyKeyOf(req: IncomingMessage): string | undefined {
  const key = req.headers[headerNames.idempotencyKey];
  if (key === undefined) return undefined;
  if (typeof key !== "string" || key.trim() === "" || key.length > IDEMPOTENCY_KEY_MAX)
    throw new Problem(
      "invalid-header",
      `expected an Idempotency-Key of 1 to ${IDEMPOTENCY_KEY_MAX} characters`,
    );
  return key.trim();
}
