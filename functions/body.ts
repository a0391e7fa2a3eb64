/**
 * Reads a request's body within its limits, and hands it on as it comes: of the body itself, no more is in memory than its reader
 * keeps. The declared length is checked before a byte is read, the length so far while the bytes come, and the inflated length
 * while they are inflated. So a gzip bomb costs no more than the limit.
 */
import type { IncomingMessage } from "node:http";
import { type Consume, Feed, type Sink } from "../lib/flow/feed.ts";
import type { Share } from "../lib/flow/room.ts";
import { Problem, tryAgain } from "./answer.ts";
import { Inflating } from "./inflating.ts";

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
  throw new Problem(
    "unsupported-encoding",
    `expected Content-Encoding gzip or none, got ${JSON.stringify(given.slice(0, 64))}`,
  );
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
  /** Reads the next piece of the inflated body. */
  consume: Consume;
}

/**
 * Reads a body to its end. Throws a 413 past `maxBytes` and past 100,000 pieces, a 400 if it breaks off or is not gzip, a 408 if it
 * takes too long, a 503 if all bodies under way take too much room together, and the error of `consume`. Leaves no listener on the
 * request: they would keep in memory what `consume` holds.
 */
export const readBody = (req: IncomingMessage, options: Options): Promise<void> =>
  new Promise((resolve, reject) => new Reading(req, options, resolve, reject).start());

/** Reads a body that is not compressed to its end, and returns it whole. Throws as `readBody` does. */
export async function readWholeBody(
  req: IncomingMessage,
  options: Pick<Options, "maxBytes" | "deadlineAtMs" | "share">,
): Promise<Buffer> {
  const pieces: Buffer[] = [];
  const consume = (piece: Buffer) => void pieces.push(piece);
  await readBody(req, { ...options, encoding: "identity", consume });
  return Buffer.concat(pieces);
}

/** One body on its way. Each listener is a field, so that `#stop` takes off what `start` has added. */
class Reading implements Sink {
  readonly #req: IncomingMessage;
  readonly #options: Options;
  readonly #resolve: () => void;
  readonly #reject: (error: unknown) => void;
  readonly #inflating: Inflating | undefined;
  /** What has come goes here, and what is inflated there: without gzip the same. */
  readonly #received: Feed;
  readonly #inflated: Feed;
  #timer: NodeJS.Timeout | undefined;
  #pieces = 0;
  #receivedBytes = 0;
  #inflatedBytes = 0;

  constructor(req: IncomingMessage, options: Options, resolve: () => void, reject: (error: unknown) => void) {
    this.#req = req;
    this.#options = options;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#inflated = new Feed(this);
    if (options.encoding === "gzip") {
      this.#inflating = new Inflating({
        add: (piece) => this.#takeInflated(piece),
        end: () => this.#inflated.end(),
        fail: (error) => this.fail(error),
      });
      this.#received = new Feed(this.#inflating);
    } else this.#received = this.#inflated;
  }

  start(): void {
    const leftMs = Math.max(0, this.#options.deadlineAtMs - performance.now());
    this.#timer = setTimeout(this.#giveUp, leftMs);
    this.#req.on("error", this.#breakOff).on("close", this.#breakOff);
    this.#req.on("data", this.#takeReceived).on("end", this.#endReceived);
  }

  #stop(): void {
    clearTimeout(this.#timer);
    this.#req.off("data", this.#takeReceived).off("end", this.#endReceived);
    this.#req.off("error", this.#breakOff).off("close", this.#breakOff);
    this.#received.stop();
    this.#inflated.stop();
    this.#inflating?.stop();
  }

  /** Hands a piece on. Large pieces wait meanwhile where they come from; small ones are gathered. */
  consume(piece: Buffer): Promise<void> | undefined {
    const waiting = this.#options.consume(piece);
    if (waiting === undefined) return undefined;
    const isLarge = this.#receivedBytes >= LARGE_PIECE_BYTES * this.#pieces;
    const source = this.#inflating ?? (isLarge ? this.#req : undefined);
    source?.pause();
    return waiting.then(() => void source?.resume());
  }

  end(): void {
    this.#stop();
    this.#resolve();
  }

  fail(error: unknown): void {
    this.#stop();
    this.#reject(error);
  }

  readonly #takeReceived = (piece: Buffer): void => {
    const { maxBytes, share } = this.#options;
    this.#receivedBytes += piece.length;
    this.#pieces += 1;
    if (this.#receivedBytes > maxBytes) this.fail(tooLarge(maxBytes));
    else if (this.#pieces > PIECES_MAX) this.fail(tooManyPieces());
    else if (share.take(piece.length)) this.#received.add(piece);
    else this.fail(noRoom());
  };

  readonly #endReceived = (): void => this.#received.end();

  /** A body that has come in time is waited for, however long its reader takes. */
  readonly #giveUp = (): void => {
    if (!this.#req.complete) this.fail(new Problem("request-timeout", "the body did not come in time"));
  };

  readonly #breakOff = (): void => {
    if (!this.#req.complete)
      this.fail(new Problem("invalid-body", "the body broke off, or is shorter than declared"));
  };

  #takeInflated(piece: Buffer): void {
    const { maxBytes, share } = this.#options;
    this.#inflatedBytes += piece.length;
    if (this.#inflatedBytes > maxBytes) this.fail(tooLarge(maxBytes));
    else if (share.take(piece.length)) this.#inflated.add(piece);
    else this.fail(noRoom());
  }
}

/** The mean size from which pieces are few enough to be kept by Node, one by one, while a request is paused. */
const LARGE_PIECE_BYTES = 4096;
/** The most pieces in which a body may come, as chunks or packets: each costs some microseconds, however short it is. */
const PIECES_MAX = 100_000;

const tooLarge = (maxBytes: number) =>
  new Problem("body-too-large", `expected a body of at most ${maxBytes} bytes`);
const tooManyPieces = () => new Problem("body-too-large", `expected a body in at most ${PIECES_MAX} chunks`);
export const noRoom = () =>
  tryAgain("instance-busy", "too many large bodies are under way; nothing was kept");
