/** How the pause of a stream is told: in `GET /status`, in the answers to pause and resume, and as a sentence. */
import type { Pause } from "../buffer/pauses.ts";
import type { PauseReport } from "../contract/pause.ts";

interface Deps {
  paused: ReadonlySet<string>;
  now: () => number;
}

/** The report of a stream; null: it is drained. `pause`: its pause at run time. */
export function reportPause(
  { paused, now }: Deps,
  stream: string,
  pause: Pause | undefined,
): PauseReport | null {
  const isInEnvironment = paused.has(stream);
  if (pause === undefined && !isInEnvironment) return null;
  const { sinceMs, endsInMs, by, why } = pause ?? {};
  return {
    since: instant(sinceMs),
    until: isInEnvironment ? null : instant(endsInMs === undefined ? undefined : now() + endsInMs),
    by: by ?? null,
    why: why ?? null,
    isInEnvironment,
  };
}

/** Says until when, since when, by whom and why, as far as that is known; it goes on after "the stream". */
export function sayPaused({ since, until, by, why, isInEnvironment }: PauseReport): string {
  if (isInEnvironment) return "is in DRAIN_PAUSED";
  const parts = [
    until === null ? "without an end" : `until ${secondOf(until)}`,
    since !== null && `since ${secondOf(since)}`,
    by !== null && `by ${by}`,
  ].filter((part) => part !== false);
  return `is paused ${parts.join(", ")}${why === null ? "" : ` (${why})`}`;
}

const instant = (ms: number | undefined): string | null =>
  ms === undefined || ms > LAST_MS ? null : new Date(ms).toISOString();

/** The last moment that RFC 3339 can write. */
const LAST_MS = Date.UTC(9999, 11, 31, 23, 59, 59, 999);

/** `2026-11-21 09:30:05 UTC` */
const secondOf = (moment: string): string => `${moment.slice(0, 19).replace("T", " ")} UTC`;
