/** Numbers and times as people read them. */

/** A count with its noun. */
export const countOf = (n: number, one: string, many = `${one}s`): string =>
  `${numberOf(n)} ${n === 1 ? one : many}`;

export const numberOf = (n: number): string =>
  n.toLocaleString("en-US", { maximumFractionDigits: n < 10 ? 1 : 0 });

/** A length of time, roughly. */
export function spanOf(ms: number): string {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
  const seconds = ms / 1000;
  if (seconds < 10) return `${(Math.round(seconds * 10) / 10).toString()} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} days`;
}

const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

/** The time of day of a moment, by this machine's zone: `10:04:31`, or `10:04`. */
export const clockOf = (at: string | number, length: "seconds" | "minutes" = "minutes"): string =>
  CLOCK.format(new Date(at)).slice(0, length === "seconds" ? 8 : 5);
