/** The bounds of the HTTP contract that no setting changes. Those of the environment are in lib/config.ts. */

/** The most characters of an Idempotency-Key. */
export const IDEMPOTENCY_KEY_MAX = 255;
/** The most ids in one `GET /v1/{stream}?id=A&id=B`. */
export const IDS_MAX = 100;
/** The most bytes of a request's headers together. Node's parser has the same bound (`--max-http-header-size`). */
export const HEADERS_MAX_BYTES = 16_384;
/** How long before its end a key is said to expire, in days. */
export const EXPIRY_TOLD_DAYS = 14;
/** How long a sender is asked to wait if no better time is known, in seconds. */
export const RETRY_AFTER_SECONDS = 5;
