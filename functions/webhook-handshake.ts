/**
 * Answers the handshake of CloudEvents' webhooks (HTTP 1.1 Web Hooks for Event Delivery, 4. Abuse Protection). A sender such as
 * Azure Event Grid asks whether it may send here at all, before it sends with its key. Whoever has a key may.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { headersWithId } from "./request-id.ts";

/** Answers OPTIONS with WebHook-Request-Origin; false: it is another request. The rate that is granted is that of one key. */
export function answerHandshake(
  req: IncomingMessage,
  res: ServerResponse,
  keyEventsPerSecond: number,
): boolean {
  if (req.method !== "OPTIONS" || req.headers["webhook-request-origin"] === undefined) return false;
  const headers = {
    allow: "POST, OPTIONS",
    "webhook-allowed-origin": "*",
    "webhook-allowed-rate": String(keyEventsPerSecond * 60), // requests per minute
    "content-length": 0,
  };
  res.writeHead(200, headersWithId(res, headers)).end();
  return true;
}
