/** The answers of operations: the problems of each status, with their codes. */
import { type ProblemCode, problems } from "../contract/problems.ts";
import { ANSWER_HEADERS, type Json, KEY_HEADERS, RETRY_HEADERS, ref } from "./components.ts";
import { codesByStatus, type OperationName, operationProblems } from "./operations.ts";

/** Operations that need no key. */
const KEYLESS = new Set<OperationName>(["health", "deliver"]);

const nameOf = (operation: OperationName, status: number): string =>
  `${operation[0]?.toUpperCase()}${operation.slice(1)}${status}`;

/** The problem answers of one operation, by status. */
export const problemsOf = (operation: OperationName): Json =>
  Object.fromEntries(
    [...codesByStatus(operationProblems[operation]).keys()].map((status) => [
      String(status),
      ref("responses", nameOf(operation, status)),
    ]),
  );

function problemResponse(operation: OperationName, status: number, codes: readonly ProblemCode[]): Json {
  return {
    description: describeCodes(codes),
    headers: {
      ...(KEYLESS.has(operation) ? ANSWER_HEADERS : KEY_HEADERS),
      ...(comesAgain(codes) || (operation === "find" && status === 404) ? RETRY_HEADERS : {}),
      ...(status === 401 ? { "www-authenticate": ref("headers", "Authenticate") } : {}),
    },
    content: {
      "application/problem+json": { schema: schemaOfCodes(codes) },
      ...(operation === "find" && status === 404 ? UNKNOWN_EVENT : {}),
    },
  };
}

/** A look-up's own 404 is no problem: the event may still be buffered. */
const UNKNOWN_EVENT: Json = { "application/json": { schema: ref("schemas", "UnknownEvent") } };

/** Whether one of them passes by itself, so that its answer has Retry-After. */
export const comesAgain = (codes: readonly ProblemCode[]): boolean =>
  codes.some((code) => problems[code].again === "later");

export const describeCodes = (codes: readonly ProblemCode[]): string =>
  codes.map((code) => `${problems[code].title} (${code}).`).join(" ");

/** The schema of a problem with one of these codes. */
export const schemaOfCodes = (codes: readonly ProblemCode[]): Json => ({
  allOf: [
    ref("schemas", "Problem"),
    { type: "object", properties: { code: { type: "string", enum: codes } }, required: ["code"] },
  ],
});

/** Every problem answer of every operation, by name. */
export const problemResponses: Json = Object.fromEntries(
  (Object.keys(operationProblems) as OperationName[]).flatMap((operation) =>
    [...codesByStatus(operationProblems[operation])].map(([status, codes]) => [
      nameOf(operation, status),
      problemResponse(operation, status, codes),
    ]),
  ),
);

/** A good answer, with the schema of its body. */
export const answer = (
  description: string,
  schema: string,
  { headers = KEY_HEADERS, examples }: { headers?: Json; examples?: Json } = {},
): Json => ({
  description,
  headers,
  content: { "application/json": { schema: ref("schemas", schema), ...(examples && { examples }) } },
});
