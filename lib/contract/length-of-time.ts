/** Lengths of time as people write and read them. */

const SECONDS = { s: 1, m: 60, min: 60, h: 3600, d: 86_400 } as const;

/** The seconds of `90s`, `30m`, `30min`, `2h` or `3d`; undefined: it is none of these. */
export function secondsOf(text: string): number | undefined {
  const [, count, unit = ""] = /^(\d{1,6})(s|m|min|h|d)$/.exec(text) ?? [];
  return count === undefined ? undefined : Number(count) * SECONDS[unit as keyof typeof SECONDS];
}

/** Describes a length of time, roughly. */
export function describeSeconds(seconds: number): string {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} days`;
}

/** Describes a length of time that may be short, roughly. */
export const describeMs = (ms: number): string =>
  ms < 1000 ? `${Math.round(ms)} ms` : describeSeconds(ms / 1000);
