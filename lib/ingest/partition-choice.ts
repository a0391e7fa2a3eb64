/**
 * Chooses the partition of a stream for this instance's next push, and says when the stream must be shed.
 *
 * An instance keeps pushing to one partition, so that quiet traffic makes full batches. It moves to the next partition when
 * that one is deep, so that several are drained at once.
 *
 * stream-sizes.ts estimates a partition's size. A partition over the high-water mark is full. The push that passed the mark is
 * kept; the next one goes to another partition. When all are full, the stream is shed. Nothing is full for ever, and no
 * estimate alone decides for long: while a partition is full, or only the estimate says that it is half full, this instance
 * measures one such partition a second, in turn, with one script. While another partition is free, no push waits for that.
 */
import type { Measured } from "../buffer/measure.ts";
import { fieldsOfPartition, type Partition } from "../buffer/redis-keys.ts";
import type { Log } from "../log.ts";
import { StreamSizes } from "./stream-sizes.ts";

interface Deps {
  partitions: number;
  /** The high-water mark of one partition, in bytes. */
  bufferMaxBytes: number;
  /** If a push leaves a partition at this depth or deeper, the next push goes to the next partition. */
  moveOnAtDepth: number;
  measure(partition: Partition): Promise<Measured>;
  /** A clock that is never set back. */
  monotonicMs: () => number;
  log: Log;
  /** The partition with which this instance begins. Random, so that instances spread. @default random */
  first?: number;
}

/** The least time between two measurements of a stream's partitions, in milliseconds. */
const MEASURE_EVERY_MS = 1000;
/** The part of the high-water mark from which `buffer.deep` is logged. */
const DEEP_RATIO = 0.5;

interface StreamState {
  stream: string;
  current: number;
  sizes: StreamSizes;
  full: Set<number>;
  deep: Set<number>;
  /** Deep or full by the estimate of what others pushed: to be measured. */
  doubtful: Set<number>;
  measureAtMs: number;
  lastMeasured: number;
  isMeasuring: boolean;
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

  constructor(deps: Deps) {
    this.#deps = deps;
    this.#first = (deps.first ?? Math.floor(Math.random() * deps.partitions)) % deps.partitions;
  }

  /** Chooses the partition for the next push; undefined: shed. Throws the error of `measure`, but only if all are full. */
  async choose(stream: string): Promise<Partition | undefined> {
    const state = this.#stateOf(stream);
    const measuring = this.#measureIfDue(state);
    if (this.isFull(stream)) await measuring;
    else measuring?.catch(() => {}); // the push itself says whether Redis answers
    const index = this.#firstFree(state);
    this.#logShedding(state, index === undefined);
    return index === undefined ? undefined : { stream, index };
  }

  /** Whether all partitions are full, as far as this instance knows now. */
  isFull(stream: string): boolean {
    return this.#firstFree(this.#stateOf(stream)) === undefined;
  }

  /** Notes a partition's depth after a push of `count` envelopes with `bytes` bytes in total. */
  pushed({ stream, index }: Partition, depth: number, count: number, bytes: number): void {
    const state = this.#stateOf(stream);
    if (state.sizes.pushed(index, depth, count, bytes)) state.deep.delete(index);
    this.#judge(state, index);
    if (depth >= this.#deps.moveOnAtDepth) state.current = (index + 1) % this.#deps.partitions;
  }

  /** Notes that Redis refused a push because this partition's list is full. */
  refused({ stream, index }: Partition): void {
    this.#stateOf(stream).full.add(index);
  }

  /** Notes that Redis refused a push because all of Redis is full. The stream is shed until the next measurement. */
  refusedAll(stream: string): void {
    const state = this.#stateOf(stream);
    for (let index = 0; index < this.#deps.partitions; index++) state.full.add(index);
    state.measureAtMs = this.#deps.monotonicMs() + MEASURE_EVERY_MS;
    this.#logShedding(state, true);
  }

  #stateOf(stream: string): StreamState {
    const known = this.#states.get(stream);
    if (known) return known;
    const state: StreamState = {
      ...{ stream, current: this.#first, sizes: new StreamSizes() },
      ...{ full: new Set<number>(), deep: new Set<number>(), doubtful: new Set<number>() },
      ...{ measureAtMs: Number.NEGATIVE_INFINITY, lastMeasured: this.#first - 1 },
      ...{ isMeasuring: false, isShedding: false },
    };
    this.#states.set(stream, state);
    return state;
  }

  #firstFree(state: StreamState): number | undefined {
    return this.#firstAfter(state.current - 1, (index) => !state.full.has(index));
  }

  /** The first partition after this one, in turn, of which it is true. */
  #firstAfter(index: number, isTrue: (index: number) => boolean): number | undefined {
    const { partitions } = this.#deps;
    for (let step = 1; step <= partitions; step++) {
      const next = (index + step + partitions) % partitions;
      if (isTrue(next)) return next;
    }
    return undefined;
  }

  /** Says what the size of a partition means. A partition that is only estimated to be deep is measured before that is logged. */
  #judge(state: StreamState, index: number): void {
    const { bufferMaxBytes } = this.#deps;
    const { bytes, knownBytes, depth } = state.sizes.of(index);
    const isDeep = bytes >= DEEP_RATIO * bufferMaxBytes;
    const isKnown = knownBytes >= DEEP_RATIO * bufferMaxBytes;
    mark(state.full, index, bytes >= bufferMaxBytes);
    mark(state.doubtful, index, isDeep && !isKnown);
    if (isDeep && isKnown && !state.deep.has(index)) {
      const ratio = Math.round((bytes / bufferMaxBytes) * 100) / 100;
      const partition = fieldsOfPartition({ stream: state.stream, index });
      this.#deps.log.warn("buffer.deep", { ...partition, depth, bytes, ratio });
    }
    mark(state.deep, index, isDeep && isKnown);
  }

  /** Measures the next partition in turn that is full or doubtful, if there is one and the last was long enough ago. */
  #measureIfDue(state: StreamState): Promise<void> | undefined {
    if (state.full.size + state.doubtful.size === 0) return undefined;
    const nowMs = this.#deps.monotonicMs();
    if (state.isMeasuring || nowMs < state.measureAtMs) return undefined;
    const isWanted = (index: number) => state.full.has(index) || state.doubtful.has(index);
    const index = this.#firstAfter(state.lastMeasured, isWanted);
    if (index === undefined) return undefined;
    state.measureAtMs = nowMs + MEASURE_EVERY_MS;
    state.lastMeasured = index;
    return this.#measure(state, index);
  }

  async #measure(state: StreamState, index: number): Promise<void> {
    state.isMeasuring = true;
    try {
      state.sizes.measured(index, await this.#deps.measure({ stream: state.stream, index }));
      this.#judge(state, index);
    } finally {
      state.isMeasuring = false;
    }
  }

  #logShedding(state: StreamState, isShedding: boolean): void {
    if (state.isShedding === isShedding) return;
    state.isShedding = isShedding;
    const { stream } = state;
    if (isShedding) this.#deps.log.warn("shedding.started", { stream });
    else this.#deps.log.info("shedding.ended", { stream });
  }
}

function mark(set: Set<number>, index: number, isIn: boolean): void {
  if (isIn) set.add(index);
  else set.delete(index);
}
