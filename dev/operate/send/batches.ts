/**
 * Gathers lines into the batches that one request carries. The batches of an input are always the same, and so are their
 * Idempotency-Keys: a batch's key follows from its place and its bytes, so that an input that is sent again is stored once.
 */
import { createHash } from "node:crypto";
import type { Line } from "./lines.ts";

export interface Batch {
  /** Becomes the Idempotency-Key. */
  key: string;
  lines: readonly Required<Line & { bytes: Buffer }>[];
  /** The last line that was read for it, blank ones too. */
  lastLine: number;
  /** Bytes of the input up to its end. */
  readBytes: number;
  /** Numbers of lines that are too long to be sent. */
  tooLong: readonly number[];
}

/** What ingest takes by default is twice as many events, and eight times as many bytes. */
const LINES_MAX = 500;
const BYTES_MAX = 1_000_000;
/** A line of nothing but spaces, tabs and carriage returns holds no event. Ingest counts none there, too. */
const BLANKS: ReadonlySet<number> = new Set([0x20, 0x09, 0x0d]);
const isBlank = (bytes: Buffer): boolean => bytes.every((byte) => BLANKS.has(byte));

/** Yields batches of lines; at least one line in each, or one that is too long. `name` tells inputs with the same lines apart. */
export async function* batchesOf(lines: AsyncIterable<Line>, name: string): AsyncGenerator<Batch> {
  let open = new OpenBatch();
  let place = 0;
  let lastLine = 0;
  let readBytes = 0;
  for await (const { number, bytes } of lines) {
    if (bytes !== undefined && !isBlank(bytes)) {
      if (!open.hasRoomFor(bytes)) {
        yield open.close(name, place++, lastLine, readBytes);
        open = new OpenBatch();
      }
      open.lines.push({ number, bytes });
      open.size += bytes.length + 1;
    }
    if (bytes === undefined) open.tooLong.push(number);
    lastLine = number;
    readBytes += (bytes?.length ?? 0) + 1;
  }
  if (open.lines.length + open.tooLong.length > 0) yield open.close(name, place, lastLine, readBytes);
}

class OpenBatch {
  readonly lines: { number: number; bytes: Buffer }[] = [];
  readonly tooLong: number[] = [];
  size = 0;

  hasRoomFor(bytes: Buffer): boolean {
    return (
      this.lines.length === 0 || (this.lines.length < LINES_MAX && this.size + bytes.length <= BYTES_MAX)
    );
  }

  close(name: string, place: number, lastLine: number, readBytes: number): Batch {
    const { lines, tooLong } = this;
    return { key: keyOf(name, place, lines), lines, tooLong, lastLine, readBytes };
  }
}

function keyOf(name: string, place: number, lines: readonly { bytes: Buffer }[]): string {
  const hash = createHash("sha256").update(JSON.stringify([name, place]));
  for (const { bytes } of lines) hash.update("\n").update(bytes);
  return `spillway-send-${hash.digest("base64url")}`;
}

/** A batch's body, as NDJSON. */
export const bodyOf = (lines: Batch["lines"]): Buffer =>
  Buffer.concat(lines.flatMap(({ bytes }) => [bytes, LINE_END]));

const LINE_END = Buffer.from("\n");

/** The halves of a batch that ingest finds too large, each with a key of its own. */
export function halvesOf({ key, lines, ...rest }: Batch): Batch[] {
  const middle = Math.ceil(lines.length / 2);
  return [lines.slice(0, middle), lines.slice(middle)].map((half, i) => ({
    ...rest,
    ...{ key: `${key}.${i}`, lines: half, tooLong: [] },
  }));
}
