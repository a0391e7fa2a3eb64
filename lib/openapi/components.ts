/** The parts of the document that all streams share: bodies of answers, headers, parameters, and how a key is sent. */
import {
  acceptedBody,
  deliveredBody,
  foundBody,
  healthBody,
  problemBody,
  undeliveredBody,
  unknownEventBody,
  whereaboutsBody,
} from "../contract/bodies.ts";
import { headerNames } from "../contract/header-names.ts";
import { IDEMPOTENCY_KEY_MAX, IDS_MAX } from "../contract/limits.ts";

/** A part of the document. */
export type Json = Readonly<Record<string, unknown>>;

export const SCHEMAS = "#/components/schemas/";

export const ref = (kind: "schemas" | "headers" | "parameters" | "responses", name: string): Json => ({
  $ref: `#/components/${kind}/${name}`,
});

/** Names begin with a capital, so that no stream has one of them. */
export const sharedSchemas: Json = {
  Accepted: acceptedBody,
  Delivered: deliveredBody,
  Undelivered: undeliveredBody,
  Found: foundBody,
  UnknownEvent: unknownEventBody,
  Whereabouts: whereaboutsBody,
  Health: healthBody,
  Problem: problemBody,
};

const text = (description: string): Json => ({ description, schema: { type: "string" } });

export const sharedHeaders: Json = {
  RequestId: text(
    "The request's own id, if it sent a short and plain one; else that of its trace, or a new one.",
  ),
  RetryAfter: { description: "Seconds to wait.", schema: { type: "integer", minimum: 0 } },
  RateLimit: text("What is left of the key's rate."),
  RateLimitPolicy: text("The key's rate."),
  KeyExpires: text("When the key expires (RFC 3339), if that is within 14 days."),
  Authenticate: text("How a key is sent."),
  ETag: text("Changes with the document."),
};

const header = (name: string): Json => ref("headers", name);

/** Of every answer. */
export const ANSWER_HEADERS: Json = { [headerNames.requestId]: header("RequestId") };
/** Of an answer to a request with a key. */
export const KEY_HEADERS: Json = {
  ...ANSWER_HEADERS,
  [headerNames.rateLimit]: header("RateLimit"),
  [headerNames.rateLimitPolicy]: header("RateLimitPolicy"),
  [headerNames.keyExpires]: header("KeyExpires"),
};
export const RETRY_HEADERS: Json = { [headerNames.retryAfter]: header("RetryAfter") };

export const sharedParameters: Json = {
  Ack: {
    name: "ack",
    in: "query",
    description:
      "Which answer is wanted: buffered (202, Redis has the events) or stored (201, Postgres has them). The answer may promise more.",
    schema: { type: "string", enum: ["buffered", "stored"], default: "buffered" },
  },
  IdempotencyKey: {
    name: headerNames.idempotencyKey,
    in: "header",
    description:
      "The same request under the same key is stored once: ids of events without one follow from it. With a public key, a UUID of version 4 or 7.",
    schema: { type: "string", minLength: 1, maxLength: IDEMPOTENCY_KEY_MAX },
  },
  ContentEncoding: {
    name: "content-encoding",
    in: "header",
    description: "How the body is compressed.",
    schema: { type: "string", enum: ["gzip", "x-gzip", "identity"] },
  },
  Id: {
    name: "id",
    in: "path",
    required: true,
    description: "The event's own id, or one that an answer named.",
    schema: { type: "string", minLength: 1 },
  },
  Ids: {
    name: "id",
    in: "query",
    required: true,
    description: "The events' own ids, or ids that answers named: ?id=A&id=B",
    explode: true,
    schema: { type: "array", minItems: 1, maxItems: IDS_MAX, items: { type: "string" } },
  },
  Source: {
    name: "source",
    in: "query",
    description: "The ids are those of CloudEvents of this source.",
    schema: { type: "string", minLength: 1 },
  },
};

export const securitySchemes: Json = {
  Bearer: { type: "http", scheme: "bearer", description: "Authorization: Bearer KEY" },
  ApiKey: { type: "apiKey", in: "header", name: headerNames.apiKey },
  Basic: { type: "http", scheme: "basic", description: "The key is the password; the user name is free." },
  PublicKey: {
    type: "apiKey",
    in: "query",
    name: "key",
    description: "For public keys only (spw_pub_…), which may only POST.",
  },
};

/** A secret key, in one of three ways. */
export const SECRET_KEY: readonly Json[] = [{ Bearer: [] }, { ApiKey: [] }, { Basic: [] }];
