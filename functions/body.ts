/**
 * Reads a request's body within its limits, and hands it on as it comes: never is more of it in memory than what its reader
 * keeps. The declared length is checked before a byte is read, the length so far while the bytes come, and the inflated length
 * while they are inflated. So a gzip bomb costs no more than the limit.
 */
import type { IncomingMessage } from "node:http";
import { createGunzip } from "node:zlib";
import type { Place } from "../lib/flow/room.ts";
import { Problem, tryAgain } from "./answer.ts";

export type Encoding = "identity" | "gzip";

const ENCODINGS = new Map<string, Encoding>([
  ["", "identity"],
  ["identity", "identity"],
  ["gzip", "gzip"],
  ["x-gzip", "gzip"],
]);

/** Finds the encoding of a body. Throws a 415 if it is not accepted. */
export function encodingOf(req: IncomingMessage): Encoding {
  const given = (req.headers["content-encoding"] ?? "").trim();
  const encoding = ENCODINGS.get(given.toLowerCase());
  if (encoding) return encoding;
  throw new Problem(415, `expected Content-Encoding gzip or none, got ${JSON.stringify(given.slice(0, 64))}`);
}

/** Throws a 413 if the declared length is over `maxBytes`. */
export function checkDeclaredLength(req: IncomingMessage, maxBytes: number): void {
  if (Number(req.headers["content-length"] ?? 0) > maxBytes) throw tooLarge(maxBytes);
}

interface Options {
  encoding: Encoding;
  /** The most bytes, as sent and inflated. */
  maxBytes: number;
  /** The moment until which the body must have come, by `performance.now()`. */
  deadlineAtMs: number;
  place: Place;
  /** Takes the next piece of the inflated body. Returns a promise if the piece after it must wait. */
  take(piece: Buffer): Promise<void> | undefined;
}

/**
 * Reads a body to its end. Throws a 413 past `maxBytes`, a 400 if it breaks off or is not gzip, a 408 if it takes too long, a 503
 * if all bodies under way take too much room together, and the error of `take`. Leaves no listener on the request: they would
 * keep in memory what `take` holds.
 */
export function readBody(req: IncomingMessage, options: Options): Promise<void> {
  const { encoding, maxBytes, deadlineAtMs, place, take } = options;
  const gunzip = encoding === "gzip" ? createGunzip({ chunkSize: PIECE_BYTES }) : undefined;
  const source = gunzip ?? req;
  return new Promise((resolve, reject) => {
    let receivedBytes = 0;
    let inflatedBytes = 0;
    const count = (piece: Buffer) => {
      receivedBytes += piece.length;
      if (receivedBytes > maxBytes) fail(tooLarge(maxBytes));
    };
    const takePiece = (piece: Buffer) => {
      inflatedBytes += piece.length;
      if (inflatedBytes > maxBytes) return fail(tooLarge(maxBytes));
      if (!place.take(piece.length))
        return fail(tryAgain(503, "too many large bodies are under way; nothing was kept"));
      const waiting = takeOrFail(piece);
      if (waiting === undefined) return;
      source.pause();
      waiting.then(() => source.resume(), fail);
    };
    const takeOrFail = (piece: Buffer) => {
      try {
        return take(piece);
      } catch (error) {
        fail(error);
      }
    };
    const breakOff = () => {
      if (!req.complete) fail(new Problem(400, "the body broke off, or is shorter than declared"));
    };
    const failToInflate = () => fail(new Problem(400, "expected a gzip stream"));
    const stop = () => {
      clearTimeout(timer);
      req.off("data", count).off("error", breakOff).off("close", breakOff);
      source.off("data", takePiece).off("end", end);
      if (gunzip) req.unpipe(gunzip);
      gunzip
        ?.off("error", failToInflate)
        .on("error", () => {})
        .destroy();
    };
    const end = () => {
      stop();
      resolve();
    };
    const fail = (error: unknown) => {
      stop();
      reject(error);
    };
    const timer = setTimeout(
      () => fail(new Problem(408, "the body did not come in time")),
      Math.max(0, deadlineAtMs - performance.now()),
    );
    req.on("error", breakOff).on("close", breakOff);
    if (gunzip) req.on("data", count).pipe(gunzip).on("error", failToInflate);
    source.on("data", takePiece).on("end", end);
  });
}

/** Bytes of one piece of an inflated body: few enough to be looked at in well under a millisecond. */
const PIECE_BYTES = 65_536;

const tooLarge = (maxBytes: number) => new Problem(413, `expected a body of at most ${maxBytes} bytes`);
