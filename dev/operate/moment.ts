/** Reads a moment on the command line: RFC 3339, or so long ago. */
import { secondsOf } from "../../lib/contract/length-of-time.ts";
import { UsageError } from "./command-line.ts";

const RFC_3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/;

/** Returns the moment as RFC 3339, or throws a UsageError that names the option. */
export function momentOf(option: string, text: string): string {
  const seconds = secondsOf(text);
  if (seconds !== undefined) return new Date(Date.now() - seconds * 1000).toISOString();
  if (RFC_3339.test(text) && !Number.isNaN(Date.parse(text))) return text;
  throw new UsageError(`${option}: expected 2026-11-21T09:30:00Z, or 90s, 30m, 2h, 3d ago, got "${text}"`);
}
