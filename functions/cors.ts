/** CORS: lets web pages of some origins send requests and read answers (fetch.spec.whatwg.org, "CORS protocol"). */
import type { IncomingMessage, ServerResponse } from "node:http";

/** Sets an answer's CORS headers if the request comes from an allowed origin. */
export function allowOrigin(origins: readonly string[], req: IncomingMessage, res: ServerResponse): void {
  const origin = req.headers.origin;
  if (origin === undefined || origins.length === 0) return;
  res.setHeader("vary", "Origin");
  if (!origins.includes("*") && !origins.includes(origin)) return;
  res.setHeader("access-control-allow-origin", origins.includes("*") ? "*" : origin);
  res.setHeader("access-control-expose-headers", "Retry-After");
  if (req.method !== "OPTIONS") return;
  res.setHeader("access-control-allow-methods", "GET, POST, OPTIONS");
  res.setHeader(
    "access-control-allow-headers",
    "Authorization, Content-Type, Content-Encoding, Idempotency-Key",
  );
  res.setHeader("access-control-max-age", "86400");
}
