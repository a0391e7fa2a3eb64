/**
 * The JSON bodies of ingest's answers, as JSON schemas. A body may get further members later, so a program ignores those that it does
 * not know. test/integration/openapi-answers.test.ts holds real answers against these schemas.
 */

const uuid = { type: "string", format: "uuid" } as const;
const errors = {
  description: "At most 20, each with its path in what was sent.",
  type: "array",
  minItems: 1,
  items: {
    type: "object",
    properties: {
      path: { description: 'The field, its parts joined by dots; "" for the event itself.', type: "string" },
      message: { type: "string" },
    },
    required: ["path", "message"],
  },
} as const;
const more = { description: "How many further errors are left out.", type: "integer", minimum: 1 } as const;
const index = {
  description: "The event's place in the request, from 0.",
  type: "integer",
  minimum: 0,
} as const;
const line = { description: "In NDJSON: its line, from 1.", type: "integer", minimum: 1 } as const;
const code = {
  description: "Absent: the event is invalid.",
  type: "string",
  enum: ["event-too-large", "refused-by-database"],
} as const;

const rejected = {
  description: "The events that were not accepted. The others were.",
  type: "array",
  minItems: 1,
  items: {
    type: "object",
    properties: { index, line, code, errors, more },
    required: ["index", "errors"],
  },
} as const;

/** 202 and 201. */
export const acceptedBody = {
  type: "object",
  properties: {
    accepted: { description: "How many events were accepted.", type: "integer", minimum: 1 },
    ids: {
      description: "The row ids of the accepted events, in the order of the request.",
      type: "array",
      minItems: 1,
      items: uuid,
    },
    ack: {
      description: "buffered: Redis has the events. stored: Postgres has them.",
      type: "string",
      enum: ["buffered", "stored"],
    },
    duplicates: {
      description: "Of these ids, an event of another request was stored before.",
      type: "array",
      minItems: 1,
      items: uuid,
    },
    superseded: {
      description: "Of these ids, the event is not stored, because a newer one of its key is.",
      type: "array",
      minItems: 1,
      items: uuid,
    },
    rejected,
  },
  required: ["accepted", "ids", "ack"],
} as const;

/** 202 and 201 of a webhook whose signature holds. */
export const deliveredBody = {
  ...acceptedBody,
  properties: {
    ...acceptedBody.properties,
    deadLetter: { description: "Why the delivery is kept as a dead letter.", type: "string" },
  },
} as const;

/** 200 of a webhook from which no event follows. */
export const undeliveredBody = {
  type: "object",
  properties: {
    ignored: { description: "The stream has no use for this delivery.", type: "boolean" },
    challenge: { description: "Slack's question, answered.", type: "string" },
  },
} as const;

const id = { description: "The row's id.", type: "string" } as const;

/** 200 of a look-up of one event. */
export const foundBody = {
  type: "object",
  properties: { id, status: { type: "string", enum: ["stored", "dead"] } },
  required: ["id", "status"],
} as const;

/** 404 of a look-up of one event. */
export const unknownEventBody = {
  type: "object",
  properties: {
    id,
    status: { type: "string", const: "unknown" },
    detail: { description: "How this may be.", type: "string" },
  },
  required: ["id", "status", "detail"],
} as const;

/** 200 of a look-up of several events. */
export const whereaboutsBody = {
  type: "object",
  properties: {
    events: {
      description: "In the order asked.",
      type: "array",
      items: {
        type: "object",
        properties: { id, status: { type: "string", enum: ["stored", "dead", "unknown"] } },
        required: ["id", "status"],
      },
    },
    detail: { description: "Why the status can't be told.", type: "string" },
  },
  required: ["events"],
} as const;

/** 200 of /health. */
export const healthBody = {
  type: "object",
  properties: { status: { type: "string", const: "ok" } },
  required: ["status"],
} as const;

/** Every error: application/problem+json (RFC 9457). */
export const problemBody = {
  type: "object",
  properties: {
    type: { description: "Opens the problem's row in the documentation.", type: "string", format: "uri" },
    title: { type: "string" },
    status: { type: "integer", minimum: 400, maximum: 599 },
    code: { description: "Branch on this: it is stable.", type: "string" },
    detail: { description: "For people; it may change.", type: "string" },
    errors: {
      description: "Each error of each event.",
      type: "array",
      minItems: 1,
      items: {
        ...errors.items,
        properties: { index, line, code, ...errors.items.properties },
      },
    },
    more,
    ids: {
      description:
        "Send the events again with these, each as the id of its event: then none is stored twice.",
      type: "array",
      minItems: 1,
      items: { type: ["string", "integer"] },
    },
    rejected,
    streams: {
      description: "Streams that the key may use.",
      type: "array",
      items: { type: "string" },
    },
    moreStreams: { description: "How many further ones there are.", type: "integer", minimum: 1 },
  },
  required: ["type", "title", "status", "code", "detail"],
} as const;
