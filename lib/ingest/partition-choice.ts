/**
 * Chooses the partition of a stream that this instance pushes to, and says when it pushes no more.
 *
 * An instance keeps to one partition of its own, so that quiet traffic makes full batches. It moves on when that
 * one is deep, so that several are drained at once. Past the high-water mark (depth × the instance's mean
 * envelope size) a partition takes no more: the push that passed it is kept, the next goes elsewhere, and when
 * all are full the stream is shed. While shedding, one LLEN a second asks again.
 */
import { fieldsOfPartition, type Partition } from "../buffer/redis-keys.ts";
import type { Log } from "../log.ts";

interface Deps {
  partitions: number;
  /** The high-water mark of one partition, in bytes. */
  bufferMaxBytes: number;
  /** From this depth on the next push goes to the next partition. */
  moveOnAtDepth: number;
  depthOf(partition: Partition): Promise<number>;
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

export class PartitionChoice {
  readonly #deps: Deps;
  readonly #first: number;
  readonly #states = new Map<string, StreamState>();
  /** The mean size of this instance's envelopes, in bytes, recent ones counting most. */
  #meanBytes = 0;

  constructor(deps: Deps) {
    this.#deps = deps;
    this.#first = (deps.first ?? Math.floor(Math.random() * deps.partitions)) % deps.partitions;
  }

  /** The partition for the next push; undefined: shed. */
  async choose(stream: string): Promise<Partition | undefined> {
    const state = this.#stateOf(stream);
    const free = this.#firstFree(state);
    if (free !== undefined) return { stream, index: free };
    if (this.#deps.now() >= state.askAtMs) {
      state.askAtMs = this.#deps.now() + ASK_EVERY_MS;
      await this.#askAgain(stream, state);
    }
    const found = this.#firstFree(state);
    this.#logShedding(stream, state, found === undefined);
    return found === undefined ? undefined : { stream, index: found };
  }

  /** Notes the depth after a push of `count` envelopes with `bytes` in all. */
  pushed({ stream, index }: Partition, depth: number, count: number, bytes: number): void {
    const mean = bytes / count;
    this.#meanBytes = this.#meanBytes === 0 ? mean : this.#meanBytes * 0.9 + mean * 0.1;
    const state = this.#stateOf(stream);
    const held = depth * this.#meanBytes;
    const ratio = held / this.#deps.bufferMaxBytes;
    if (ratio < DEEP_RATIO) state.deep.delete(index);
    else if (!state.deep.has(index)) {
      state.deep.add(index);
      this.#deps.log.warn("buffer.deep", {
        ...fieldsOfPartition({ stream, index }),
        depth,
        bytes: Math.round(held),
        ratio: Math.round(ratio * 100) / 100,
      });
    }
    if (ratio >= 1) state.full.add(index);
    if (depth >= this.#deps.moveOnAtDepth) state.current = (index + 1) % this.#deps.partitions;
  }

  /** Redis refused a push to this partition because its list is full. */
  refused({ stream, index }: Partition): void {
    this.#stateOf(stream).full.add(index);
  }

  /** Redis refused because everything is full: sheds the stream until the next look. */
  refusedAll(stream: string): void {
    const state = this.#stateOf(stream);
    for (let index = 0; index < this.#deps.partitions; index++) state.full.add(index);
    state.askAtMs = this.#deps.now() + ASK_EVERY_MS;
    this.#logShedding(stream, state, true);
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
    for (let step = 0; step < this.#deps.partitions; step++) {
      const index = (state.current + step) % this.#deps.partitions;
      if (!state.full.has(index)) return index;
    }
    return undefined;
  }

  /** One LLEN: on the current partition, and next time on the one after it. */
  async #askAgain(stream: string, state: StreamState): Promise<void> {
    const index = state.current;
    state.current = (index + 1) % this.#deps.partitions;
    const depth = await this.#deps.depthOf({ stream, index });
    if (depth * this.#meanBytes >= this.#deps.bufferMaxBytes) return;
    state.full.delete(index);
    state.current = index;
  }

  #logShedding(stream: string, state: StreamState, isShedding: boolean): void {
    if (state.isShedding === isShedding) return;
    state.isShedding = isShedding;
    if (isShedding) this.#deps.log.warn("shedding.started", { stream });
    else this.#deps.log.info("shedding.ended", { stream });
  }
}
