/**
 * Witnesses of one process: when an insert that newly stored rows of a stream began. A held letter that was refused before that, and
 * is refused again after it, is at fault itself. Each process knows its own witnesses only, so it may blame too late, and
 * never too early.
 */
export class Witnesses {
  readonly #storedSinceMs = new Map<string, number>();

  /** Notes that an insert which began at `startedAtMs` newly stored rows of the stream. */
  note(stream: string, startedAtMs: number): void {
    this.#storedSinceMs.set(stream, Math.max(startedAtMs, this.#storedSinceMs.get(stream) ?? startedAtMs));
  }

  /** Whether rows of the stream were newly stored by an insert that began after that moment. */
  hasSince(stream: string, momentMs: number): boolean {
    return (this.#storedSinceMs.get(stream) ?? Number.NEGATIVE_INFINITY) > momentMs;
  }
}
