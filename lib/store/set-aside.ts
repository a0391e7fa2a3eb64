/** Sets events aside, and has held ones noted in Redis. */
import type { Stream } from "../schema/stream.ts";
import type { Letter } from "./letter.ts";
import type { Store } from "./store.ts";

interface Deps {
  store: Pick<Store, "bury">;
  /** Notes outside of Postgres that letters are held: whoever tries them again looks there. */
  heldNotes: { note(): Promise<void> };
}

/**
 * Buries letters of one stream. Held ones are noted before, because this process may die in between, and again after, because
 * meanwhile a drain may have found none and forgotten them. May be repeated. Throws what both ports throw.
 */
export async function setLettersAside(
  { store, heldNotes }: Deps,
  stream: Stream,
  letters: readonly Letter[],
): Promise<void> {
  const hasHeld = letters.some(({ tries }) => tries > 0);
  if (hasHeld) await heldNotes.note();
  await store.bury(stream, letters);
  if (hasHeld) await heldNotes.note();
}
