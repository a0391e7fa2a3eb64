/** The moments that options such as `--since` take, by a clock that stands still. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { momentOf } from "../../dev/operate/moment.ts";

beforeEach(() => void vi.useFakeTimers({ now: Date.parse("2026-03-04T12:00:00Z") }));
afterEach(() => void vi.useRealTimers());

test.each([
  ["90s", "2026-03-04T11:58:30.000Z"],
  ["30m", "2026-03-04T11:30:00.000Z"],
  ["30min", "2026-03-04T11:30:00.000Z"], // as the lengths of time of keys are written
  ["2h", "2026-03-04T10:00:00.000Z"],
  ["3d", "2026-03-01T12:00:00.000Z"],
  ["2026-03-01T09:30:00+01:00", "2026-03-01T09:30:00+01:00"],
])("%s is %s", (text, moment) => expect(momentOf("--since", text)).toBe(moment));

test.each(["yesterday", "30", "30minutes", "h", "2026-13-01T00:00:00Z", "constructor"])(
  "%s is a sentence",
  (text) => expect(() => momentOf("--since", text)).toThrow(/^--since: expected 2026-11-21T09:30:00Z, or /),
);
