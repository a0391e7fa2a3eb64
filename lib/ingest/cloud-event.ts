/**
 * Reads CloudEvents 1.0 and turns each into an event of its stream. Extensions are not read, so none can refuse an event. Each error
 * has the path that the sender wrote.
 */
import type { CloudEvent } from "../schema/cloud-event.ts";
import { isUnguessableUuid } from "../schema/event-ids.ts";
import type { InputError } from "../schema/input-error.ts";
import type { Stream } from "../schema/stream.ts";
import { bytesAsText, type Data, dataOfBytes, type ReadData } from "./cloud-event-data.ts";
import { attributesOf } from "./cloud-event-headers.ts";
import type { Headers } from "./media-type.ts";
import { BodySyntaxError, errorOfStream, type RawEvent } from "./raw-event.ts";

/** The raw id of a CloudEvent. CloudEvents promises that source and id together are unique; a UUID of version 4 or 7 is unique by
 * itself. */
export const cloudEventRawId = (source: string, id: string): string =>
  isUnguessableUuid(id) ? id : JSON.stringify([source, id]);

/**
 * Reads a CloudEvent in binary mode: its attributes from headers, its data from the body. Throws BodySyntaxError if the body is
 * not the JSON that its Content-Type promises.
 */
export function binaryCloudEvent(stream: Stream, headers: Headers, body: Uint8Array): RawEvent {
  const datacontenttype = String(headers["content-type"] ?? "") || undefined;
  const data = dataOfBytes(body, datacontenttype);
  if ("refusal" in data) {
    if (data.isTooDeep) return refusedEvent({ path: "data", message: data.refusal });
    throw new BodySyntaxError(data.refusal);
  }
  const read = attributesOf(headers);
  const error = "error" in read ? read.error : errorOfAttributes(read.attributes);
  if ("error" in read || error) return refusedEvent(error);
  // A header can spell any character.
  return eventOfStream(stream, { ...read.attributes, datacontenttype }, { ...data, needsDeepCheck: true });
}

/**
 * Reads a CloudEvent in the JSON format: a structured one, or an item of a batch. `needsDeepCheck` says whether the text that
 * `value` was parsed from may hold an unsafe value.
 */
export function structuredCloudEvent(stream: Stream, value: unknown, needsDeepCheck: boolean): RawEvent {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return refusedEvent({ path: "", message: "expected a CloudEvent" });
  const event = value as Record<string, unknown>;
  const error = errorOfAttributes(event);
  if (error) return refusedEvent(error);
  const data = dataOf(event, needsDeepCheck);
  if ("refusal" in data) return refusedEvent({ path: "data_base64", message: data.refusal });
  return eventOfStream(stream, event, data);
}

const refusedEvent = (error: InputError | undefined): RawEvent => ({
  value: undefined,
  needsDeepCheck: false,
  error,
});

/** Finds the first attribute that is missing or of a wrong type. Null is unset. */
function errorOfAttributes(event: Record<string, unknown>): InputError | undefined {
  if (event.specversion !== "1.0")
    return { path: "specversion", message: `expected "1.0"${got(event.specversion)}` };
  for (const name of ["id", "source", "type"])
    if (typeof event[name] !== "string" || event[name] === "")
      return { path: name, message: "expected a non-empty string" };
  for (const name of ["subject", "time", "datacontenttype"])
    if (!isUnset(event[name]) && typeof event[name] !== "string")
      return { path: name, message: "expected a string" };
  return undefined;
}

const isUnset = (value: unknown): boolean => value === undefined || value === null;

/** Names another version; whatever is no version is not repeated. */
const got = (version: unknown): string =>
  typeof version === "string" && /^[\d.]{1,9}$/.test(version) ? `, got "${version}"` : "";

/** Finds the data of an event in the JSON format. */
function dataOf(event: Record<string, unknown>, needsDeepCheck: boolean): Data {
  const { data, data_base64: base64, datacontenttype } = event;
  if (isUnset(base64)) return { value: data, needsDeepCheck };
  if (!isUnset(data)) return { refusal: "expected data or data_base64, got both" };
  const bytes = typeof base64 === "string" ? Buffer.from(base64, "base64") : undefined;
  if (bytes === undefined || bytes.toString("base64") !== base64) return { refusal: "expected base64" };
  // The JSON format assumes nothing of bytes without a media type, though of `data` it does.
  if (typeof datacontenttype !== "string" || datacontenttype === "") return bytesAsText(bytes, undefined);
  const read = dataOfBytes(bytes, datacontenttype);
  return "refusal" in read ? read : { ...read, needsDeepCheck: true }; // the body's depth is not that of these data
}

/** Turns a CloudEvent, whose attributes are checked, into an event of its stream. */
function eventOfStream(stream: Stream, attributes: Record<string, unknown>, data: ReadData): RawEvent {
  const event = cloudEventOf(attributes, data.value);
  const isData = stream.pathInCloudEvent("") === "data";
  if (isData && data.isBytes)
    return refusedEvent({ path: "data", message: "expected JSON, got other bytes" });
  try {
    return {
      rawId: cloudEventRawId(event.source, event.id),
      sentId: event.id,
      value: stream.fromCloudEvent(event),
      needsDeepCheck: data.needsDeepCheck,
      pathAsSent: stream.pathInCloudEvent,
    };
  } catch (error) {
    const { message } = errorOfStream(error);
    return { ...refusedEvent({ path: "data", message }), threw: true };
  }
}

function cloudEventOf(attributes: Record<string, unknown>, data: unknown): CloudEvent {
  const { id, source, type, subject, time, datacontenttype } = attributes as unknown as CloudEvent;
  const optional = {
    subject: subject ?? undefined,
    time: time ?? undefined,
    datacontenttype: datacontenttype ?? undefined,
  };
  return { id, source, type, ...optional, data };
}
