/**
 * Reads a request's body within its limits, and hands it on as it comes: of the body itself, no more is in memory than its reader
 * keeps. The declared length is checked before a byte is read, the length so far while the bytes come, and the inflated length
 * while they are inflated. So a gzip bomb costs no more than the limit.
 */
import type { IncomingMessage } from "node:http";
import type { Readable } from "node:stream";
import { createGunzip, type Gunzip } from "node:zlib";
import type { Share } from "../lib/flow/room.ts";
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
  share: Share;
  /** Reads the next piece of the inflated body. Returns a promise if the piece after it must wait. */
  consume(piece: Buffer): Promise<void> | undefined;
}

/**
 * Reads a body to its end. Throws a 413 past `maxBytes`, a 400 if it breaks off or is not gzip, a 408 if it takes too long, a 503
 * if all bodies under way take too much room together, and the error of `consume`. Leaves no listener on the request: they would
 * keep in memory what `consume` holds.
 */
export const readBody = (req: IncomingMessage, options: Options): Promise<void> =>
  new Promise((resolve, reject) => new Reading(req, options, resolve, reject).start());

/** One body on its way. Each listener is a field, so that `#stop` takes off what `start` has added. */
class Reading {
  readonly #req: IncomingMessage;
  readonly #options: Options;
  readonly #resolve: () => void;
  readonly #reject: (error: unknown) => void;
  readonly #gunzip: Gunzip | undefined;
  /** Where the inflated body comes from. */
  readonly #source: Readable;
  #timer: NodeJS.Timeout | undefined;
  #receivedBytes = 0;
  #inflatedBytes = 0;

  constructor(req: IncomingMessage, options: Options, resolve: () => void, reject: (error: unknown) => void) {
    this.#req = req;
    this.#options = options;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#gunzip = options.encoding === "gzip" ? createGunzip({ chunkSize: PIECE_BYTES }) : undefined;
    this.#source = this.#gunzip ?? req;
  }

  start(): void {
    const leftMs = Math.max(0, this.#options.deadlineAtMs - performance.now());
    this.#timer = setTimeout(() => this.#fail(new Problem(408, "the body did not come in time")), leftMs);
    this.#req.on("error", this.#breakOff).on("close", this.#breakOff);
    if (this.#gunzip)
      this.#req.on("data", this.#countReceived).pipe(this.#gunzip).on("error", this.#failToInflate);
    this.#source.on("data", this.#takePiece).on("end", this.#end);
  }

  #stop(): void {
    clearTimeout(this.#timer);
    this.#req.off("data", this.#countReceived).off("error", this.#breakOff).off("close", this.#breakOff);
    this.#source.off("data", this.#takePiece).off("end", this.#end);
    if (!this.#gunzip) return;
    this.#req.unpipe(this.#gunzip);
    this.#gunzip.off("error", this.#failToInflate).on("error", ignore).destroy();
  }

  readonly #end = (): void => {
    this.#stop();
    this.#resolve();
  };

  readonly #fail = (error: unknown): void => {
    this.#stop();
    this.#reject(error);
  };

  readonly #countReceived = (piece: Buffer): void => {
    this.#receivedBytes += piece.length;
    if (this.#receivedBytes > this.#options.maxBytes) this.#fail(tooLarge(this.#options.maxBytes));
  };

  readonly #takePiece = (piece: Buffer): void => {
    this.#inflatedBytes += piece.length;
    const refusal = this.#refusalOf(piece);
    if (refusal) this.#fail(refusal);
    else this.#handOn(piece);
  };

  /** Takes room for a piece, or says why it is not handed on. */
  #refusalOf(piece: Buffer): Problem | undefined {
    const { maxBytes, share } = this.#options;
    if (this.#inflatedBytes > maxBytes) return tooLarge(maxBytes);
    if (share.take(piece.length)) return undefined;
    return tryAgain(503, "too many large bodies are under way; nothing was kept");
  }

  /** Hands a piece on. If its reader is not ready for the next one, the source pauses until it is. */
  #handOn(piece: Buffer): void {
    try {
      const waiting = this.#options.consume(piece);
      if (waiting === undefined) return;
      this.#source.pause();
      waiting.then(() => this.#source.resume(), this.#fail);
    } catch (error) {
      this.#fail(error);
    }
  }

  readonly #breakOff = (): void => {
    if (!this.#req.complete) this.#fail(new Problem(400, "the body broke off, or is shorter than declared"));
  };

  readonly #failToInflate = (): void => this.#fail(new Problem(400, "expected a gzip stream"));
}

/** The listener of a stream that is destroyed: its error comes late, and says nothing new. */
const ignore = (): void => {};

/** Bytes of one piece of an inflated body: few enough to be looked at in well under a millisecond. */
const PIECE_BYTES = 65_536;

const tooLarge = (maxBytes: number) => new Problem(413, `expected a body of at most ${maxBytes} bytes`);
