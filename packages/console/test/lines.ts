/** Lines of `GET /live` for tests, and the state that follows from them. */
import type { LiveHello, LiveLine } from "../../../lib/contract/live.ts";
import type { LiveWaiting } from "../../../lib/contract/live-history.ts";
import { type LiveState, NOTHING_SEEN, withLiveLines } from "../src/model/live-state.ts";

/** The moment of each test, by the page's clock and by the supervisor's. */
export const NOW = "2026-11-28T10:15:00.000Z";
export const nowMs = Date.parse(NOW);

export const before = (seconds: number): string => new Date(nowMs - seconds * 1000).toISOString();

export const hello = (more: Partial<LiveHello> = {}): LiveHello => ({
  kind: "hello",
  ring: "r1",
  sinceAt: before(600),
  cursor: 0,
  isContinued: false,
  nowAt: NOW,
  pollMs: 1000,
  streams: ["events", "leads"],
  paused: [],
  panels: [],
  readable: [],
  ...more,
});

let cursor = 0;
const placed = (at: string) => ({ cursor: ++cursor, at });

export const counts = (streams: Partial<LiveWaiting>[] | null, at = NOW): LiveLine => ({
  kind: "counts",
  ...placed(at),
  streams: streams?.map((one) => ({ ...NONE, ...one })) ?? null,
});

const NONE: LiveWaiting = {
  stream: "events",
  pending: 0,
  sealed: 0,
  claimed: 0,
  oldestReceivedAt: null,
  heldPartitions: 0,
  heldSinceAt: null,
};

export const batch = (rows: number, at = NOW, stream = "events"): LiveLine => ({
  ...{ kind: "batch", ...placed(at), stream, partition: 0, rows, bytes: rows * 200, stored: rows },
  ...{ duplicates: 0, superseded: 0, held: 0, dead: 0, ids: [], oldestLagMs: 1, newestLagMs: 1, insertMs: 1 },
});

export const stopped = (
  outcome: "unreachable" | "busy" | "misconfigured" | "abandoned",
  reason: string | null,
  sqlstate: string | null = null,
): LiveLine => ({
  kind: "stopped",
  ...placed(NOW),
  stream: "events",
  partition: 0,
  outcome,
  sqlstate,
  reason,
});

export const pause = (isPaused: boolean, untilAt: string | null, by: string | null = null): LiveLine => ({
  ...{ kind: "pause", ...placed(before(60)), stream: "events", isPaused, untilAt, by },
});

/** The state after lines that follow on a hello. */
export const after = (...lines: LiveLine[]): LiveState =>
  withLiveLines(NOTHING_SEEN, [hello(), counts([]), ...lines], nowMs);
