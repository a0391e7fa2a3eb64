/**
 * A client's queue in the store. Keeps its lease by a beat while it has events, and takes over queues whose owner is gone: those that were let
 * go, and those whose beat did not change for `pace.watchMs` of watching. A store that fails is told by `false`, never by an error.
 */
import type { Pace } from "./options.ts";
import type { Store, StoredEvent } from "./store.ts";
import { later, now } from "./timer.ts";

export interface KeeperOptions {
  /** Absent: the client's memory is all there is. */
  store: Store | undefined;
  queue: string;
  pace: Pace;
  /** Whether the owner may be gone in a moment: then anyone may take the queue over. */
  isHidden: () => boolean;
  hasEvents: () => boolean;
  onTaken(events: readonly StoredEvent[]): void;
}

export interface Keeper {
  /** Resolves to whether the store has the events. */
  put(events: readonly StoredEvent[]): Promise<boolean>;
  remove(keys: readonly string[]): Promise<boolean>;
  clear(): Promise<boolean>;
  /** Says that the owner lives, or that anyone may take the queue over. */
  beat(isFree?: boolean): Promise<boolean>;
  /** Resolves when the last look at other queues is over: what was free is taken. Never rejects. */
  looked(): Promise<void>;
  /** Takes no more queues, and lets its own go. */
  stop(): Promise<boolean>;
}

/** Takes over what it can at once, and then every now and again. */
export function startKeeper({ store, queue, pace, isHidden, hasEvents, onTaken }: KeeperOptions): Keeper {
  const seen = new Map<string, { beat: string | undefined; atMs: number }>();
  let beats = 0;
  let clears = 0;
  let wasFree = false;
  let cancelTurn = () => {};
  let looked = Promise.resolve();

  function turn(): void {
    if (hasEvents()) void beat();
    if (!isHidden()) looked = look(); // two hidden pages would take one queue from each other, to and fro
    cancelTurn = later(pace.beatMs, turn);
  }

  function beat(isFree = isHidden()): Promise<boolean> {
    wasFree = isFree;
    return attempt("beat", isFree ? "" : `${++beats}`);
  }

  async function look(): Promise<void> {
    try {
      for (const [other, found] of (await store?.queues()) ?? []) {
        const before = clears;
        if (other === queue || !isVoid(other, found)) continue;
        const taken = (await store?.take(other, found, queue)) ?? [];
        if (before === clears) onTaken(taken);
        else void remove(taken.map(({ key }) => key)); // it may have put back what was cleared meanwhile
      }
    } catch {
      // The next look tries again.
    }
  }

  /** Compares with what was seen before, by the watcher's own monotonic clock: no two clocks are compared. */
  function isVoid(other: string, found: string | undefined): boolean {
    const before = seen.get(other);
    if (found === "") return true;
    if (before && before.beat === found) return now() - before.atMs >= pace.watchMs;
    seen.set(other, { beat: found, atMs: now() });
    return false;
  }

  /** Begins at once, in the caller's own task. */
  async function attempt(what: "put" | "remove" | "beat" | "clear", value?: unknown): Promise<boolean> {
    try {
      await (store as Record<typeof what, (queue: string, value: unknown) => unknown> | undefined)?.[what](
        queue,
        value,
      );
      return true;
    } catch {
      return false;
    }
  }

  const remove = (keys: readonly string[]) => attempt("remove", keys);

  turn();
  return {
    beat,
    looked: () => looked,
    put(events) {
      if (wasFree !== isHidden()) void beat();
      return attempt("put", events);
    },
    remove,
    clear() {
      clears++;
      return attempt("clear");
    },
    stop() {
      cancelTurn();
      return beat(true);
    },
  };
}
