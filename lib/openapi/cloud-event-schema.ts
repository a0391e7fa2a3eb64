/** A CloudEvent 1.0 in the JSON format, as ingest reads it. */
import type { Json } from "./components.ts";

const given = { type: "string", minLength: 1 };
const maybe = { type: ["string", "null"] };

/** Describes a CloudEvent. `data`: the schema of its data; undefined: the stream makes its event of the whole CloudEvent. */
export const cloudEventSchema = (data: Json | undefined): Json => ({
  type: "object",
  properties: {
    specversion: { type: "string", const: "1.0" },
    id: { ...given, description: "Unique together with source." },
    source: given,
    type: given,
    subject: maybe,
    time: maybe,
    datacontenttype: maybe,
    data: data === undefined ? {} : { anyOf: [data, { type: "null" }] },
    data_base64: { ...maybe, description: "In place of data." },
  },
  required: ["specversion", "id", "source", "type"],
});
