/**
 * Reads points in time as Postgres does. An instant is in range from 0001-01-01T00:00:00Z to 9999-12-31T23:59:59.999999Z, counted
 * after its offset and after rounding. Postgres goes further, but writes years there that no RFC 3339 text has.
 *
 * RFC 3339 and Postgres differ. Postgres also takes 24:00:00, and RFC 3339 does not. RFC 3339 also has offsets of 16 hours
 * and more, parts of the second after 23:59:60, and fractions of any length.
 */

/** A point in time. Where rounding reaches the next second, `micros` is 1,000,000. */
export interface Instant {
  /** Whole seconds since 1970. */
  seconds: number;
  micros: number;
}

/** ISO 8601 with a date, and maybe a time to the minute or the second, and an offset. A space may stand in place of T. */
const ISO = /^\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:[Zz]|[+-]\d\d:\d\d)?)?$/;
/** What RFC 3339 demands beyond that: seconds, and an offset. */
const SECONDS_AND_OFFSET = /^.{16}:.*(?:[Zz]|[+-].{5})$/;
/** The same for others, as a pattern: all that it refuses is refused here, and besides it days that no month has, and far times. */
export const RFC_3339 = String.raw`^(?!0000)\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])[Tt ](?:[01]\d|2[0-3]):[0-5]\d:(?:[0-5]\d|60)(?:\.\d+)?(?:[Zz]|[+-](?:0\d|1[0-5]):[0-5]\d)$`;
/** The most characters that Postgres takes. */
export const INSTANT_MAX = 149;
const FIRST_SECOND = -62_135_596_800;
const LAST_SECOND = 253_402_300_799;
const DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
const SECONDS_OF_400_YEARS = 146_097 * 86_400;
const NO_TIME = "expected a time of day from 00:00:00 to 23:59:60";

/** Reads an RFC 3339 date-time. Returns what was expected, in words, if it is none, or none that Postgres takes. */
export function readRfc3339(text: string): Instant | string {
  if (text.length > INSTANT_MAX) return `expected at most ${INSTANT_MAX} characters`;
  if (!ISO.test(text) || !SECONDS_AND_OFFSET.test(text))
    return "expected an RFC 3339 date-time such as 2026-11-21T09:30:00Z";
  return twoDigits(text, 11) === 24 ? NO_TIME : readOnce(text, true);
}

/**
 * Says why a date or timestamp column can't hold an ISO 8601 text; undefined: it can, or the text has another form, on which
 * Postgres decides. A column without a time zone ignores the offset, if there is such an offset.
 */
export function errorOfTime(text: string, hasZone: boolean): string | undefined {
  if (!isLast(text, hasZone) && !ISO.test(text)) return undefined;
  const read = readOnce(text, hasZone);
  return typeof read === "string" ? read : undefined;
}

/** The last text that was read: an event's schema and its column read the same one. */
let last: { text: string; hasZone: boolean; read: Instant | string } | undefined;

const isLast = (text: string, hasZone: boolean) => last?.text === text && last.hasZone === hasZone;

function readOnce(text: string, hasZone: boolean): Instant | string {
  if (last !== undefined && isLast(text, hasZone)) return last.read;
  const read = readParts(text, hasZone);
  last = { text, hasZone, read };
  return read;
}

/** Reads a text of the form ISO, each part at its place. */
function readParts(text: string, hasZone: boolean): Instant | string {
  const day = secondOfDate(
    twoDigits(text, 0) * 100 + twoDigits(text, 2),
    twoDigits(text, 5),
    twoDigits(text, 8),
  );
  if (day === undefined) return "expected a date that the calendar has, from year 1 to 9999";
  const zoneAt = startOfZone(text);
  const part = (at: number) => (at < zoneAt ? twoDigits(text, at) : 0);
  const [hour, minute, second] = [part(11), part(14), part(17)];
  const micros = zoneAt > 19 ? microsOf(text, 19, zoneAt) : 0;
  const time = hour * 3600 + minute * 60 + second;
  if (minute > 59 || second > 60 || time * 1_000_000 + micros > 86_400_000_000) return NO_TIME;
  const offset = secondsOfOffset(text.slice(zoneAt));
  if (offset === undefined) return "expected an offset under 16 hours";
  const seconds = day + time - (hasZone ? offset : 0);
  const isInRange = seconds >= FIRST_SECOND && seconds + Math.trunc(micros / 1_000_000) <= LAST_SECOND;
  return isInRange
    ? { seconds, micros }
    : "expected a time from year 1 to 9999, in UTC and to the microsecond";
}

/** The number that two digits of the text are. Slices of it would take thrice as long. */
const twoDigits = (text: string, at: number): number =>
  text.charCodeAt(at) * 10 + text.charCodeAt(at + 1) - 528;

/** The microseconds of a fraction (".123") that stands between two places. */
function microsOf(text: string, from: number, to: number): number {
  if (to - from > 7) return roundHalfToEven(Number(`0${text.slice(from, to)}`) * 1_000_000);
  let micros = 0;
  for (let at = from + 1; at <= from + 6; at++)
    micros = micros * 10 + (at < to ? text.charCodeAt(at) - 48 : 0);
  return micros;
}

/** Where the offset begins; without one, where the text ends. */
function startOfZone(text: string): number {
  const end = text.length - 1;
  if (isOneOf(text, end, "Z", "z")) return end;
  return end > 15 && isOneOf(text, end - 5, "+", "-") ? end - 5 : text.length;
}

const isOneOf = (text: string, at: number, one: string, other: string): boolean =>
  text[at] === one || text[at] === other;

/** The second since 1970 in which a day begins; undefined: the calendar has no such day. */
function secondOfDate(year: number, month: number, day: number): number | undefined {
  const isLeapYear = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  const days = month === 2 && isLeapYear ? 29 : (DAYS[month - 1] ?? 0);
  if (year === 0 || day === 0 || day > days) return undefined;
  // Date.UTC takes a year below 100 for one of the twentieth century. After 400 years the calendar repeats.
  return Date.UTC(year + 400, month - 1, day) / 1000 - SECONDS_OF_400_YEARS;
}

/** The seconds of an offset in text: "", "Z", "+05:30". */
function secondsOfOffset(zone: string): number | undefined {
  if (zone.length < 2) return 0;
  const [hours, minutes] = [twoDigits(zone, 1), twoDigits(zone, 4)];
  if (hours > 15 || minutes > 59) return undefined;
  return (hours * 3600 + minutes * 60) * (zone.startsWith("-") ? -1 : 1);
}

/** Rounds as C's rint, which Postgres uses. */
function roundHalfToEven(value: number): number {
  const rounded = Math.round(value);
  return rounded - value === 0.5 && rounded % 2 === 1 ? rounded - 1 : rounded;
}
