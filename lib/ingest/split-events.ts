/**
 * Splits a body into its events, on its bytes, as they come, before anything is parsed. So a body that is too deep, too large or
 * has too many events is known by a look at each byte, and costs neither memory nor a long stall: JSON.parse makes 270 MB of an
 * 8 MB body of brackets, and stops the process for seconds.
 *
 * An event's text is checked later, by JSON.parse. The splits are right for every valid body: a comma or a bracket that is
 * outside of strings and at the outer depth ends an event. If each event's text is valid JSON, so is the body.
 */
import { GatheredBytes } from "../flow/gathered-bytes.ts";
import { BodySyntaxError, TooMany } from "./raw-event.ts";

/**
 * How a body holds its events. `array-or-one`: an array holds several, anything else is one event. `lines`: one a line. `whole`: the
 * body is one event's data, of any kind, and may be empty.
 */
export type Framing = "array-or-one" | "array" | "one" | "lines" | "whole";

export interface SplitLimits {
  eventsMax: number;
  /** The most bytes of one event as JSON. */
  eventMaxBytes: number;
}

/** One event's bytes, not yet parsed. */
export interface EventBytes {
  /** undefined: the event is too large or too deep, so its bytes were not kept. */
  bytes: Buffer | undefined;
  /** Levels of objects and arrays. */
  depth: number;
  /** Whether it has a number that JSON.parse may change: 16 digits in a row, or an exponent. */
  hasRiskyNumber: boolean;
  /** The line on which it begins, from 1, for `lines`; else 0. */
  line: number;
}

/** Levels at which an event is not parsed. It is far above what is accepted, so that a usual mistake gets its path. */
export const UNPARSED_DEPTH = 1000;
/** A character that takes one byte as JSON can be spelt with six: `\u0061`. */
const SPELLING_FACTOR = 6;
/** Beyond that, for what is not the event itself: its id, the attributes of a CloudEvent. */
const EXTRA_BYTES = 16_384;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const NEWLINE = 0x0a;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const DIGIT_0 = 0x30;
const DIGIT_9 = 0x39;
const LARGE_E = 0x45;
const SMALL_E = 0x65;
/** The digits of the smallest integer that a double may not hold (2^53 + 1). */
const RISKY_DIGITS = 16;

/** What a byte outside of strings is. */
const OTHER = 0;
const STRING = 1;
const OPEN = 2;
const CLOSE = 3;
const BETWEEN = 4;
const BLANK = 5;

/** A table of 256 bytes, in which each of the characters has a value. */
function table(...entries: [characters: string, value: number][]): Uint8Array {
  const values = new Uint8Array(256);
  for (const [characters, value] of entries) for (const one of Buffer.from(characters)) values[one] = value;
  return values;
}

const KINDS = table(['"', STRING], ["[{", OPEN], ["]}", CLOSE], [",:", BETWEEN], [" \t\r\n", BLANK]);
/** What ends an event at its outer depth. */
const ENDS_LINE = table(["\n", 1]);
const ENDS_ITEM = table([",]", 1]);
const ENDS_NOTHING = table();

const isBlank = (byte: number) => KINDS[byte] === BLANK;

const EMPTY: Buffer = Buffer.alloc(0);

/** Some senders begin a text with these bytes. */
const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf]);

/** Where in the body the next byte is. */
type Position = "start" | "before-event" | "in-event" | "after-end";

/**
 * Splits one body. Give it each piece in order, then call `end`. Holds no more bytes than one piece and one event have.
 *
 * @example
 * const splitter = new EventSplitter("lines", limits);
 * for (const piece of pieces) {
 *   splitter.add(piece);
 *   for (let event = splitter.next(); event; event = splitter.next()) parse(event);
 * }
 * splitter.end();
 * const last = splitter.next();
 */
export class EventSplitter {
  readonly #limits: SplitLimits;
  #framing: Framing;
  #position: Position = "start";
  /** The piece that is read, and where in it the next byte is. */
  #piece = EMPTY;
  #at = 0;
  #isEnding = false;
  /** Bytes of the byte order mark that have come; all, once it is known that there is none. */
  #markBytes = 0;
  #events = 0;
  #line = 1;
  #startLine = 0;
  /** The event's bytes in earlier pieces. */
  readonly #kept = new GatheredBytes();
  #isTooMuch = false;
  #isInString = false;
  #isEscaped = false;
  #depth = 0;
  #deepest = 0;
  /** Bytes of the event, without blanks between its tokens. */
  #size = 0;
  /** The bytes that the event takes in any spelling: each bracket, comma, colon and quote, and one for each number or word. */
  #leastSize = 0;
  #isInWord = false;
  /** Digits in a row, just before. */
  #digits = 0;
  #hasRiskyNumber = false;

  constructor(framing: Framing, limits: SplitLimits) {
    this.#framing = framing;
    this.#limits = limits;
  }

  /** Whether the body can hold several events. Known from the first byte that is not blank. */
  get isBatch(): boolean {
    return this.#framing === "lines" || this.#framing === "array";
  }

  /** Adds the next piece of the body. The piece before it must have been read: `next` has returned undefined. */
  add(piece: Buffer): void {
    if (this.#framing === "whole") this.#keepWhole(piece);
    else this.#piece = piece;
    this.#at = 0;
  }

  /** Says that the body has come to its end. */
  end(): void {
    this.#isEnding = true;
  }

  /** Finds the next event that has come whole; undefined: there is none. Throws BodySyntaxError and TooMany. */
  next(): EventBytes | undefined {
    const piece = this.#piece;
    this.#passByteOrderMark();
    while (this.#at < piece.length) {
      const start = this.#position === "in-event" ? this.#at : this.#toEvent(piece, this.#at);
      const end = this.#toEndOfEvent(piece, start);
      const bytes = piece.subarray(start, end);
      this.#at = end + 1;
      if (end < piece.length) return this.#finish(bytes, piece[end] === CLOSE_ARRAY);
      this.#keep(bytes);
    }
    this.#piece = EMPTY;
    return this.#isEnding ? this.#last() : undefined;
  }

  /** Finds the event that only the body's end ends, if there is one. */
  #last(): EventBytes | undefined {
    if (this.#framing === "array" && this.#position !== "after-end")
      throw new BodySyntaxError(this.#position === "start" ? "expected an array" : "expected JSON");
    const isOpen = this.#framing === "whole" ? this.#position === "start" : this.#position === "in-event";
    return isOpen ? this.#finish(EMPTY, true) : undefined;
  }

  /** Passes over a byte order mark, which may come in pieces. */
  #passByteOrderMark(): void {
    while (this.#markBytes < BYTE_ORDER_MARK.length && this.#at < this.#piece.length) {
      if (this.#piece[this.#at] === BYTE_ORDER_MARK[this.#markBytes]) {
        this.#markBytes += 1;
        this.#at += 1;
      } else if (this.#markBytes === 0) this.#markBytes = BYTE_ORDER_MARK.length;
      else throw new BodySyntaxError("expected UTF-8 text");
    }
  }

  /** Skips blanks and the array's own marks. Returns where the next event begins, or the piece's length. */
  #toEvent(piece: Buffer, from: number): number {
    for (let at = from; at < piece.length; at++) {
      const byte = piece[at] as number;
      if (byte === NEWLINE) this.#line += 1;
      if (isBlank(byte)) continue;
      if (this.#position === "after-end") throw new BodySyntaxError("expected JSON");
      if (this.#position === "start" && this.#begin(byte)) continue;
      if (byte === CLOSE_ARRAY && this.#framing === "array" && this.#events === 0) {
        this.#position = "after-end";
        continue;
      }
      this.#startEvent();
      return at;
    }
    return piece.length;
  }

  /** Reads the body's first byte. Returns true if it only opens the array of events. */
  #begin(byte: number): boolean {
    this.#position = "before-event";
    const isArray = byte === OPEN_ARRAY && (this.#framing === "array" || this.#framing === "array-or-one");
    if (this.#framing === "array" && !isArray) throw new BodySyntaxError("expected an array");
    if (this.#framing === "array-or-one") this.#framing = isArray ? "array" : "one";
    return isArray;
  }

  #startEvent(): void {
    if (this.#events === this.#limits.eventsMax)
      throw new TooMany(`expected at most ${this.#limits.eventsMax} events`);
    this.#events += 1;
    this.#position = "in-event";
    this.#startLine = this.#line;
    this.#isTooMuch = this.#isInString = this.#isEscaped = this.#isInWord = this.#hasRiskyNumber = false;
    this.#depth = this.#deepest = this.#size = this.#leastSize = 0;
  }

  /** Looks at each byte. Returns where the event ends, or the piece's length. */
  #toEndOfEvent(piece: Buffer, from: number): number {
    let at = from;
    for (; at < piece.length; at++) {
      at = this.#isInString ? this.#toEndOfString(piece, at) : this.#toString(piece, at);
      if (piece[at] !== QUOTE) break;
      this.#isInString = !this.#isInString;
      this.#leastSize += 1;
    }
    this.#size += Math.min(at, piece.length) - from;
    return at;
  }

  /** Returns where the string's closing quote is, or where the line ends, or the piece's length. */
  #toEndOfString(piece: Buffer, from: number): number {
    const isLine = this.#framing === "lines";
    let isEscaped = this.#isEscaped;
    let at = from;
    for (; at < piece.length; at++) {
      const byte = piece[at];
      if (byte === NEWLINE && isLine) break;
      if (isEscaped) isEscaped = false;
      else if (byte === QUOTE) break;
      else if (byte === BACKSLASH) isEscaped = true;
    }
    this.#isEscaped = isEscaped;
    return at;
  }

  /** Counts what is outside of strings. Returns where the next string begins, or where the event ends, or the piece's length. */
  #toString(piece: Buffer, from: number): number {
    const ends = this.#framing === "lines" ? ENDS_LINE : this.#framing === "array" ? ENDS_ITEM : ENDS_NOTHING;
    for (let at = from; at < piece.length; at++) {
      const byte = piece[at] as number;
      const kind = KINDS[byte];
      if (kind === OTHER) {
        at = this.#toEndOfWord(piece, at) - 1;
        continue;
      }
      this.#isInWord = false;
      if (kind === STRING || (ends[byte] === 1 && (this.#depth === 0 || byte === NEWLINE))) return at;
      if (kind === BLANK) this.#size -= 1;
      else this.#mark(kind);
    }
    return piece.length;
  }

  /** Returns where the number or word ends, or the piece's length. It may have begun in an earlier piece. */
  #toEndOfWord(piece: Buffer, from: number): number {
    if (!this.#isInWord) this.#startWord();
    let digits = this.#digits;
    let at = from;
    for (; at < piece.length; at++) {
      const byte = piece[at] as number;
      if (KINDS[byte] !== OTHER) break;
      if (byte >= DIGIT_0 && byte <= DIGIT_9) {
        digits += 1;
        if (digits === RISKY_DIGITS) this.#hasRiskyNumber = true;
      } else {
        if (digits > 0 && (byte === SMALL_E || byte === LARGE_E)) this.#hasRiskyNumber = true;
        digits = 0;
      }
    }
    this.#digits = digits;
    return at;
  }

  #startWord(): void {
    this.#isInWord = true;
    this.#leastSize += 1;
    this.#digits = 0;
  }

  /** Counts a bracket, a comma or a colon. */
  #mark(kind: number | undefined): void {
    this.#leastSize += 1;
    if (kind === OPEN) this.#deepest = Math.max(this.#deepest, ++this.#depth);
    else if (kind === CLOSE && this.#depth > 0) this.#depth -= 1;
  }

  /** Keeps the event's bytes until the rest has come, unless it is certain by now that it will not be accepted. */
  #keep(bytes: Buffer): void {
    this.#judge();
    if (!this.#isTooMuch) this.#kept.add(bytes);
  }

  #judge(): void {
    const { eventMaxBytes } = this.#limits;
    if (
      this.#deepest > UNPARSED_DEPTH ||
      this.#leastSize > eventMaxBytes + EXTRA_BYTES ||
      this.#size > SPELLING_FACTOR * eventMaxBytes + EXTRA_BYTES
    ) {
      this.#isTooMuch = true;
      this.#kept.take();
    }
  }

  #keepWhole(piece: Buffer): void {
    this.#size += piece.length;
    this.#keep(piece);
  }

  /** Ends the event with its last bytes. */
  #finish(last: Buffer, isLast: boolean): EventBytes {
    this.#judge();
    if (this.#kept.length > 0) this.#kept.add(last);
    const bytes = this.#kept.length > 0 ? this.#kept.take() : last;
    this.#position = isLast && this.#framing !== "lines" ? "after-end" : "before-event";
    if (this.#framing === "lines") this.#line += 1;
    return {
      bytes: this.#isTooMuch ? undefined : bytes,
      depth: this.#deepest,
      hasRiskyNumber: this.#hasRiskyNumber,
      line: this.#startLine,
    };
  }
}

/** Looks at a JSON text that is one value, as at an event. */
export function lookAt(json: Uint8Array): Pick<EventBytes, "depth" | "hasRiskyNumber"> {
  const splitter = new EventSplitter("one", { eventsMax: 1, eventMaxBytes: Number.POSITIVE_INFINITY });
  splitter.add(Buffer.from(json.buffer, json.byteOffset, json.length));
  splitter.end();
  return splitter.next() ?? { depth: 0, hasRiskyNumber: false };
}
