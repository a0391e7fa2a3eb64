/**
 * Witnesses of one process: when an insert that newly stored rows of a stream began. A held letter that is refused again in the
 * drain call that stored them is at fault itself. One that was refused before them, and again in a later call, may have met two
 * faults of its table, so that counts for little: it takes six refusals (proof.ts). Each process knows its own witnesses only, so
 * it may blame too late.
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
