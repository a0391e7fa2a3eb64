/** The operations of one stream. */
import { ingestPaths } from "../contract/paths.ts";
import type { Stream } from "../schema/stream.ts";
import { ANSWER_HEADERS, type Json, ref, SECRET_KEY } from "./components.ts";
import { answersOf, examplesOf } from "./examples.ts";
import { type Limits, requestBodyOf } from "./request-body.ts";
import { answer, problemsOf } from "./responses.ts";

/** The paths of a stream. `data`: the schema of its CloudEvents' data, if an event is those. */
export function pathsOf(stream: Stream, limits: Limits, data: Json | undefined): Json {
  const { name } = stream;
  const path = (template: string) => template.replace("{stream}", name);
  return {
    [path(ingestPaths.stream)]: { post: sendOperation(stream, limits, data), get: findManyOperation(stream) },
    [path(ingestPaths.event)]: { get: findOperation(stream) },
    ...Object.fromEntries(
      [...stream.webhooks.keys()].map((source) => [
        path(ingestPaths.webhook).replace("{source}", source),
        { post: deliverOperation(name, source) },
      ]),
    ),
  };
}

function sendOperation(stream: Stream, limits: Limits, data: Json | undefined): Json {
  const { name, ack } = stream;
  const examples = examplesOf(stream);
  const isStored = ack === "stored";
  return {
    operationId: `send_${name}`,
    tags: [name],
    summary: `Sends events of ${name}`,
    description: promiseOf(stream),
    security: isStored ? SECRET_KEY : [...SECRET_KEY, { PublicKey: [] }],
    parameters: ["Ack", "IdempotencyKey", "ContentEncoding"].map((one) => ref("parameters", one)),
    requestBody: requestBodyOf(name, limits, examples, data),
    responses: {
      201: answer("Postgres has the accepted events.", "Accepted", {
        examples: answersOf(examples, "stored"),
      }),
      ...(isStored
        ? {}
        : {
            202: answer("Redis has the accepted events.", "Accepted", {
              examples: answersOf(examples, "buffered"),
            }),
          }),
      ...problemsOf("send"),
    },
  };
}

/** How the stream keeps its events. */
function promiseOf({ ack, key }: Stream): string {
  const level =
    ack === "stored"
      ? "Each event is stored before the answer: 201 is its only good one."
      : "202 once Redis has the events; 201 if Postgres has them, because that was asked for or Redis is away.";
  const fields = key.fields.join(", ");
  if (key.newest !== undefined)
    return `${level} Of each ${fields}, the event with the newest ${key.newest} stays.`;
  return key.isId
    ? `${level} An event with an id that is stored already is not stored again.`
    : `${level} An event whose ${fields} is stored already is not stored again.`;
}

const findOperation = ({ name }: Stream): Json => ({
  operationId: `find_${name}`,
  tags: [name],
  summary: `Says where an event of ${name} is`,
  security: SECRET_KEY,
  parameters: [ref("parameters", "Id"), ref("parameters", "Source")],
  responses: { 200: answer("It is in Postgres.", "Found"), ...problemsOf("find") },
});

const findManyOperation = ({ name }: Stream): Json => ({
  operationId: `findMany_${name}`,
  tags: [name],
  summary: `Says where several events of ${name} are`,
  security: SECRET_KEY,
  parameters: [ref("parameters", "Ids"), ref("parameters", "Source")],
  responses: { 200: answer("Where each is, in the order asked.", "Whereabouts"), ...problemsOf("findMany") },
});

const deliverOperation = (name: string, source: string): Json => ({
  operationId: `deliver_${name}_${source}`,
  tags: [name],
  summary: `Takes the webhooks of ${source}`,
  description: "Signed by its sender in place of a key. Once the signature holds, the answer is never a 4xx.",
  security: [],
  requestBody: { required: true, content: { "application/json": { schema: {} } } },
  responses: {
    200: answer("No event follows from it.", "Undelivered", { headers: ANSWER_HEADERS }),
    201: answer("Postgres has the event.", "Delivered", { headers: ANSWER_HEADERS }),
    202: answer("Redis has the event, or it is a dead letter.", "Delivered", { headers: ANSWER_HEADERS }),
    ...problemsOf("deliver"),
  },
});
