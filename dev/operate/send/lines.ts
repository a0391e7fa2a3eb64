/** Splits bytes into lines as they come, in constant memory: a line that is too long is counted and not kept. */

export interface Line {
  /** From 1. */
  number: number;
  /** Without its end, LF or CRLF; undefined: it is too long. */
  bytes: Buffer | undefined;
}

const NEWLINE = 0x0a;
const RETURN = 0x0d;
/** Some programs begin a text with these bytes. */
const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf]);
const EMPTY: Buffer = Buffer.alloc(0);

/** Yields the lines of pieces. The last one needs no end. Throws what reading throws. */
export async function* linesOf(pieces: AsyncIterable<Buffer>, lineMaxBytes: number): AsyncGenerator<Line> {
  const line = new OpenLine(lineMaxBytes);
  let number = 1;
  for await (const piece of pieces) {
    let start = 0;
    for (let end = piece.indexOf(NEWLINE); end !== -1; end = piece.indexOf(NEWLINE, start)) {
      line.add(piece.subarray(start, end));
      yield { number, bytes: line.take(number === 1) };
      number += 1;
      start = end + 1;
    }
    line.add(piece.subarray(start));
  }
  if (!line.isEmpty) yield { number, bytes: line.take(number === 1) };
}

/** A line whose end has not come. */
class OpenLine {
  readonly #maxBytes: number;
  #parts: Buffer[] = [];
  #size = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get isEmpty(): boolean {
    return this.#size === 0;
  }

  add(part: Buffer): void {
    this.#size += part.length;
    if (this.#size > this.#maxBytes + 1)
      this.#parts = []; // one more, because it may be the CR of its end
    else if (part.length > 0) this.#parts.push(part);
  }

  take(isFirst: boolean): Buffer | undefined {
    const whole = this.#size > this.#maxBytes + 1 ? undefined : Buffer.concat(this.#parts);
    this.#parts = [];
    this.#size = 0;
    if (whole === undefined) return undefined;
    const end = whole.at(-1) === RETURN ? whole.length - 1 : whole.length;
    const hasMark = isFirst && whole.subarray(0, 3).equals(BYTE_ORDER_MARK);
    const bytes = end === 0 ? EMPTY : whole.subarray(hasMark ? 3 : 0, end);
    return bytes.length > this.#maxBytes ? undefined : bytes;
  }
}
