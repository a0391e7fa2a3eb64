/**
 * Looks for held letters that Redis has forgotten: it lost the note of them, or was restored from an older state. Once an hour a
 * process asks Postgres, in a call that has reached Postgres anyway, so that an idle database is not woken.
 */
import type { HeldNotes } from "../buffer/held-note.ts";
import type { Store } from "../store/store.ts";

const LOOK_EVERY_MS = 3_600_000;

interface Deps {
  store: Pick<Store, "nextHeldInMs">;
  heldNotes: Pick<HeldNotes, "note">;
  monotonicMs: () => number;
}

export class HeldLookout {
  #nextAtMs = 0;

  /** Notes that there are held letters, if there are any; at most once an hour. Throws what the store and the notes throw. */
  async look({ store, heldNotes, monotonicMs }: Deps, streams: readonly string[]): Promise<void> {
    if (monotonicMs() < this.#nextAtMs) return;
    const isHeld = (await store.nextHeldInMs(streams)) !== undefined;
    if (isHeld) await heldNotes.note();
    this.#nextAtMs = monotonicMs() + LOOK_EVERY_MS;
  }
}
