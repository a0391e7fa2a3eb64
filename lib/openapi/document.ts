/**
 * Builds the OpenAPI 3.1 document of some streams: what may be sent to them, and what is answered. It is made from the declarations
 * alone (schemas, columns, examples) and from lib/contract, so it needs no server. It is written in parts, one for each stream.
 */
import { ingestPaths } from "../contract/paths.ts";
import { eventSchemasOf } from "../schema/json-schema.ts";
import type { Stream } from "../schema/stream.ts";
import {
  ANSWER_HEADERS,
  type Json,
  ref,
  SCHEMAS,
  SECRET_KEY,
  securitySchemes,
  sharedHeaders,
  sharedParameters,
  sharedSchemas,
} from "./components.ts";
import { pathsOf } from "./paths.ts";
import type { Limits } from "./request-body.ts";
import { answer, problemResponses, problemsOf } from "./responses.ts";

const DESCRIPTION = `Sends events to Spillway, which answers once Redis has them, and stores them in Postgres.

Not accepted in any event, though its schema may not say so: NUL, lone surrogates, the key \`__proto__\`, more than 64 levels, and integers beyond ±(2^53−1) (send these as text). In an optional field, null counts as absent. \`format\` only explains.

Errors are application/problem+json. Branch on \`code\`; \`type\` links to its meaning. After a 503 with \`ids\`, send the events again with these.`;

/** What one stream has in the document. */
export interface StreamPart {
  name: string;
  schemas: Json;
  paths: Json;
}

/** Writes the part of one stream. It tries examples on the schema, which takes some milliseconds. */
export function partOf(stream: Stream, limits: Limits): StreamPart {
  const { name } = stream;
  const { event, data, parts } = eventSchemasOf(stream, SCHEMAS);
  const isData = stream.pathInCloudEvent("") === "data";
  const ofData = `${name}.data`;
  return {
    name,
    schemas: { [name]: event, ...(isData ? { [ofData]: data } : {}), ...Object.fromEntries(parts) },
    paths: pathsOf(stream, limits, isData ? ref("schemas", ofData) : undefined),
  };
}

/** Joins the parts of some streams. `server`: where it is served, relative to the document or absolute. @default "/" */
export function documentOf(parts: readonly StreamPart[], server = "/"): Json {
  const [paths, schemas] = [parts.map((one) => one.paths), parts.map((one) => one.schemas)];
  return {
    openapi: "3.1.1",
    info: { title: "Spillway", version: "1", description: DESCRIPTION },
    servers: [{ url: server }],
    security: SECRET_KEY,
    tags: parts.map(({ name }) => ({ name })),
    paths: Object.assign({}, ...paths, OWN_PATHS),
    components: {
      schemas: Object.assign({}, ...schemas, sharedSchemas),
      responses: problemResponses,
      parameters: sharedParameters,
      headers: sharedHeaders,
      securitySchemes,
    },
  };
}

const OWN_PATHS: Json = {
  [ingestPaths.openApi]: {
    get: {
      operationId: "describe",
      summary: "This document: the streams that the key may use",
      security: SECRET_KEY,
      responses: {
        200: {
          description: "The document.",
          headers: { ...ANSWER_HEADERS, etag: ref("headers", "ETag") },
          content: { "application/json": { schema: { type: "object" } } },
        },
        304: { description: "It is the one that If-None-Match names.", headers: ANSWER_HEADERS },
        ...problemsOf("describe"),
      },
    },
  },
  [ingestPaths.health]: {
    get: {
      operationId: "health",
      summary: "Answers if the process runs, without asking any server",
      security: [],
      responses: { 200: answer("It runs.", "Health", { headers: ANSWER_HEADERS }), ...problemsOf("health") },
    },
  },
};
