/** How many events the drain has stored today, by the day of whoever looks, or since the supervisor began if that was later. */
import type { LiveHello } from "../../../../lib/contract/live.ts";
import { LIVE_QUARTER_MS } from "../../../../lib/contract/live-bounds.ts";

export interface StoredSoFar {
  sinceMs: number;
  /** By the number of the quarter of an hour since 1970. */
  quarters: ReadonlyMap<number, number>;
}

const quarterOf = (at: string): number => Math.floor(Date.parse(at) / LIVE_QUARTER_MS);

/** What the supervisor had counted when a response began; undefined: it does not count. */
export const storedAt = ({ storedSoFar }: LiveHello): StoredSoFar | undefined =>
  storedSoFar && {
    sinceMs: Date.parse(storedSoFar.sinceAt),
    quarters: new Map(storedSoFar.quarters.map(({ at, stored }) => [quarterOf(at), stored])),
  };

/** Adds what was stored since then. */
export function withStoredAt(soFar: StoredSoFar | undefined, at: string, stored: number) {
  if (soFar === undefined || stored === 0) return soFar;
  const quarter = quarterOf(at);
  const quarters = new Map(soFar.quarters).set(quarter, (soFar.quarters.get(quarter) ?? 0) + stored);
  return { ...soFar, quarters };
}

/** The events of today, or since `sinceMs` if the count begins later than the day. `nowMs`: the supervisor's clock. */
export function storedToday({ sinceMs, quarters }: StoredSoFar, nowMs: number) {
  const dayMs = new Date(nowMs).setHours(0, 0, 0, 0);
  const ofToday = [...quarters].filter(([quarter]) => quarter * LIVE_QUARTER_MS >= dayMs);
  const stored = ofToday.reduce((sum, [, count]) => sum + count, 0);
  return { stored, sinceMs: sinceMs <= dayMs ? undefined : sinceMs };
}
