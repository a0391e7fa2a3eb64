/** How long a pause may be: the supervisor and the command line read it alike. */
import { secondsOf } from "./length-of-time.ts";

/** A forgotten pause fills the buffer, so it ends after a day at most. */
const MAX_SECONDS = 86_400;

/** Without a length, a pause is so long. */
export const PAUSE_DEFAULT = "1h";
/** The most characters of the reason of a pause. */
export const WHY_MAX = 200;

export const PAUSE_LENGTH_EXPECTED = "expected a length of time from 1s to 24h, such as 30min or 2h";

/** The length in seconds; undefined: it is none, or out of bounds. */
export function pauseSecondsOf(text: string): number | undefined {
  const seconds = secondsOf(text) ?? 0;
  return seconds > 0 && seconds <= MAX_SECONDS ? seconds : undefined;
}
