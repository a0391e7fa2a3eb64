/**
 * Texts for examples of z.string() and of zod's string formats. Whether a text fits is decided by the schema itself:
 * this file only proposes texts, the most readable one first.
 *
 * Number 0 is for people to read (docs, a curl line). The others carry characters that JSON, SQL and Redis escape.
 */
import { createHash } from "node:crypto";
import type { z } from "zod";

/** The arguments of a format: `version` of a UUID, `precision` of a time, `length` of a nanoid … */
interface FormatDef {
  format: string;
  version?: string | undefined;
  precision?: number | null | undefined;
  length?: number | undefined;
  delimiter?: string | undefined;
  alg?: string | undefined;
}

/** What the checks of a z.string() ask of its texts. */
interface Bounds {
  min: number;
  max: number;
  prefix: string;
  includes: string;
  suffix: string;
}

/** A plain text is cut here where the schema has no bound of its own, in UTF-16 units. */
const LENGTH_MAX = 1000;
/** Repeats of one character that are tried on a regular expression; more could take a bad one minutes. */
const REPEATS_MAX = 16;

/** Proposes texts for a string schema; `i` varies them. `isShort`: the shortest ones only, in ASCII. */
export function* sampleTexts(def: z.core.$ZodStringDef, i: number, isShort: boolean): Generator<string> {
  const checks = [def, ...(def.checks ?? []).map(({ _zod }) => _zod.def)];
  for (const check of checks)
    if ("format" in check && typeof check.format === "string") yield* textsOfFormat(check as FormatDef, i);
  const bounds = boundsOf(checks);
  if (!isShort) {
    yield fitText(i === 0 ? "text" : `ä "${i}" \\ 😀`, "x", bounds);
    yield* textsOfFormat({ format: "datetime" }, i); // for what is parsed by a transform
  }
  for (const character of ["a", "A", "1"])
    for (let length = 1; length <= REPEATS_MAX; length++)
      yield fitText(character.repeat(length), character, bounds);
}

function boundsOf(checks: readonly object[]): Bounds {
  const all = checks as readonly Record<string, unknown>[];
  const numbers = (...keys: string[]) =>
    all.flatMap((check) => keys.map((key) => check[key])).filter(isNumber);
  const text = (key: string) => String(all.find((check) => typeof check[key] === "string")?.[key] ?? "");
  return {
    min: Math.max(0, ...numbers("minimum", "length")),
    max: Math.min(LENGTH_MAX, ...numbers("maximum", "length")),
    ...{ prefix: text("prefix"), includes: text("includes"), suffix: text("suffix") },
  };
}

const isNumber = (value: unknown): value is number => typeof value === "number";

/** Puts a body between prefix and suffix, cut or padded so that the whole has the length asked for. */
function fitText(body: string, padding: string, { min, max, prefix, includes, suffix }: Bounds): string {
  const fixed = prefix.length + includes.length + suffix.length;
  const cut = body.slice(0, Math.max(0, max - fixed)).padEnd(min - fixed, padding);
  return `${prefix}${includes}${cut}${suffix}`.toWellFormed();
}

/** Texts of a format by zod's name for it; none for a format that is not known here. */
function textsOfFormat(def: FormatDef, i: number): readonly string[] {
  const hash = /^(md5|sha1|sha256|sha384|sha512)_(hex|base64|base64url)$/.exec(def.format);
  if (hash)
    return [
      createHash(hash[1] as string)
        .update(`${i}`)
        .digest(hash[2] as "hex"),
    ];
  return Object.hasOwn(FORMATS, def.format) ? (FORMATS[def.format]?.(i, def) ?? []) : [];
}

const padded = (i: number, length: number) => String(i).padStart(length, "0");
const day = (i: number) => `2026-11-${padded((i % 28) + 1, 2)}`;
const base64 = (text: string, encoding: "base64" | "base64url") => Buffer.from(text).toString(encoding);

/** A UUID of the version asked for, else 7: readable, and the same in each run. */
const uuid = (i: number, { version = "v7" }: FormatDef) =>
  `019ab000-0000-${version.slice(1)}000-8000-${i.toString(16).padStart(12, "0")}`;

/** Times of day to the precision asked for; without one, whole seconds for people and microseconds for tests. */
function timesOf(i: number, precision: number | null | undefined): string[] {
  if (precision === -1) return ["09:30"];
  if (isNumber(precision)) return [`09:30:00${precision === 0 ? "" : `.${"123456789".slice(0, precision)}`}`];
  return i === 0 ? ["09:30:00"] : ["09:30:00.123456"];
}

/** With an offset (for people: Z), else Z, else without. The schema takes the first that its options allow. */
const datetimes = (i: number, { precision }: FormatDef) =>
  timesOf(i, precision).flatMap((time) =>
    [...(i === 0 ? [] : ["+05:30"]), "Z", ""].map((zone) => `${day(i)}T${time}${zone}`),
  );

function jwt(i: number, { alg = "HS256" }: FormatDef): string {
  const parts = [{ typ: "JWT", alg }, { sub: `${i}` }].map((part) =>
    base64(JSON.stringify(part), "base64url"),
  );
  return [...parts, base64(`signature ${i}`, "base64url")].join(".");
}

const FORMATS: Record<string, (i: number, def: FormatDef) => string[]> = {
  email: (i) => [`name${i}@example.com`],
  url: (i) => [`https://example.com/${i}`],
  hostname: (i) => [`host${i}.example.com`],
  emoji: () => ["😀"],
  uuid: (i, def) => [uuid(i, def)],
  guid: (i, def) => [uuid(i, def)],
  nanoid: (i, { length = 21 }) => [padded(i, length)],
  cuid: (i) => [`c${padded(i, 24)}`],
  cuid2: (i) => [`c${padded(i, 23)}`],
  ulid: (i) => [padded(i, 26)],
  xid: (i) => [padded(i, 20)],
  ksuid: (i) => [padded(i, 27)],
  ipv4: (i) => [`192.0.2.${i % 256}`],
  ipv6: (i) => [`2001:db8::${(i % 65_536).toString(16)}`],
  cidrv4: (i) => [`192.0.${i % 256}.0/24`],
  cidrv6: (i) => [`2001:db8:${(i % 65_536).toString(16)}::/48`],
  mac: (i, { delimiter = ":" }) => [
    ["00", "00", "5e", "00", "53", (i % 256).toString(16).padStart(2, "0")].join(delimiter),
  ],
  base64: (i) => [base64(`text ${i}`, "base64")],
  base64url: (i) => [base64(`text ${i}`, "base64url")],
  hex: (i) => [`c0ffee${padded(i, 2)}`],
  jwt: (i, def) => [jwt(i, def)],
  e164: (i) => [`+4930${padded(i, 7)}`],
  credit_card: () => ["4111111111111111"], // the test number that every payment provider documents
  iban: () => ["DE89370400440532013000"], // the example of the IBAN registry
  currency_code: () => ["EUR"],
  date: (i) => [day(i)],
  time: (i, { precision }) => timesOf(i, precision),
  datetime: datetimes,
  duration: (i) => [`P1DT${i % 24}H`],
};
