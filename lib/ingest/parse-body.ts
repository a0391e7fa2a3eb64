/**
 * Parses a body into its events, by media type, as its bytes come: JSON, NDJSON, CloudEvents (structured, batched, binary). Each
 * event is parsed alone, after `split-events.ts` has found it small and flat enough. This file checks only the body's syntax and
 * the form of a CloudEvent. `admit.ts` checks whether an event fits its stream.
 */
import { isUtf8 } from "node:buffer";
import type { Stream } from "../schema/stream.ts";
import { mayHoldUnsafeText, NESTING_MAX } from "../schema/unsafe-json.ts";
import { binaryCloudEvent, structuredCloudEvent } from "./cloud-event.ts";
import type { Headers, MediaType } from "./media-type.ts";
import { BodySyntaxError, type RawEvent } from "./raw-event.ts";
import {
  type EventBytes,
  EventSplitter,
  type Framing,
  type SplitLimits,
  UNPARSED_DEPTH,
} from "./split-events.ts";

const FRAMINGS: Record<MediaType, Framing> = {
  json: "array-or-one",
  ndjson: "lines",
  cloudevent: "one",
  "cloudevent-batch": "array",
  "cloudevent-binary": "whole",
};

interface Options extends SplitLimits {
  stream: Stream;
  type: MediaType;
  headers: Headers;
}

/**
 * Parses one body. Give it each piece in order, then call `end`; after each, take all events that have come.
 *
 * @example
 * for (const piece of pieces) {
 *   parser.add(piece);
 *   for (let event = parser.next(); event; event = parser.next()) admitting.add(event);
 * }
 * parser.end();
 * const last = parser.next();
 */
export class BodyParser {
  readonly #options: Options;
  readonly #splitter: EventSplitter;
  #isEmpty = true;
  #isEnding = false;

  constructor(options: Options) {
    this.#options = options;
    this.#splitter = new EventSplitter(FRAMINGS[options.type], options);
  }

  /** Whether the body can hold several events, so that one may be rejected alone. True even if it holds one. Known at the end. */
  get isBatch(): boolean {
    return this.#splitter.isBatch;
  }

  /** Adds the next piece of the body. Of the piece before it, `next` must have returned all events. */
  add(piece: Buffer): void {
    this.#splitter.add(piece);
  }

  /** Says that the body has come to its end. */
  end(): void {
    this.#isEnding = true;
    this.#splitter.end();
  }

  /**
   * Parses the next event that has come whole; undefined: there is none. Throws BodySyntaxError if the body does not have its media
   * type's syntax or holds no event, and TooMany if it holds too many.
   */
  next(): RawEvent | undefined {
    const found = this.#splitter.next();
    if (found === undefined) {
      if (this.#isEnding && this.#isEmpty) throw new BodySyntaxError("expected at least one event, got none");
      return undefined;
    }
    this.#isEmpty = false;
    const event = this.#parsed(found);
    return this.#options.type === "ndjson" ? { ...event, line: found.line } : event;
  }

  #parsed(found: EventBytes): RawEvent {
    const { type, stream, headers } = this.#options;
    if (found.bytes === undefined) return this.#tooMuch(found);
    if (type === "cloudevent-binary") return binaryCloudEvent(stream, headers, found.bytes);
    const parsed = parseJson(found.bytes, found);
    if ("problem" in parsed) {
      if (type !== "ndjson") throw new BodySyntaxError(parsed.problem);
      return { value: undefined, needsDeepCheck: false, error: { path: "", message: parsed.problem } };
    }
    const { value, needsDeepCheck } = parsed;
    if (!this.isBatch) expectObject(value);
    return type === "cloudevent" || type === "cloudevent-batch"
      ? structuredCloudEvent(stream, value, needsDeepCheck)
      : parsed;
  }

  /** An event that was not parsed, because it is far too deep or certain to be too large. */
  #tooMuch({ depth }: EventBytes): RawEvent {
    const isTooDeep = depth > UNPARSED_DEPTH;
    const message = isTooDeep
      ? `nested deeper than ${NESTING_MAX} levels`
      : `expected at most ${this.#options.eventMaxBytes} bytes of JSON`;
    return { value: undefined, needsDeepCheck: false, error: { path: "", message }, isTooLarge: !isTooDeep };
  }
}

/** Parses one text. It is searched for unsafe values if it has a mark of one, or if a mapping could make it too deep. */
function parseJson(
  bytes: Buffer,
  { depth, hasRiskyNumber }: EventBytes,
): { value: unknown; needsDeepCheck: boolean; hasNoNull: boolean } | { problem: string } {
  const text = bytes.toString();
  // What is not UTF-8 becomes this character, which may also be meant.
  if (text.includes("\ufffd") && !isUtf8(bytes)) return { problem: "expected UTF-8 text" };
  try {
    return {
      value: JSON.parse(text),
      needsDeepCheck: depth > NESTING_MAX / 2 || hasRiskyNumber || mayHoldUnsafeText(text),
      hasNoNull: !text.includes("null"),
    };
  } catch {
    return { problem: "expected JSON" };
  }
}

function expectObject(value: unknown): void {
  if (typeof value === "object" && value !== null) return;
  throw new BodySyntaxError(`expected an object or an array, got ${value === null ? "null" : typeof value}`);
}
