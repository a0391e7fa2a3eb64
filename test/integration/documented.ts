/**
 * Holds an answer of ingest against the OpenAPI document: its status, its media type, its body to the last member, and its code are
 * those of its operation. Every test that sends through serveIngest does so with each answer.
 */
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { pgTable, text } from "drizzle-orm/pg-core";
import { expect } from "vitest";
import { z } from "zod";
import { documentOf, partOf } from "../../lib/openapi/document.ts";
import { defineStream, eventColumns } from "../../lib/schema/stream.ts";

/** A stream that has every operation. Answers are those of any stream. */
const stream = defineStream({
  name: "any",
  table: pgTable("any", { ...eventColumns(), note: text("note") }),
  schema: z.strictObject({ note: z.string().optional() }),
  webhooks: { standard: { secretEnv: "ANY_SECRET", toEvent: () => ({}) } },
});

interface Operation {
  responses: Record<string, { $ref?: string; content?: Record<string, { schema: object }> }>;
}
interface Document {
  paths: Record<string, Record<string, Operation>>;
  components: { responses: Operation["responses"]; schemas: object };
}

const limits = { bodyMaxBytes: 1, eventMaxBytes: 1, eventsMax: 1 };
const document = documentOf([partOf(stream, limits)]) as unknown as Document;

/** The paths of the document, by the paths of requests. Others are of no operation. */
const PATHS: [RegExp, string][] = [
  [/^\/health$/, "/health"],
  [/^\/v1\/openapi\.json$/, "/v1/openapi.json"],
  [/^\/v1\/[^/%]+$/, "/v1/any"],
  [/^\/v1\/[^/%]+\/(?:[^/%]|%[0-9a-fA-F]{2})+$/, "/v1/any/{id}"],
  [/^\/v1\/[^/%]+\/from\/[^/%]+$/, "/v1/any/from/standard"],
];

const ajv = new Ajv2020({ strict: false, allErrors: true });
addFormats.default(ajv);
ajv.addSchema({ $id: "doc:", components: document.components });

const checks = new Map<object, ValidateFunction>();

/** The check of a body: it has no member that the document does not name. */
function checkOf(schema: object): ValidateFunction {
  const text = JSON.stringify(schema).replaceAll('"#/', '"doc:#/');
  const check =
    checks.get(schema) ?? ajv.compile({ allOf: [JSON.parse(text)], unevaluatedProperties: false });
  checks.set(schema, check);
  return check;
}

interface Answered {
  status: number;
  headers: Headers;
  body: unknown;
}

/** Expects that an answer is one of those that the document names. A path or method of no operation says nothing. */
export function expectDocumented(method: string, url: string, { status, headers, body }: Answered): void {
  const path = PATHS.find(([shape]) => shape.test(url.split("?")[0] ?? ""))?.[1];
  const operation = document.paths[path ?? ""]?.[method.toLowerCase()];
  if (operation === undefined || status === 204 || status === 304) return;
  const named = `${method} ${path} ${status}`;
  const given = operation.responses[status];
  expect(given, `${named} is documented`).toBeDefined();
  const response = given?.$ref ? document.components.responses[given.$ref.split("/").at(-1) ?? ""] : given;
  const type = headers.get("content-type") ?? "";
  const schema = response?.content?.[type]?.schema;
  expect(schema, `${named} ${type} is documented`).toBeDefined();
  if (schema === undefined || path === "/v1/openapi.json") return;
  const check = checkOf(schema);
  check(body);
  expect({ answer: [named, body], errors: check.errors }).toEqual({ answer: [named, body], errors: null });
}
