/** Reads a moment on the command line: RFC 3339, or so long ago. */
import { UsageError } from "./command-line.ts";

const UNIT_MS: Record<string, number> = { s: 1000, m: 60_000, min: 60_000, h: 3_600_000, d: 86_400_000 };
const RFC_3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/;

/** Returns the moment as RFC 3339, or throws a UsageError that names the option. */
export function momentOf(option: string, text: string): string {
  const [, amount, unit = ""] = /^(\d{1,6})(s|m|min|h|d)$/.exec(text) ?? [];
  if (amount !== undefined) return new Date(Date.now() - Number(amount) * (UNIT_MS[unit] ?? 0)).toISOString();
  if (RFC_3339.test(text) && !Number.isNaN(Date.parse(text))) return text;
  throw new UsageError(`${option}: expected 2026-11-21T09:30:00Z, or 90s, 30m, 2h, 3d ago, got "${text}"`);
}
