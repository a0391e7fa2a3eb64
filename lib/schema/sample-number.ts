/** Numbers for examples of z.number(). Whether a number fits is decided by the schema itself; this file only proposes. */
import type { z } from "zod";

/** Bounds beyond these are cut, so that an example stays readable. */
const FAR = 1_000_000;
/** Width of a range that has one bound or none. */
const WIDTH = 1000;
/** The same for small numbers, which a smallint holds. */
const SMALL_WIDTH = 100;

/**
 * Proposes numbers within the bounds; `i` walks through them from one bound to the other in ten steps, with fractions where
 * they are allowed. Number 0 is a whole number in the middle. `isSmall`: whole numbers near 0 only.
 */
export function sampleNumbers(def: z.core.$ZodNumberDef, i: number, isSmall: boolean): number[] {
  const checks = [def, ...(def.checks ?? []).map(({ _zod }) => _zod.def)] as readonly object[];
  const { low, high } = isSmall ? nearZero(rangeOf(checks)) : rangeOf(checks);
  const value = low + (high - low) * (((i + 5) % 10) / 9);
  const step = valuesOf(checks, "multiple_of")[0] ?? (i === 0 || isSmall || isWhole(checks) ? 1 : undefined);
  const steps =
    step === undefined
      ? []
      : [Math.round, Math.floor, Math.ceil].map((round) => toStep(round(value / step), step));
  return [...steps, value, (low + high) / 2, low, high];
}

/** 3 × 0.1 is 0.3 here, not 0.30000000000000004. */
const toStep = (count: number, step: number) => Number((count * step).toPrecision(15));

const isWhole = (checks: readonly object[]) =>
  checks.some((check) => "format" in check && String(check.format).includes("int"));

/** The numbers that checks of one kind name. */
const valuesOf = (checks: readonly object[], kind: string): number[] =>
  checks.flatMap((check) =>
    "check" in check && check.check === kind && "value" in check ? [Number(check.value)] : [],
  );

interface Range {
  low: number;
  high: number;
}

function rangeOf(checks: readonly object[]): Range {
  const lows = valuesOf(checks, "greater_than");
  const highs = valuesOf(checks, "less_than");
  const top = Math.min(...highs);
  const low = lows.length > 0 ? Math.max(...lows) : top <= 0 ? top - WIDTH : 0;
  const high = highs.length > 0 ? top : low + WIDTH;
  return {
    low: low < -FAR && high > -FAR ? -FAR : low,
    high: high > FAR && low < FAR ? FAR : high,
  };
}

function nearZero({ low, high }: Range): Range {
  const start = Math.min(Math.max(0, low), high);
  return { low: start, high: Math.min(high, start + SMALL_WIDTH) };
}
