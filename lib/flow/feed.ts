/**
 * Hands pieces of bytes on, one after the other. What comes while one is consumed is gathered: a paused request would keep each piece
 * by itself, and a sender can make its pieces one byte long.
 */
import { GatheredBytes } from "./gathered-bytes.ts";

/** Bytes of one piece that is handed on: few enough to be looked at in well under a millisecond. */
export const PIECE_BYTES = 65_536;

/** Takes the next piece. Returns a promise if the piece after it must wait. May throw. */
export type Consume = (piece: Buffer) => Promise<void> | undefined;

/** Where a feed leads. */
export interface Sink {
  consume: Consume;
  /** Is told once, when all pieces are consumed. */
  end(): void;
  /** Is told when a piece could not be consumed. */
  fail(error: unknown): void;
}

/**
 * A feed to one sink.
 *
 * @example
 * const feed = new Feed({ consume: (piece) => write(piece), end, fail });
 * source.on("data", (piece) => feed.add(piece)).on("end", () => feed.end());
 */
export class Feed {
  readonly #sink: Sink;
  readonly #gathered = new GatheredBytes();
  #isBusy = false;
  #isEnding = false;
  #isStopped = false;

  constructor(sink: Sink) {
    this.#sink = sink;
  }

  add(piece: Buffer): void {
    if (this.#isStopped) return;
    if (this.#isBusy) this.#gathered.add(piece);
    else this.#handOn(piece);
  }

  /** Says that no piece comes any more. */
  end(): void {
    this.#isEnding = true;
    if (!this.#isBusy) this.#sink.end();
  }

  /** Hands nothing on any more. */
  stop(): void {
    this.#isStopped = true;
    this.#gathered.take();
  }

  #handOn(piece: Buffer): void {
    try {
      const waiting = this.#sink.consume(piece);
      if (waiting === undefined) return;
      this.#isBusy = true;
      waiting.then(
        () => this.#goOn(),
        (error: unknown) => this.#sink.fail(error),
      );
    } catch (error) {
      this.#sink.fail(error);
    }
  }

  #goOn(): void {
    this.#isBusy = false;
    while (!this.#isBusy && this.#gathered.length > 0) this.#handOn(this.#gathered.take(PIECE_BYTES));
    if (!this.#isBusy && !this.#isStopped && this.#isEnding) this.#sink.end();
  }
}
