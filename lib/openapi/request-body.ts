/** The body of a POST to a stream, in each media type that it may have. */
import { cloudEventSchema } from "./cloud-event-schema.ts";
import { type Json, ref } from "./components.ts";
import type { StreamExamples } from "./examples.ts";

/** The settings of an installation that the document names. */
export interface Limits {
  bodyMaxBytes: number;
  eventMaxBytes: number;
  eventsMax: number;
}

const LINES =
  "An event a line. A line that is not JSON is one rejected event; an empty line counts as a line and not as an event.";

/** Describes the body. `name`: the schema of one event. */
export function requestBodyOf(
  name: string,
  { eventsMax, bodyMaxBytes, eventMaxBytes }: Limits,
  { one, many }: StreamExamples,
  data: Json | undefined,
): Json {
  const event = ref("schemas", name);
  const anEvent = { anyOf: [event, { type: "array", minItems: 1, maxItems: eventsMax, items: event }] };
  const lines = { schema: { type: "string", description: LINES }, example: many.map(lineOf).join("") };
  const cloudEvent = cloudEventSchema(data);
  return {
    required: true,
    description: `At most ${bodyMaxBytes} bytes, also when inflated, of ${eventsMax} events, each of at most ${eventMaxBytes} bytes. Any other media type with the headers ce-specversion, ce-id, ce-source and ce-type is a CloudEvent in binary mode.`,
    content: {
      "application/json": {
        schema: anEvent,
        ...(one === undefined ? {} : { examples: { one: { value: one }, several: { value: many } } }),
      },
      "application/x-ndjson": lines,
      "application/ndjson": lines,
      "application/jsonl": lines,
      "text/plain": {
        schema: {
          type: "string",
          description: "The same as application/json: a page may send it without a preflight.",
        },
        ...(one === undefined ? {} : { example: JSON.stringify(one) }),
      },
      "application/cloudevents+json": { schema: cloudEvent },
      "application/cloudevents-batch+json": {
        schema: { type: "array", minItems: 1, maxItems: eventsMax, items: cloudEvent },
      },
    },
  };
}

const lineOf = (event: unknown): string => `${JSON.stringify(event)}\n`;
