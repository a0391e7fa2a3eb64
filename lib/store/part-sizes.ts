/**
 * How many rows one insert of a stream may have, after one timed out: half of that, and twice as many again whenever an insert
 * was fast. So a slow table costs a timeout once, and not with every batch. Shared by all inserts of a process.
 */

/** An insert that took less than this part of its timeout leaves room for twice as many rows. */
const FAST_PART = 0.25;
/** From so many rows on no limit is kept: no insert has more. */
const UNLIMITED_ROWS = 10_000;

export class PartSizes {
  readonly #timeoutMs: number;
  readonly #rows = new Map<string, number>();

  /** `timeoutMs`: when an insert's client gives up. */
  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  /** The rows that the stream's next insert may have; Infinity unless one timed out. */
  of(stream: string): number {
    return this.#rows.get(stream) ?? Number.POSITIVE_INFINITY;
  }

  /** Notes that an insert of so many rows took too long. */
  timedOut(stream: string, rows: number): void {
    this.#rows.set(stream, Math.max(1, Math.floor(Math.min(rows, this.of(stream)) / 2)));
  }

  /** Notes that an insert of so many rows ended well after `tookMs` milliseconds. */
  worked(stream: string, rows: number, tookMs: number): void {
    const limit = this.#rows.get(stream);
    if (limit === undefined || rows < limit || tookMs > this.#timeoutMs * FAST_PART) return;
    if (limit * 2 >= UNLIMITED_ROWS) this.#rows.delete(stream);
    else this.#rows.set(stream, limit * 2);
  }
}
