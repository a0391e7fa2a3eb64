/** Reads CloudEvents 1.0: the `ce-*` headers of the binary mode, and how an event of its stream is made of a CloudEvent. */
import { isUnguessableUuid } from "../schema/event-ids.ts";
import type { InputError } from "../schema/input-error.ts";
import type { CloudEvent, Stream } from "../schema/stream.ts";
import type { Headers } from "./media-type.ts";
import { BodySyntaxError, type RawEvent } from "./raw-event.ts";

/** Reads the attributes of a CloudEvent in binary mode: the `ce-*` headers, in percent-encoded UTF-8. */
export function attributesOf(headers: Headers): Record<string, string> {
  const attributes = Object.entries(headers).filter(([name]) => name.startsWith("ce-"));
  return Object.fromEntries(
    attributes.map(([name, value]) => {
      try {
        return [name.slice(3), decodeURIComponent(String(value))];
      } catch {
        throw new BodySyntaxError(`expected percent-encoded UTF-8 in the header ${name}`);
      }
    }),
  );
}

/**
 * Turns a CloudEvent into an event of its stream. CloudEvents promises that source and id together are unique. So if the id
 * is not a UUID of version 4 or 7, the event's raw id is made of both.
 */
export function fromCloudEvent(stream: Stream, value: unknown, needsDeepCheck: boolean): RawEvent {
  const error = errorOfCloudEvent(value);
  if (error) return { value, needsDeepCheck, error };
  const event = value as CloudEvent;
  return {
    rawId: isUnguessableUuid(event.id) ? event.id : JSON.stringify([event.source, event.id]),
    sentId: event.id,
    value: stream.fromCloudEvent(event),
    needsDeepCheck,
  };
}

function errorOfCloudEvent(value: unknown): InputError | undefined {
  if (typeof value !== "object" || value === null) return { path: "", message: "expected a CloudEvent" };
  const event = value as Record<string, unknown>;
  if (event.specversion !== "1.0") return { path: "specversion", message: 'expected "1.0"' };
  for (const name of ["id", "source", "type"])
    if (typeof event[name] !== "string" || event[name] === "")
      return { path: name, message: "expected a non-empty string" };
  for (const name of ["subject", "time"])
    if (event[name] !== undefined && typeof event[name] !== "string")
      return { path: name, message: "expected a string" };
  if (event.data_base64 !== undefined)
    return { path: "data_base64", message: "expected JSON in data; base64 is not accepted" };
  return undefined;
}
