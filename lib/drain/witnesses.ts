/**
 * Weak witnesses that one process remembers: when an insert that newly stored rows of a stream began. They tell that a table took
 * rows after a letter was set aside, though it may be at fault again (proof.ts). Moments are those of a clock that is never set
 * back. Rows that ingest or another process stored are not known here.
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
