/**
 * The live history: what this instance did in the last 15 minutes, newest last, each line with a cursor. A drain notes a batch with one
 * push; who looks on reads behind a cursor, so that the history is the only buffer, however slow a reader is.
 *
 * It is bounded in lines, in characters and in time. What is beyond is kept in sums of each second (live-seconds.ts), or dropped. At
 * 100,000 events a minute, in batches of 100, the last 80 seconds are kept line by line, and all of it takes less than 3 MB.
 */
import { randomUUID } from "node:crypto";
import { LIVE_HISTORY_MS } from "../contract/live-bounds.ts";
import type { LiveHappening, LiveSums, LiveWaiting } from "../contract/live-history.ts";
import { LiveSeconds } from "./live-seconds.ts";

const LINES_MAX = 2000;
const CHARACTERS_MAX = 1_500_000;

/** One line. The text is flat: it holds no part of an event's text in memory. */
interface Entry {
  text: string;
  /** By the wall clock. */
  atMs: number;
  /** By the clock that is never set back. */
  notedMs: number;
  batch: LiveSums | undefined;
  waiting: readonly LiveWaiting[] | undefined;
}

/** A part of the history as text, and the cursor of its last line. */
export interface LivePart {
  text: string;
  cursor: number;
  /** Lines before it that are not kept any more. */
  missed: number;
}

interface Clocks {
  now: () => number;
  monotonicMs: () => number;
}

export class LiveRing {
  /** Names this history. */
  readonly id = randomUUID();
  readonly #clocks: Clocks;
  readonly #seconds = new LiveSeconds();
  #sinceMs: number;
  #entries: Entry[] = [];
  #characters = 0;
  #newest = 0;
  #changedMs: number;
  #lastPart: (LivePart & { after: number }) | undefined;

  constructor(clocks: Clocks) {
    this.#clocks = clocks;
    this.#sinceMs = clocks.now();
    this.#changedMs = clocks.monotonicMs();
  }

  /** The cursor of the newest line; 0: there was none. */
  get newest(): number {
    return this.#newest;
  }

  /** The cursor of the oldest line that is kept as it is; one more than the newest if none is. */
  get oldest(): number {
    return this.#newest - this.#entries.length + 1;
  }

  /** When the newest line was noted, by the clock that is never set back. */
  get changedMs(): number {
    return this.#changedMs;
  }

  /** Since when there is history, by the wall clock. */
  get sinceMs(): number {
    this.#prune();
    return Math.max(this.#sinceMs, this.#clocks.now() - LIVE_HISTORY_MS);
  }

  /** Notes what happened, now. */
  note(happening: LiveHappening): void {
    const atMs = this.#clocks.now();
    const notedMs = this.#clocks.monotonicMs();
    this.#newest += 1;
    const head = `{"cursor":${this.#newest},"at":"${new Date(atMs).toISOString()}",`;
    const text = `${head}${JSON.stringify(happening).slice(1)}\n`;
    const waiting = happening.kind === "counts" ? (happening.streams ?? undefined) : undefined;
    this.#entries.push({ text, atMs, notedMs, batch: sumsOf(happening), waiting });
    this.#characters += text.length;
    this.#changedMs = notedMs;
    this.#prune();
  }

  /** The lines behind a cursor: as many as fit into so many characters, but one at least; undefined: there are none. */
  after(cursor: number, charactersMax: number): LivePart | undefined {
    if (cursor >= this.#newest) return undefined;
    if (this.#lastPart?.after === cursor) return this.#lastPart; // the next of several readers
    let text = "";
    let last = Math.max(cursor, this.oldest - 1);
    const missed = last - cursor;
    for (const entry of this.#entries.slice(last + 1 - this.oldest)) {
      if (text !== "" && text.length + entry.text.length > charactersMax) break;
      text += entry.text;
      last += 1;
    }
    const part = { text, cursor: last, missed, after: cursor };
    this.#lastPart = part;
    return part;
  }

  /** The lines of the seconds that are older than the oldest line kept as it is. */
  seconds(): string[] {
    this.#prune();
    return this.#seconds.lines();
  }

  #prune(): void {
    const nowMs = this.#clocks.monotonicMs();
    let removed = 0;
    while (this.#isBeyond(this.#entries[removed], this.#entries.length - removed, nowMs)) {
      const { text, atMs, notedMs, batch, waiting } = this.#entries[removed] as Entry;
      this.#characters -= text.length;
      if (batch) this.#seconds.add(atMs, notedMs, batch);
      if (waiting) this.#seconds.setWaiting(atMs, notedMs, waiting);
      removed += 1;
    }
    if (removed > 0) this.#entries.splice(0, removed);
    this.#sinceMs = Math.max(this.#sinceMs, this.#seconds.prune(nowMs) ?? 0);
  }

  #isBeyond(entry: Entry | undefined, count: number, nowMs: number): boolean {
    if (entry === undefined) return false;
    const isTooMuch = count > LINES_MAX || this.#characters > CHARACTERS_MAX;
    return isTooMuch || nowMs - entry.notedMs > LIVE_HISTORY_MS;
  }
}

function sumsOf(happening: LiveHappening): LiveSums | undefined {
  if (happening.kind === "retried") {
    const { stream, stored, dead } = happening;
    return { ...NO_BATCH, stream, stored, dead };
  }
  if (happening.kind !== "batch") return undefined;
  const { stream, rows, bytes, stored, duplicates, superseded, held, dead, oldestLagMs, insertMs } =
    happening;
  return {
    stream,
    batches: 1,
    rows,
    bytes,
    stored,
    duplicates,
    superseded,
    held,
    dead,
    oldestLagMs,
    insertMs,
  };
}

const NO_BATCH = {
  ...{ batches: 0, rows: 0, bytes: 0, duplicates: 0, superseded: 0, held: 0 },
  ...{ oldestLagMs: 0, insertMs: 0 },
};
