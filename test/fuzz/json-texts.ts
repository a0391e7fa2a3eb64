/** JSON texts that a sender may write: usual, odd, broken, deep, wide and huge. */
import type { Random } from "../../dev/simulate/random.ts";

const repeat = (text: string, count: number) => text.repeat(count);

/** Nested near and far beyond what is taken, closed and left open. */
export const DEEP = [
  repeat("[", 100_000),
  repeat("[", 100_000) + repeat("]", 100_000),
  repeat(`{"a":`, 80_000),
  `${repeat(`{"a":`, 60_000)}1${repeat("}", 60_000)}`,
  ...[60, 61, 62, 63, 64, 65, 1001].map((levels) => repeat("[", levels) + repeat("]", levels)),
];

/** Many items or keys, from what is taken to far beyond. */
export const WIDE = [
  `[${repeat("0,", 15_000)}0]`,
  `[${repeat("[],", 100_000)}[]]`,
  `{${repeat(`"k":1,`, 70_000)}"k":1}`,
  `{${Array.from({ length: 3000 }, (_, i) => `"k${i}":null`)}}`,
];

/** Of about the size that an event may have, and far beyond. */
export const HUGE = [
  `"${repeat("x", 32_700)}"`,
  `"${repeat("x", 33_000)}"`,
  `"${repeat(String.raw`\u0061`, 30_000)}"`,
  `"${repeat("ä", 20_000)}"`,
  `"${repeat('\\"', 200_000)}`,
  repeat("1", 400_000),
  repeat(" ", 400_000),
];

const NUMBERS = [
  ..."0 -0 -0.0 0e0 1.0 1E5 1e+2 0.1 -1 5e-324 1e-400 -1e-400 1e400 -1e400 1e999 1e22 1e308".split(" "),
  ..."9007199254740991 9007199254740993 -9007199254740992 12345678901234567890.5 0.30000000000000004".split(
    " ",
  ),
  ...[repeat("1", 400), `0.${repeat("3", 3000)}`, `1${repeat("0", 15)}e-15`, `1e${repeat("0", 50)}1`],
];
const BROKEN = [
  "01",
  "NaN",
  "-",
  ".5",
  "1.",
  "+1",
  "0x1",
  "1e",
  "Infinity",
  "tru",
  "'a'",
  `"a`,
  `"\\x"`,
  `"\t"`,
];
const TEXTS = [
  ...[`""`, `"text"`, `"a@b.co"`, `"ä@exämple.de"`, `"NaN"`, `"' ; drop table events; --"`, `"-1"`],
  ...[String.raw`"\u0000"`, String.raw`"\ud800"`, String.raw`"\udc00\ud800"`, String.raw`"\ud83d\ude00"`],
  `"\u{1f600}\uffff\ufeff\u2028"`,
];

/** Names of fields, of ours and of everybody's. */
const NAMES = [
  ..."id type userId payload occurredAt lat lng accuracy speed recordedAt contactId description name phone email".split(
    " ",
  ),
  ..."source notes specversion data data_base64 datacontenttype time subject receivedAt storedAt v".split(
    " ",
  ),
  ..."__proto__ constructor toString hasOwnProperty".split(" "),
  ...["", String.raw`\u0000`, String.raw`\u005f_proto__`],
];
export const nameOf = (random: Random) => random.pick(NAMES);

const pad = (number: number, digits = 2) => String(number).padStart(digits, "0");

/** A time in one of RFC 3339's forms, or nearly; often at an edge. */
export function timeOf(random: Random): string {
  const date = random.pick([
    ...["0000-12-31", "0001-01-01", "1970-01-01", "2026-11-21", "2024-02-29", "2026-02-29", "9999-12-31"],
    `${pad(random.whole(1, 9999), 4)}-${pad(random.whole(1, 12))}-${pad(random.whole(1, 31))}`,
  ]);
  const time = random.pick(["00:00:00", "09:30:00", "23:59:59", "23:59:60", "12:00:60", "24:00:00", "09:30"]);
  const digits = repeat(
    random.pick(["0", "4", "5", "9", "123456789"]),
    random.pick([1, 3, 6, 7, 9, 14, 120]),
  );
  const fraction = random.pick(["", "", `.${digits}`, "."]);
  const zone = random.pick([
    "Z",
    "Z",
    "z",
    "+00:00",
    "-00:00",
    "+05:30",
    "-15:59",
    "+15:59",
    "+16:00",
    "+0530",
    "",
  ]);
  return `"${date}${random.pick(["T", "T", "t", " ", "_"])}${time}${fraction}${zone}"`;
}

export function leafOf(random: Random): string {
  const kind = random.whole(0, 19);
  if (kind < 6) return random.pick(NUMBERS);
  if (kind < 11) return random.pick(TEXTS);
  if (kind < 13) return timeOf(random);
  if (kind < 17) return random.pick(["null", "null", "true", "false", "[]", "{}"]);
  if (kind < 19) return random.pick(BROKEN);
  return random.pick(HUGE.slice(0, 2));
}

/** JSON, or nearly. */
export function jsonOf(random: Random, depth = 0): string {
  const kind = random.whole(0, depth > 4 ? 0 : 3);
  if (kind === 0) return leafOf(random);
  const items = Array.from({ length: random.whole(0, 5) }, () => jsonOf(random, depth + 1));
  if (kind === 1) return `[${items.join(",")}]`;
  return `{${items.map((item) => `"${random.pick(NAMES)}":${item}`).join(",")}}`;
}
