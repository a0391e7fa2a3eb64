/**
 * Builds the OpenAPI 3.1 document of the supervisor's private interface. It is made from lib/contract alone, so it needs no server and no
 * stream, and is the same for every installation of a release.
 */
import type { ProblemCode } from "../contract/problems.ts";
import { ANSWER_HEADERS, type Json, RETRY_HEADERS, ref, sharedHeaders } from "./components.ts";
import { codesByStatus } from "./operations.ts";
import { comesAgain, describeCodes, schemaOfCodes } from "./responses.ts";
import type { SupervisorAnswer, SupervisorOperation } from "./supervisor-operation.ts";
import { supervisorOperations } from "./supervisor-operations.ts";
import { type SupervisorSchema, supervisorSchemas } from "./supervisor-schemas.ts";

const DESCRIPTION = `What operators ask of Spillway. It is private. Cloud Run takes a request only with an identity token of an account that may invoke the service, and refuses any other with a 401 or 403 of its own; the scheduler's and the queue's accounts may only POST /drain. Elsewhere every request but GET /health needs the operator token.

Errors are application/problem+json. Branch on \`code\`; \`type\` links to its meaning. Answers may get further members: ignore those that you do not know.`;

/** Builds the document. `server`: where the supervisor is, relative to the document or absolute. @default "/" */
export function supervisorDocument(server = "/"): Json {
  const { RequestId, RetryAfter } = sharedHeaders;
  return {
    openapi: "3.1.1",
    info: { title: "Spillway's supervisor", version: "1", description: DESCRIPTION },
    servers: [{ url: server }],
    security: [{ IdentityToken: [] }, { OperatorToken: [] }],
    paths: pathsOf(supervisorOperations),
    components: {
      schemas: supervisorSchemas(),
      headers: { RequestId, RetryAfter },
      securitySchemes: {
        IdentityToken: {
          type: "http",
          scheme: "bearer",
          bearerFormat: "JWT",
          description:
            "On Cloud Run: an identity token of Google for the service, as gcloud auth print-identity-token prints it.",
        },
        OperatorToken: {
          type: "http",
          scheme: "bearer",
          description: "Elsewhere: OPERATOR_TOKEN. A supervisor without one serves its own machine alone.",
        },
      },
    },
  };
}

function pathsOf(operations: readonly SupervisorOperation[]): Json {
  const paths: Record<string, Record<string, Json>> = {};
  for (const one of operations) paths[one.path] = { ...paths[one.path], [one.method]: operationOf(one) };
  return paths;
}

function operationOf({ id, summary, description, parameters, body, answers, problems }: SupervisorOperation) {
  return {
    operationId: id,
    summary,
    ...(description && { description }),
    ...(parameters && { parameters }),
    ...(body && {
      requestBody: { required: !body.isOptional, content: { "application/json": contentOf([body.schema]) } },
    }),
    responses: responsesOf(answers, problems),
  };
}

/** The answers by status. A status may have both a body of its own and problems. */
function responsesOf(
  answers: SupervisorOperation["answers"],
  problems: SupervisorOperation["problems"],
): Json {
  const codes = codesByStatus(problems);
  const statuses = [...new Set([...Object.keys(answers).map(Number), ...codes.keys()])];
  return Object.fromEntries(
    statuses.map((status) => [status, responseOf(answers[status], codes.get(status) ?? [])]),
  );
}

function responseOf(answer: SupervisorAnswer | undefined, codes: readonly ProblemCode[]): Json {
  return {
    description: [answer?.says, describeCodes(codes)].filter(Boolean).join(" "),
    headers: { ...ANSWER_HEADERS, ...(comesAgain(codes) ? RETRY_HEADERS : {}) },
    content: {
      ...(answer && { [answer.mediaType ?? "application/json"]: bodyOf(answer) }),
      ...(codes.length > 0 ? { "application/problem+json": { schema: schemaOfCodes(codes) } } : {}),
    },
  };
}

const bodyOf = ({ schemas, mediaType = "" }: SupervisorAnswer): Json =>
  mediaType.startsWith("text/") ? { schema: { type: "string" } } : contentOf(schemas);

function contentOf(schemas: readonly SupervisorSchema[]): Json {
  const [first, ...others] = schemas.map((name) => ref("schemas", name));
  if (first === undefined) return { schema: { type: "object" } };
  return { schema: others.length === 0 ? first : { anyOf: [first, ...others] } };
}
