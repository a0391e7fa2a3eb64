/**
 * Parses a body into its events, by media type: JSON, NDJSON, CloudEvents (structured, batched, binary). This file checks
 * only the body's syntax and the form of a CloudEvent. `admit.ts` checks whether an event fits its stream.
 */

import { isUuid } from "../schema/event-ids.ts";
import type { InputError } from "../schema/input-error.ts";
import type { CloudEvent, Stream } from "../schema/stream.ts";
import { hasUnsafeMarks } from "./unsafe-json.ts";

/** One event as the client sent it, parsed but not yet checked. */
export interface RawEvent {
  /** The client's id, if the media type has a place for it outside the event (CloudEvents). */
  rawId?: string | undefined;
  value: unknown;
  /** Whether the text may hold an unsafe value, so that `findUnsafeValue` must look. */
  needsDeepCheck: boolean;
  /** An error in the form of a CloudEvent. */
  error?: InputError;
}

export interface ParsedBody {
  events: RawEvent[];
  /** Whether the body can hold several events, so that one may be rejected alone. True even if it holds one. */
  isBatch: boolean;
}

/** The body's syntax is wrong. The answer is a 400 with this message. */
export class BodySyntaxError extends Error {
  override name = "BodySyntaxError";
}

export type MediaType = "json" | "ndjson" | "cloudevent" | "cloudevent-batch" | "cloudevent-binary";

/** Request headers as Node gives them, with lower-case names. */
export type Headers = Readonly<Record<string, string | string[] | undefined>>;

const MEDIA_TYPES: Record<string, MediaType> = {
  "application/json": "json",
  "application/x-ndjson": "ndjson",
  "application/cloudevents+json": "cloudevent",
  "application/cloudevents-batch+json": "cloudevent-batch",
};

/** Finds the media type of a request; undefined: it is not accepted (415). */
export function mediaTypeOf(headers: Headers): MediaType | undefined {
  const [type = "", ...parameters] = String(headers["content-type"] ?? "")
    .toLowerCase()
    .split(";")
    .map((part) => part.trim());
  const charset = parameters.find((one) => one.startsWith("charset="))?.slice("charset=".length);
  if (charset !== undefined && !/^"?utf-?8"?$/.test(charset)) return undefined;
  if (headers["ce-specversion"] !== undefined) return isJson(type) ? "cloudevent-binary" : undefined;
  return MEDIA_TYPES[type];
}

const isJson = (type: string) => type === "application/json" || /^application\/[\w.-]+\+json$/.test(type);

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** The body holds too many events. The answer is a 413. */
export class TooMany extends Error {
  override name = "TooMany";
}

/**
 * Parses a body of at most `eventsMax` events. Throws BodySyntaxError if the body does not have its media type's syntax, or
 * holds no event. Throws TooMany if it holds more events; NDJSON lines over the limit are then not parsed.
 */
export function parseBody(
  stream: Stream,
  type: MediaType,
  headers: Headers,
  body: Uint8Array,
  eventsMax: number,
): ParsedBody {
  const text = decode(body);
  const parsed = parseText(stream, type, headers, text, eventsMax);
  if (parsed.events.length === 0) throw new BodySyntaxError("expected at least one event, got none");
  return parsed;
}

function decode(body: Uint8Array): string {
  try {
    return utf8.decode(body);
  } catch {
    throw new BodySyntaxError("expected UTF-8 text");
  }
}

function parseText(
  stream: Stream,
  type: MediaType,
  headers: Headers,
  text: string,
  eventsMax: number,
): ParsedBody {
  const needsDeepCheck = hasUnsafeMarks(text);
  switch (type) {
    case "json": {
      const value = parseJson(text);
      return Array.isArray(value)
        ? { events: atMost(eventsMax, value).map((one) => ({ value: one, needsDeepCheck })), isBatch: true }
        : { events: [{ value: objectOf(value), needsDeepCheck }], isBatch: false };
    }
    case "ndjson":
      return { events: parseLines(text, eventsMax), isBatch: true };
    case "cloudevent":
      return { events: [fromCloudEvent(stream, objectOf(parseJson(text)), needsDeepCheck)], isBatch: false };
    case "cloudevent-batch": {
      const value = parseJson(text);
      if (!Array.isArray(value)) throw new BodySyntaxError("expected an array of CloudEvents");
      return {
        events: atMost(eventsMax, value).map((one) => fromCloudEvent(stream, one, needsDeepCheck)),
        isBatch: true,
      };
    }
    case "cloudevent-binary": {
      const data = parseJson(text);
      return {
        events: [fromCloudEvent(stream, { ...attributesOf(headers), data }, true)],
        isBatch: false,
      };
    }
  }
}

function parseJson(text: string, where = ""): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new BodySyntaxError(`expected JSON${where}`);
  }
}

function objectOf(value: unknown): object {
  if (typeof value !== "object" || value === null)
    throw new BodySyntaxError(
      `expected an object or an array, got ${value === null ? "null" : typeof value}`,
    );
  return value;
}

function atMost<T>(eventsMax: number, events: readonly T[]): readonly T[] {
  if (events.length > eventsMax) throw tooMany(eventsMax);
  return events;
}

const tooMany = (eventsMax: number) => new TooMany(`expected at most ${eventsMax} events`);

/** Parses one event from each line, and skips blank lines. */
function parseLines(text: string, eventsMax: number): RawEvent[] {
  const events: RawEvent[] = [];
  let number = 0;
  for (let start = 0; start < text.length; ) {
    const newline = text.indexOf("\n", start);
    const end = newline === -1 ? text.length : newline;
    const line = text.slice(start, end).trim();
    start = end + 1;
    number += 1;
    if (line === "") continue;
    if (events.length === eventsMax) throw tooMany(eventsMax);
    events.push({ value: parseJson(line, ` on line ${number}`), needsDeepCheck: hasUnsafeMarks(line) });
  }
  return events;
}

/** Reads the attributes of a CloudEvent in binary mode: the `ce-*` headers, in percent-encoded UTF-8. */
function attributesOf(headers: Headers): Record<string, string> {
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
 * is not a UUID, the event's raw id is made of both.
 */
function fromCloudEvent(stream: Stream, value: unknown, needsDeepCheck: boolean): RawEvent {
  const error = errorOfCloudEvent(value);
  if (error) return { value, needsDeepCheck, error };
  const event = value as CloudEvent;
  return {
    rawId: isUuid(event.id) ? event.id : JSON.stringify([event.source, event.id]),
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
