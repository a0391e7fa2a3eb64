/**
 * Holds an answer against the OpenAPI document of ingest, or of the supervisor: its status, its media type, its body to the last member, and
 * its code are those of its operation. Every test that sends through serveIngest does so with each answer.
 */
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { pgTable, text } from "drizzle-orm/pg-core";
import { expect } from "vitest";
import { z } from "zod";
import { documentOf, partOf } from "../../lib/openapi/document.ts";
import { supervisorDocument } from "../../lib/openapi/supervisor-document.ts";
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
  components: { responses?: Operation["responses"]; schemas: Record<string, object> };
}

interface Answered {
  status: number;
  headers: Headers;
  body: unknown;
}

/** Makes the check of a document's answers. `shapes`: its paths, by the paths of requests. */
function checkerOf(document: Document, shapes: readonly [RegExp, string][]) {
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

  /** Expects that an answer is one of those that the document names. A path or method of no operation says nothing. */
  function expectDocumented(method: string, url: string, { status, headers, body }: Answered): void {
    const [asked = ""] = url.split("?");
    if (!canBeDecoded(asked)) return;
    const path = shapes.find(([shape]) => shape.test(asked))?.[1];
    const operation = document.paths[path ?? ""]?.[method.toLowerCase()];
    if (operation === undefined || status === 204 || status === 304) return;
    const named = `${method} ${path} ${status}`;
    const given = operation.responses[status];
    expect(given, `${named} is documented`).toBeDefined();
    const shared = document.components.responses ?? {};
    const response = given?.$ref ? shared[given.$ref.split("/").at(-1) ?? ""] : given;
    const type = headers.get("content-type") ?? "";
    const schema = response?.content?.[type]?.schema;
    expect(schema, `${named} ${type} is documented`).toBeDefined();
    if (schema === undefined || path?.endsWith("/openapi.json")) return;
    const check = checkOf(schema);
    const bodies = type === "application/x-ndjson" ? (body as unknown[]) : [body];
    for (const one of bodies) {
      check(one);
      expect({ answer: [named, one], errors: check.errors }).toEqual({ answer: [named, one], errors: null });
    }
  }
  return expectDocumented;
}

function canBeDecoded(path: string): boolean {
  try {
    return decodeURIComponent(path) !== undefined;
  } catch {
    return false;
  }
}

const limits = { bodyMaxBytes: 1, eventMaxBytes: 1, eventsMax: 1 };

/** Expects that an answer of ingest is documented. */
export const expectDocumented = checkerOf(documentOf([partOf(stream, limits)]) as unknown as Document, [
  [/^\/health$/, "/health"],
  [/^\/v1\/openapi\.json$/, "/v1/openapi.json"],
  [/^\/v1\/[^/%]+$/, "/v1/any"],
  [/^\/v1\/[^/%]+\/(?:[^/%]|%[0-9a-fA-F]{2})+$/, "/v1/any/{id}"],
  [/^\/v1\/[^/%]+\/from\/[^/%]+$/, "/v1/any/from/standard"],
]);

/** The schemas of answers are open, for later members. Here each object has the members that it names, and no others, at any depth. */
function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed);
  if (typeof schema !== "object" || schema === null) return schema;
  const parts = Object.fromEntries(Object.entries(schema).map(([name, part]) => [name, closed(part)]));
  return "properties" in parts ? { additionalProperties: false, ...parts } : parts;
}

function supervisorChecker() {
  const { paths, components } = supervisorDocument() as unknown as Document;
  const { Problem, ...schemas } = components.schemas;
  const all = { ...(closed(schemas) as Document["components"]["schemas"]), ...(Problem && { Problem }) };
  const names = Object.keys(paths).sort((a, b) => Number(a.includes("{")) - Number(b.includes("{")));
  const shapes = names.map((path): [RegExp, string] => [
    new RegExp(`^${path.replaceAll(".", "\\.").replaceAll(/\{\w+\}/g, "[^/]*")}$`),
    path,
  ]);
  return checkerOf({ paths, components: { schemas: all } }, shapes);
}

/** Expects that an answer of the supervisor is documented. The body of lines is a list of them. */
export const expectSupervisorDocumented = supervisorChecker();

/** Asks a supervisor for JSON, or for text, and expects that the answer is documented. */
export async function askSupervisor(url: string, path: string, init: RequestInit = {}) {
  const response = await fetch(`${url}${path}`, init);
  const { status, headers } = response;
  const isText = headers.get("content-type")?.startsWith("text/") === true;
  // biome-ignore lint/suspicious/noExplicitAny: a test looks into whatever was answered
  const answer = { status, headers, body: (await (isText ? response.text() : response.json())) as any };
  expectSupervisorDocumented(init.method ?? "GET", path, answer);
  return answer;
}
