/** Intervals as settings write them: `500ms`, `60s`, `5m`, `1h`. */

const UNITS_MS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
/** What a timer takes at most. */
const LONGEST_MS = 2_147_483_647;

/** What is expected, for people. */
export const INTERVAL_FORM = "an interval like 500ms, 60s or 5m";

/** The milliseconds of an interval; undefined: it is none, or less than 10 ms, or more than a timer takes. */
export function intervalMsOf(text: string): number | undefined {
  const [, amount, unit = ""] = /^(\d+)(ms|s|m|h)$/.exec(text.trim()) ?? [];
  const ms = Number(amount) * (UNITS_MS[unit] ?? Number.NaN);
  return ms >= 10 && ms <= LONGEST_MS ? ms : undefined;
}
