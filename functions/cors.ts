/** CORS: lets web pages of some origins send requests and read answers (fetch.spec.whatwg.org, "CORS protocol"). */
import type { IncomingMessage, ServerResponse } from "node:http";

/** The headers of an answer that a page may read, beside those that it may read always. */
const EXPOSED = "Retry-After, RateLimit, RateLimit-Policy, X-Request-Id";
/** The headers that a page may send if it does not ask for others. */
const ALLOWED = "Authorization, Content-Type, Content-Encoding, Idempotency-Key";
/** A list of header names (RFC 9110, field-name), of a sensible length. */
const HEADER_NAMES = /^[\w!#$%&'*+.^`|~-]+(?:[ \t]*,[ \t]*[\w!#$%&'*+.^`|~-]+)*$/;
const HEADER_NAMES_MAX = 2048;

/** Sets an answer's CORS headers if the request comes from an allowed origin. */
export function allowOrigin(origins: readonly string[], req: IncomingMessage, res: ServerResponse): void {
  const origin = req.headers.origin;
  if (origin === undefined || origins.length === 0) return;
  const isAhead = req.method === "OPTIONS";
  res.setHeader("vary", isAhead ? "Origin, Access-Control-Request-Headers" : "Origin");
  if (!origins.includes("*") && !origins.includes(origin)) return;
  res.setHeader("access-control-allow-origin", origins.includes("*") ? "*" : origin);
  res.setHeader("access-control-expose-headers", EXPOSED);
  if (!isAhead) return;
  res.setHeader("access-control-allow-methods", "GET, HEAD, POST, OPTIONS");
  res.setHeader("access-control-allow-headers", headersAskedFor(req));
  res.setHeader("access-control-max-age", "86400");
}

/**
 * The headers that a preflight asks for: tracing and CloudEvents add their own (`traceparent`, `ce-*`), and no header harms. They
 * are named, because `*` does not stand for Authorization.
 */
function headersAskedFor(req: IncomingMessage): string {
  const asked = req.headers["access-control-request-headers"];
  return asked !== undefined && asked.length <= HEADER_NAMES_MAX && HEADER_NAMES.test(asked)
    ? asked
    : ALLOWED;
}
