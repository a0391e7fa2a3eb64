/**
 * Parses a body into its events, by media type: JSON, NDJSON, CloudEvents (structured, batched, binary). This file checks
 * only the body's syntax and the form of a CloudEvent. `admit.ts` checks whether an event fits its stream.
 */
import type { Stream } from "../schema/stream.ts";
import { attributesOf, fromCloudEvent } from "./cloud-event.ts";
import type { Headers, MediaType } from "./media-type.ts";
import { BodySyntaxError, type RawEvent } from "./raw-event.ts";
import { hasUnsafeMarks } from "./unsafe-json.ts";

export interface ParsedBody {
  events: RawEvent[];
  /** Whether the body can hold several events, so that one may be rejected alone. True even if it holds one. */
  isBatch: boolean;
}

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
