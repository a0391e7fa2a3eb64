/**
 * The old part of the live history: what happened in each second, in sums. It is bounded in time and in numbers; beyond that the oldest
 * second is dropped.
 */
import { LIVE_HISTORY_MS } from "../contract/live-bounds.ts";
import type { LiveSecond, LiveSums, LiveWaiting } from "../contract/live-history.ts";

/** Sums of a stream, and streams of which something waited, in all seconds together: some 150 bytes each. */
const ITEMS_MAX = 6000;

interface Second {
  /** By the wall clock. */
  startsAtMs: number;
  /** By the clock that is never set back. */
  endedMs: number;
  sums: Map<string, LiveSums>;
  waiting: readonly LiveWaiting[] | undefined;
}

const sizeOf = ({ sums, waiting }: Second): number => sums.size + (waiting?.length ?? 0);

export class LiveSeconds {
  #seconds: Second[] = [];
  #items = 0;

  /** Adds a batch that was settled at that moment. Moments come in their order. */
  add(atMs: number, monotonicMs: number, batch: LiveSums): void {
    const { sums } = this.#secondOf(atMs, monotonicMs);
    const known = sums.get(batch.stream);
    if (known === undefined) this.#items += 1;
    sums.set(batch.stream, known === undefined ? batch : sumOf(known, batch));
  }

  /** Notes what waited at that moment. */
  setWaiting(atMs: number, monotonicMs: number, waiting: readonly LiveWaiting[]): void {
    const second = this.#secondOf(atMs, monotonicMs);
    this.#items += waiting.length - (second.waiting?.length ?? 0);
    second.waiting = waiting;
  }

  /** Drops what is too old or too much. Returns the end of what was dropped, by the wall clock; undefined: nothing was. */
  prune(monotonicMs: number): number | undefined {
    let droppedUntilMs: number | undefined;
    let first = this.#seconds[0];
    while (first && (monotonicMs - first.endedMs > LIVE_HISTORY_MS || this.#items > ITEMS_MAX)) {
      this.#items -= sizeOf(first);
      this.#seconds.shift();
      droppedUntilMs = first.startsAtMs + 1000;
      first = this.#seconds[0];
    }
    return droppedUntilMs;
  }

  /** The lines of all seconds, oldest first. */
  lines(): string[] {
    return this.#seconds.map(({ startsAtMs, sums, waiting }) => {
      const at = new Date(startsAtMs).toISOString();
      const streams = [...sums.values()];
      const line: LiveSecond = { kind: "second", at, streams, ...(waiting && { waiting }) };
      return `${JSON.stringify(line)}\n`;
    });
  }

  #secondOf(atMs: number, monotonicMs: number): Second {
    const startsAtMs = Math.floor(atMs / 1000) * 1000;
    const last = this.#seconds.at(-1);
    if (last?.startsAtMs === startsAtMs) {
      last.endedMs = monotonicMs;
      return last;
    }
    const second = { startsAtMs, endedMs: monotonicMs, sums: new Map(), waiting: undefined };
    this.#seconds.push(second);
    return second;
  }
}

const sumOf = (a: LiveSums, b: LiveSums): LiveSums => ({
  stream: a.stream,
  batches: a.batches + b.batches,
  rows: a.rows + b.rows,
  bytes: a.bytes + b.bytes,
  stored: a.stored + b.stored,
  duplicates: a.duplicates + b.duplicates,
  superseded: a.superseded + b.superseded,
  held: a.held + b.held,
  dead: a.dead + b.dead,
  oldestLagMs: Math.max(a.oldestLagMs, b.oldestLagMs),
  insertMs: Math.max(a.insertMs, b.insertMs),
});
