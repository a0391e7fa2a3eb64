/** The names of the headers that Spillway reads and sends beside those that every server has; in lower case, as Node gives them. */
export const headerNames = {
  /** Makes the ids of a request's events follow from it. */
  idempotencyKey: "idempotency-key",
  /** The id of a request, in its answer and in the log. */
  requestId: "x-request-id",
  /** How long to wait before the request is sent again, in seconds. */
  retryAfter: "retry-after",
  /** What is left of a key's rate, and its rate (draft-ietf-httpapi-ratelimit-headers). */
  rateLimit: "ratelimit",
  rateLimitPolicy: "ratelimit-policy",
  /** An API key, for senders that can't set Authorization. */
  apiKey: "x-api-key",
  /** The moment at which the request's key expires, RFC 3339, if that is within 14 days. */
  keyExpires: "x-key-expires",
} as const;
