/**
 * What a page knows of dead and held letters without asking Postgres: what the drain has set aside since the history begins, or since
 * Postgres counted last.
 */
import type { LiveLetters } from "../../../../lib/contract/live.ts";

type Counted = NonNullable<LiveLetters["streams"]>;

export interface SetAside {
  /** Postgres' last count, and when it came, by the supervisor's clock; undefined: it was never asked. */
  counted: { atMs: number; streams: Counted } | undefined;
  /** Events that became dead letters, or were held, since then, by stream. */
  since: ReadonlyMap<string, { dead: number; held: number }>;
}

export const NOTHING_SET_ASIDE: SetAside = { counted: undefined, since: new Map() };

/** Postgres has counted: that holds what came before. */
export const withCount = (aside: SetAside, streams: Counted | null, atMs: number): SetAside =>
  streams === null ? aside : { counted: { atMs, streams }, since: new Map() };

/** Adds what a batch, a second of batches or a retry has set aside. */
export function withSetAside(
  aside: SetAside,
  { stream, dead, held = 0 }: { stream: string; dead: number; held?: number },
): SetAside {
  if (dead + held === 0) return aside;
  const before = aside.since.get(stream) ?? { dead: 0, held: 0 };
  const now = { dead: before.dead + dead, held: before.held + held };
  return { ...aside, since: new Map(aside.since).set(stream, now) };
}
