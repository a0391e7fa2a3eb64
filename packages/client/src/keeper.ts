/**
 * A client's queue in the store. Keeps its lease by a beat while it has events, and takes over queues whose owner is gone: those that were let
 * go, and those whose beat did not change for `pace.watchMs` of watching. A store that fails is told by `false`, never by an error.
 */
import type { Pace } from "./options.ts";
import type { Store, StoredEvent } from "./store.ts";
import { later } from "./timer.ts";

export interface KeeperOptions {
  store: Store;
  queue: string;
  now: () => number;
  pace: Pick<Pace, "beatMs" | "watchMs">;
  /** Whether the owner may be gone in a moment: then anyone may take the queue over. */
  isHidden: () => boolean;
  hasEvents: () => boolean;
  onTaken(events: StoredEvent[]): void;
}

export class Keeper {
  readonly #options: KeeperOptions;
  readonly #seen = new Map<string, { beat: string | undefined; atMs: number }>();
  #beats = 0;
  #isFree = false;
  #stop: () => void = () => {};

  constructor(options: KeeperOptions) {
    this.#options = options;
  }

  /** Takes over what it can, now and again. */
  start(): void {
    const { pace, hasEvents, isHidden } = this.#options;
    const turn = () => {
      if (hasEvents()) void this.beat();
      if (!isHidden()) void this.look(); // two hidden pages would take one queue from each other, to and fro
      this.#stop = later(pace.beatMs, turn);
    };
    turn();
  }

  /** Resolves to whether the store has the events. */
  put(events: readonly StoredEvent[]): Promise<boolean> {
    if (this.#isFree !== this.#options.isHidden()) void this.beat();
    return this.#try((store, queue) => store.put(queue, events));
  }

  remove(keys: readonly string[]): Promise<boolean> {
    return this.#try((store, queue) => store.remove(queue, keys));
  }

  clear(): Promise<boolean> {
    return this.#try((store) => store.clear());
  }

  /** Says that the owner lives, or that anyone may take the queue over. */
  beat(isFree = this.#options.isHidden()): Promise<boolean> {
    this.#isFree = isFree;
    const beat = isFree ? "" : String(++this.#beats);
    return this.#try((store, queue) => store.beat(queue, beat));
  }

  /** Takes over each queue that is free or void. */
  async look(): Promise<void> {
    const { store, queue, onTaken } = this.#options;
    try {
      const others = (await store.queues()).filter(([other]) => other !== queue);
      for (const [other] of this.#seen) if (!others.some(([one]) => one === other)) this.#seen.delete(other);
      for (const [other, beat] of others) {
        if (!this.#isVoid(other, beat)) continue;
        const taken = await store.take(other, beat, queue);
        if (taken.length > 0) onTaken(taken);
      }
    } catch {
      // The next look tries again.
    }
  }

  /** Lets the queue go. */
  async stop(): Promise<void> {
    this.#stop();
    await this.beat(true);
  }

  /** Compares with what was seen before, by the watcher's own monotonic clock: no two clocks are compared. */
  #isVoid(queue: string, beat: string | undefined): boolean {
    const nowMs = this.#options.now();
    const seen = this.#seen.get(queue);
    if (beat === "" || (seen?.beat === beat && seen && nowMs - seen.atMs >= this.#options.pace.watchMs))
      return true;
    if (!seen || seen.beat !== beat) this.#seen.set(queue, { beat, atMs: nowMs });
    return false;
  }

  /** Starts the work at once, in the caller's own task. */
  #try(work: (store: Store, queue: string) => unknown): Promise<boolean> {
    try {
      const done = work(this.#options.store, this.#options.queue);
      return Promise.resolve(done).then(
        () => true,
        () => false,
      );
    } catch {
      return Promise.resolve(false);
    }
  }
}
