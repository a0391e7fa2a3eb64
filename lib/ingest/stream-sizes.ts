/**
 * The sizes of one stream's pending lists, in bytes, as this instance knows them without asking Redis.
 *
 * The seal takes a pending list as a whole, and nothing else takes from it. So a list grows, or it begins anew. The reply to each
 * push says its depth. From that this instance knows the bytes of its own envelopes in the list, and the number of the
 * others. Each of the others counts as large as the mean of this stream's envelopes that it knows.
 */

/** Envelopes that count for the mean, at most: the latest. One unusual envelope among them changes little. */
const MEAN_OF = 5000;

interface List {
  depth: number;
  /** Of the envelopes whose size is known. */
  knownBytes: number;
  /** Envelopes that others pushed. */
  unknown: number;
}

const EMPTY: List = { depth: 0, knownBytes: 0, unknown: 0 };

export class StreamSizes {
  readonly #lists = new Map<number, List>();
  /** The envelopes that count for the mean. */
  #known = { count: 0, bytes: 0 };

  /** Notes a push of `count` envelopes with `bytes` bytes in total, and the depth after it. Returns whether the list began anew. */
  pushed(index: number, depth: number, count: number, bytes: number): boolean {
    this.#countForMean(count, bytes);
    const list = this.#lists.get(index) ?? EMPTY;
    const depthBefore = depth - count;
    const isNew = depthBefore < list.depth;
    const { depth: depthThen, knownBytes, unknown } = isNew ? EMPTY : list;
    this.#lists.set(index, {
      depth,
      knownBytes: knownBytes + bytes,
      unknown: unknown + depthBefore - depthThen,
    });
    return isNew;
  }

  /** Notes what Redis says of a list. */
  measured(index: number, { depth, bytes }: { depth: number; bytes: number }): void {
    if (depth > 0) this.#countForMean(depth, bytes);
    this.#lists.set(index, { depth, knownBytes: bytes, unknown: 0 });
  }

  /** The size of a list. `knownBytes` is the part that is no estimate. */
  of(index: number): { depth: number; bytes: number; knownBytes: number } {
    const { depth, knownBytes, unknown } = this.#lists.get(index) ?? EMPTY;
    const mean = this.#known.count === 0 ? 0 : this.#known.bytes / this.#known.count;
    return { depth, bytes: Math.round(knownBytes + unknown * mean), knownBytes };
  }

  #countForMean(count: number, bytes: number): void {
    const counted = Math.min(count, MEAN_OF);
    const kept = Math.min(this.#known.count, MEAN_OF - counted);
    const keptPart = this.#known.count === 0 ? 0 : kept / this.#known.count;
    this.#known = {
      count: kept + counted,
      bytes: this.#known.bytes * keptPart + (bytes * counted) / count,
    };
  }
}
