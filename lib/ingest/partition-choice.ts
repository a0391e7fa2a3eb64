/**
 * Chooses the partition of a stream for this instance's next push, and says when the stream must be shed.
 *
 * An instance keeps pushing to one partition, so that quiet traffic makes full batches. It moves to the next partition when
 * that one is deep, so that several are drained at once.
 *
 * A partition's size is estimated as its depth × the mean size of this instance's envelopes. A partition over the high-water
 * mark is full. The push that passed the mark is kept; the next one goes to another partition. When all are full, the stream is
 * shed. While it is shed, this instance asks for the depth of one partition a second (one LLEN).
 */
import { fieldsOfPartition, type Partition } from "../buffer/redis-keys.ts";
import type { Log } from "../log.ts";

interface Deps {
  partitions: number;
  /** The high-water mark of one partition, in bytes. */
  bufferMaxBytes: number;
  /** If a push leaves a partition at this depth or deeper, the next push goes to the next partition. */
  moveOnAtDepth: number;
  depthOf(partition: Partition): Promise<number>;
  now: () => number;
  log: Log;
  /** The partition with which this instance begins. Random, so that instances spread. @default random */
  first?: number;
}

/** The time between two looks at a full partition's depth while the stream is shed, in milliseconds. */
const ASK_EVERY_MS = 1000;
/** The part of the high-water mark from which `buffer.deep` is logged. */
const DEEP_RATIO = 0.5;

interface StreamState {
  current: number;
  full: Set<number>;
  deep: Set<number>;
  askAtMs: number;
  isShedding: boolean;
}

/**
 * Chooses the partition of each push.
 *
 * @example
 * const partition = await choice.choose("orders"); // undefined: every partition is full, so shed
 * if (partition) choice.pushed(partition, await buffer.push(partition, texts), texts.length, bytes);
 */
export class PartitionChoice {
  readonly #deps: Deps;
  readonly #first: number;
  readonly #states = new Map<string, StreamState>();
  /** The mean size of this instance's envelopes, in bytes. Recent envelopes count most. */
  #meanBytes = 0;

  constructor(deps: Deps) {
    this.#deps = deps;
    this.#first = (deps.first ?? Math.floor(Math.random() * deps.partitions)) % deps.partitions;
  }

  /** Chooses the partition for the next push; undefined: shed. Throws the error of `depthOf`. */
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

  /** Notes a partition's depth after a push of `count` envelopes with `bytes` bytes in total. */
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

  /** Notes that Redis refused a push because this partition's list is full. */
  refused({ stream, index }: Partition): void {
    this.#stateOf(stream).full.add(index);
  }

  /** Notes that Redis refused a push because all of Redis is full. The stream is shed until the next look. */
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

  /** Asks for the depth of the current partition (one LLEN). The next call asks for the partition after it. */
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
