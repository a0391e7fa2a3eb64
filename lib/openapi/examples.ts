/** Examples of a stream's requests and answers. Each request's event passes the door, and the errors are the door's own. */

import { type Example, errorsOfExample, exampleOf } from "../schema/example.ts";
import type { InputError } from "../schema/input-error.ts";
import type { Stream } from "../schema/stream.ts";
import type { Json } from "./components.ts";

export interface StreamExamples {
  /** An event; undefined: the stream has no example. */
  one: Example | undefined;
  /** Two events. */
  many: readonly Example[];
  /** An event that is refused, and why; undefined: none is known. */
  refused: { event: Example; errors: readonly InputError[] } | undefined;
}

/** Finds the examples of a stream. */
export function examplesOf(stream: Stream): StreamExamples {
  const many = [0, 1].map((i) => exampleOf(stream, i)).filter((one) => one !== undefined);
  const [one] = many;
  return { one, many, refused: one && refusedOf(stream, one) };
}

/** The event without the first field that must be there. */
function refusedOf(stream: Stream, example: Example): StreamExamples["refused"] {
  for (const field of Object.keys(example)) {
    const { [field]: _, ...event } = example;
    const errors = errorsOfExample(stream, event);
    if (errors.length > 0) return { event, errors };
  }
  return undefined;
}

const ID = "019ab5f2-7c3e-7b1a-9d2f-3c5a8e0b6d41";

/** Examples of a good answer: to one event, and to two of which the second is refused. */
export function answersOf({ refused }: StreamExamples, ack: "buffered" | "stored"): Json {
  const accepted = { accepted: 1, ids: [ID], ack };
  const partial = { ...accepted, rejected: [{ index: 1, errors: refused?.errors }] };
  return {
    all: { summary: "Every event is accepted", value: accepted },
    ...(refused && { some: { summary: "One of two events is rejected", value: partial } }),
  };
}
