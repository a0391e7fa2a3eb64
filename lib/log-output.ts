/**
 * Writes log lines to standard output without waiting for it. If nobody reads them, a megabyte of lines waits, and further lines
 * are dropped and counted. If nobody can read them, all are lost. So a log that can't be written neither ends nor delays a
 * request. (Node writes to a pipe at once while there is room in it, so an exit loses only what waits.)
 */
import type { Writable } from "node:stream";

/** How much may wait for a slow reader, in bytes. */
const WAITING_MAX_BYTES = 1_000_000;

export class LogOutput {
  readonly #output: Pick<Writable, "write" | "writableLength">;
  #dropped = 0;

  constructor(output: Pick<Writable, "write" | "writableLength" | "on"> = process.stdout) {
    this.#output = output;
    output.on("error", () => {}); // nobody can be told
  }

  /** Writes one line, or drops it. Never throws. */
  write(line: string): void {
    if (this.#output.writableLength >= WAITING_MAX_BYTES) {
      this.#dropped += 1;
      return;
    }
    if (this.#dropped > 0) this.#output.write(`${droppedEntry(this.#dropped)}\n`);
    this.#dropped = 0;
    this.#output.write(line);
  }
}

const droppedEntry = (lines: number) =>
  JSON.stringify({ severity: "WARNING", event: "log.dropped", message: "log.dropped", lines });
