/**
 * A bound on the memory that all requests under way take together. A small request needs no room, so that it is never refused
 * because of large ones; the number of requests bounds what small ones take. What a request holds beyond that is its share of one room.
 */

/** What one request may hold without room, in bytes. */
const FREE_BYTES = 65_536;

/** One request's share of the room. */
export interface Share {
  /** Takes room for more bytes. Returns false, and takes nothing, if there is not enough. */
  take(bytes: number): boolean;
  /** Takes room until there is some for so many bytes in all. Returns false, and takes nothing, if there is not enough. */
  hold(bytes: number): boolean;
  /** Gives everything back, for good: work that goes on by itself gets no more. May be repeated. */
  giveBack(): void;
}

/**
 * A room of so many bytes.
 *
 * @example
 * const share = room.share();
 * if (!share.take(piece.length)) refuse();
 * share.giveBack(); // when the request is answered
 */
export class Room {
  readonly #maxBytes: number;
  #takenBytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Makes the share of one request, which holds nothing yet. */
  share(): Share {
    let bytes = 0;
    let takenBytes = 0;
    let isGivenBack = false;
    const take = (more: number): boolean => {
      const wanted = Math.max(0, bytes + more - FREE_BYTES) - takenBytes;
      if (isGivenBack || this.#takenBytes + wanted > this.#maxBytes) return false;
      bytes += more;
      takenBytes += wanted;
      this.#takenBytes += wanted;
      return true;
    };
    return {
      take,
      hold: (all) => all <= bytes || take(all - bytes),
      giveBack: () => {
        this.#takenBytes -= takenBytes;
        takenBytes = 0;
        bytes = 0;
        isGivenBack = true;
      },
    };
  }
}
