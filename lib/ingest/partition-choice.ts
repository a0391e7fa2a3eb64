/**
 * Placement: which partition of a stream this instance pushes to, and when it pushes no more.
 *
 * An instance keeps to one partition of its own, so that quiet traffic makes full batches. It moves on when that
 * one is deep, so that several are drained at once. Past the high-water mark (depth × the instance's mean
 * envelope size) a partition takes no more: the push that passed it is kept, the next goes elsewhere, and when
 * all are full the stream is shed. While shedding, one LLEN a second asks again.
 */
import type { Partition } from "../buffer/redis-keys.ts";
import type { Log } from "../log.ts";

interface Terms {
  partitions: number;
  /** The high-water mark of one partition, in bytes. */
  bufferMaxBytes: number;
  /** From this depth on the next push goes to the next partition. */
  deepAt: number;
  depthOf(p: Partition): Promise<number>;
  now: () => number;
  log: Log;
  /** Where this instance begins, so that instances spread. @default random */
  first?: number;
}

/** How often a full partition's depth is asked for while shedding, in milliseconds. */
const ASK_EVERY_MS = 1000;
/** The part of the high-water mark from which people are told. */
const DEEP_RATIO = 0.5;

interface StreamState {
  current: number;
  full: Set<number>;
  deep: Set<number>;
  askAtMs: number;
  isShedding: boolean;
}

export class Placement {
  readonly #terms: Terms;
  readonly #first: number;
  readonly #states = new Map<string, StreamState>();
  /** The mean size of this instance's envelopes, in bytes, recent ones counting most. */
  #meanBytes = 0;

  constructor(terms: Terms) {
    this.#terms = terms;
    this.#first = (terms.first ?? Math.floor(Math.random() * terms.partitions)) % terms.partitions;
  }

  /** The partition for the next push; undefined: shed. */
  async choose(stream: string): Promise<Partition | undefined> {
    const state = this.#stateOf(stream);
    const free = this.#firstFree(state);
    if (free !== undefined) return { stream, partition: free };
    if (this.#terms.now() >= state.askAtMs) {
      state.askAtMs = this.#terms.now() + ASK_EVERY_MS;
      await this.#askAgain(stream, state);
    }
    const found = this.#firstFree(state);
    this.#say(stream, state, found === undefined);
    return found === undefined ? undefined : { stream, partition: found };
  }

  /** Notes what a push of `count` envelopes of `bytes` in all left behind. */
  pushed({ stream, partition }: Partition, depth: number, count: number, bytes: number): void {
    const mean = bytes / count;
    this.#meanBytes = this.#meanBytes === 0 ? mean : this.#meanBytes * 0.9 + mean * 0.1;
    const state = this.#stateOf(stream);
    const held = depth * this.#meanBytes;
    const ratio = held / this.#terms.bufferMaxBytes;
    if (ratio < DEEP_RATIO) state.deep.delete(partition);
    else if (!state.deep.has(partition)) {
      state.deep.add(partition);
      this.#terms.log.warn("buffer.deep", {
        stream,
        partition,
        depth,
        bytes: Math.round(held),
        ratio: Math.round(ratio * 100) / 100,
      });
    }
    if (ratio >= 1) state.full.add(partition);
    if (depth >= this.#terms.deepAt) state.current = (partition + 1) % this.#terms.partitions;
  }

  /** Redis refused a push to this partition because its list is full. */
  refused({ stream, partition }: Partition): void {
    this.#stateOf(stream).full.add(partition);
  }

  /** Redis refused because everything is full: sheds the stream until the next look. */
  refusedAll(stream: string): void {
    const state = this.#stateOf(stream);
    for (let partition = 0; partition < this.#terms.partitions; partition++) state.full.add(partition);
    state.askAtMs = this.#terms.now() + ASK_EVERY_MS;
    this.#say(stream, state, true);
  }

  #stateOf(stream: string): StreamState {
    const known = this.#states.get(stream);
    if (known) return known;
    const state: StreamState = {
      current: this.#first,
      full: new Set(),
      deep: new Set(),
      askAtMs: 0,
      isShedding: false,
    };
    this.#states.set(stream, state);
    return state;
  }

  #firstFree(state: StreamState): number | undefined {
    for (let step = 0; step < this.#terms.partitions; step++) {
      const partition = (state.current + step) % this.#terms.partitions;
      if (!state.full.has(partition)) return partition;
    }
    return undefined;
  }

  /** One LLEN: on the current partition, and next time on the one after it. */
  async #askAgain(stream: string, state: StreamState): Promise<void> {
    const partition = state.current;
    state.current = (partition + 1) % this.#terms.partitions;
    const depth = await this.#terms.depthOf({ stream, partition });
    if (depth * this.#meanBytes >= this.#terms.bufferMaxBytes) return;
    state.full.delete(partition);
    state.current = partition;
  }

  #say(stream: string, state: StreamState, isShedding: boolean): void {
    if (state.isShedding === isShedding) return;
    state.isShedding = isShedding;
    if (isShedding) this.#terms.log.warn("shedding.started", { stream });
    else this.#terms.log.info("shedding.ended", { stream });
  }
}
