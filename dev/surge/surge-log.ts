/** Keeps the lines of the last surge, or of the one that runs, and hands each new one to whoever reads along. */
import type { SurgeBegun, SurgeLine } from "../../lib/contract/surge.ts";

export type SurgeReader = (line: SurgeLine) => void;

export class SurgeLog {
  #lines: SurgeLine[] = [];
  readonly #readers = new Set<SurgeReader>();

  /** Forgets the surge before. */
  begin(line: SurgeBegun): void {
    this.#lines = [];
    this.say(line);
  }

  say(line: SurgeLine): void {
    this.#lines.push(line);
    for (const read of this.#readers) read(line);
  }

  /** Reads what is kept, then what is said, until the returned function is called. */
  open(read: SurgeReader): () => void {
    for (const line of this.#lines) read(line);
    this.#readers.add(read);
    return () => void this.#readers.delete(read);
  }
}
