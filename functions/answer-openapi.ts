/**
 * Answers `GET /v1/openapi.json`: the OpenAPI document of the streams that a key may use. It is the key's own, so no shared cache may
 * keep it; a client that has it asks with If-None-Match, and hears 304.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { mayUse } from "../lib/access/api-keys.ts";
import type { ApiKey } from "../lib/config.ts";
import { headerNames } from "../lib/contract/header-names.ts";
import type { Documents } from "../lib/openapi/documents.ts";
import { Problem, sendText } from "./answer.ts";
import { headersWithId } from "./request-id.ts";

/** Stands in the path where a stream's name stands. No stream has such a name, because it has a dot. */
export const DOCUMENT = "openapi.json";

/** Answers with the document, or with 304. Throws a 403 for a public key. */
export async function answerOpenApi(
  documents: Documents,
  req: IncomingMessage,
  res: ServerResponse,
  key: ApiKey,
): Promise<void> {
  if (key.kind === "public")
    throw new Problem("public-key-not-allowed", "a public key may only POST: ask with a secret key");
  const { text, etag } = await documents.of((stream) => mayUse(key, stream));
  const headers = { etag, "cache-control": "private, no-cache", vary: variesBy(res) };
  if (isNamedIn(req.headers["if-none-match"], etag)) {
    res.writeHead(304, { ...headersWithId(res, {}), ...headers }).end();
    return;
  }
  sendText(res, 200, "application/json", text, headers);
}

/** The headers of a request on which the answer depends: its key, and its origin if that is answered. */
function variesBy(res: ServerResponse): string {
  const before = res.getHeader("vary");
  return [...(before === undefined ? [] : [String(before)]), "Authorization", headerNames.apiKey].join(", ");
}

/** Whether If-None-Match names the document. The comparison is the weak one (RFC 9110, 13.1.2). */
const isNamedIn = (given: string | undefined, etag: string): boolean =>
  (given ?? "").split(",").some((one) => one.trim() === "*" || one.trim().replace(/^W\//, "") === etag);
