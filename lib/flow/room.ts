/**
 * A bound on the memory that all requests under way take together. A small request needs no room, so that it is never refused
 * because of large ones; the number of requests bounds what small ones take. The rest of each request is taken from one room.
 */

/** What one request may hold without room, in bytes. */
const FREE_BYTES = 65_536;

/** One request's place in the room. */
export interface Place {
  /** Takes room for more bytes. Returns false, and takes nothing, if there is none. */
  take(bytes: number): boolean;
  /** Gives everything back. May be repeated. */
  leave(): void;
}

/**
 * A room of so many bytes.
 *
 * @example
 * const place = room.enter();
 * if (!place.take(chunk.length)) refuse();
 * place.leave(); // when the request is answered
 */
export class Room {
  readonly #maxBytes: number;
  #takenBytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Makes a place for one request, which holds nothing yet. */
  enter(): Place {
    let bytes = 0;
    let takenBytes = 0;
    return {
      take: (more) => {
        const wanted = Math.max(0, bytes + more - FREE_BYTES) - takenBytes;
        if (this.#takenBytes + wanted > this.#maxBytes) return false;
        bytes += more;
        takenBytes += wanted;
        this.#takenBytes += wanted;
        return true;
      },
      leave: () => {
        this.#takenBytes -= takenBytes;
        takenBytes = 0;
        bytes = 0;
      },
    };
  }
}
