/** Turns figures of seconds into the points of an SVG line. */

/** The size of a chart, in its own units. */
export const WIDTH = 300;
export const HEIGHT = 90;

/** Points for `polyline`: the first second at the left, `secondsMax` at the right. Null leaves a gap, so there may be several lines. */
export function pointsOf(
  values: readonly (number | null)[],
  secondsMax: number,
  heightOf: (value: number) => number,
): string[] {
  const lines: string[][] = [[]];
  for (const [i, value] of values.entries()) {
    const x = secondsMax <= 1 ? 0 : (i / (secondsMax - 1)) * WIDTH;
    if (value === null) lines.push([]);
    else lines.at(-1)?.push(`${round(x)},${round(HEIGHT - heightOf(value) * HEIGHT)}`);
  }
  return lines.filter((line) => line.length > 0).map((line) => line.join(" "));
}

/** 0 at the bottom, 1 at `max`. */
export const linear = (max: number) => (value: number) => between(value / Math.max(1, max));

/** Factors of ten in a chart of latencies: a request that waited 10 s for a connection may wait 10 s more for its answer. */
export const DECADES = 5;

/** 0 at 1 ms, 1 at 100 s: each factor of ten has the same height. */
export const logarithmic = (ms: number): number => between(Math.log10(Math.max(1, ms)) / DECADES);

const between = (share: number): number => Math.min(1, Math.max(0, share));
const round = (value: number): number => Math.round(value * 10) / 10;
