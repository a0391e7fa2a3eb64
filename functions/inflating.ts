/** Inflates a gzip body as it comes. */
import { createGunzip } from "node:zlib";
import { PIECE_BYTES, type Sink } from "../lib/flow/feed.ts";
import { Problem } from "./answer.ts";

/** What takes the inflated bytes. `fail` gets a 400 if the bytes are not gzip. */
interface Target {
  add(piece: Buffer): void;
  end(): void;
  fail(error: unknown): void;
}

export class Inflating implements Sink {
  readonly #gunzip = createGunzip({ chunkSize: PIECE_BYTES });
  readonly #target: Target;

  constructor(target: Target) {
    this.#target = target;
    this.#gunzip
      .on("data", (piece: Buffer) => target.add(piece))
      .on("end", () => target.end())
      .on("error", () => target.fail(new Problem("invalid-body", "expected a gzip stream")));
  }

  /** Resolves when the piece is inflated. A failed write is told by the event 'error', too. */
  consume(piece: Buffer): Promise<void> {
    return new Promise((done) => this.#gunzip.write(piece, () => done()));
  }

  end(): void {
    this.#gunzip.end();
  }

  fail(error: unknown): void {
    this.#target.fail(error);
  }

  pause(): void {
    this.#gunzip.pause();
  }

  resume(): void {
    this.#gunzip.resume();
  }

  /** Inflates nothing any more. Its error, if there is one, comes late and says nothing new. */
  stop(): void {
    this.#gunzip.removeAllListeners("data").removeAllListeners("end").removeAllListeners("error");
    this.#gunzip.on("error", () => {}).destroy();
  }
}
