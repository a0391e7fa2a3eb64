/**
 * Bytes that come in pieces and are wanted together. They are copied into one buffer: as a list, each piece would cost some
 * hundreds of bytes, and a sender can make its pieces one byte long.
 */

const EMPTY: Buffer = Buffer.alloc(0);

export class GatheredBytes {
  #buffer = EMPTY;
  #from = 0;
  #to = 0;

  get length(): number {
    return this.#to - this.#from;
  }

  /** Adds a piece, whose bytes must not change. It is not copied if it stays the only one. */
  add(piece: Buffer): void {
    if (this.length === 0) {
      [this.#buffer, this.#from, this.#to] = [piece, 0, piece.length];
      return;
    }
    if (this.#to + piece.length > this.#buffer.length) this.#makeRoom(piece.length);
    piece.copy(this.#buffer, this.#to);
    this.#to += piece.length;
  }

  /** Hands over the first bytes, `maxBytes` at most. */
  take(maxBytes = Number.POSITIVE_INFINITY): Buffer {
    const until = Math.min(this.#to, this.#from + maxBytes);
    const taken = this.#buffer.subarray(this.#from, until);
    this.#from = until;
    if (this.length === 0) this.#buffer = EMPTY;
    return taken;
  }

  /** Moves the bytes into a buffer of twice the size, so that each is copied a few times at most. */
  #makeRoom(moreBytes: number): void {
    const { length } = this;
    const larger = Buffer.allocUnsafe(2 * (length + moreBytes));
    this.#buffer.copy(larger, 0, this.#from, this.#to);
    [this.#buffer, this.#from, this.#to] = [larger, 0, length];
  }
}
