/** Events as senders write them: nearly right, with ids of every kind, and as CloudEvents of every form. */
import type { Random } from "../../dev/simulate/random.ts";
import { DEEP, HUGE, jsonOf, leafOf, nameOf, timeOf, WIDE } from "./json-texts.ts";

export const STREAMS = ["events", "locations", "activities", "leads"];

const chance = (random: Random, probability: number) => random.next() < probability;

const hex = (random: Random, digits: number) =>
  Array.from({ length: digits }, () => random.whole(0, 15).toString(16)).join("");

/** A UUID of any version and variant, the nil and the max UUID among them. */
export function uuidOf(random: Random): string {
  const parts = [hex(random, 8), hex(random, 4), hex(random, 4), hex(random, 4), hex(random, 12)];
  const uuid = random.pick([
    parts.join("-"),
    parts.join("-"),
    parts.join("-").replace(/[a-f0-9]/g, random.pick(["0", "f"])),
  ]);
  return random.pick([uuid, uuid, uuid.toUpperCase(), `{${uuid}}`, `urn:uuid:${uuid}`]);
}

/** An id that a sender gives its event. Some come again and again. */
const idOf = (random: Random): string =>
  random.pick([
    ...[
      `"${uuidOf(random)}"`,
      `"again ${random.whole(0, 20)}"`,
      `"00000000-0000-4000-8000-00000000000${random.whole(0, 9)}"`,
    ],
    ...["1", `"1"`, "-1", "0", "1.5", "1e3", "9007199254740993", "null", `""`, "[]", "true"],
    ...[
      `"${"i".repeat(random.pick([511, 512, 513]))}"`,
      `"a/b?c=%41&d"`,
      `".."`,
      String.raw`"\u0000"`,
      `"__proto__"`,
    ],
  ]);

/** Fields that each stream takes; a null is one that may be absent. */
function fieldsOf(random: Random, stream: string): Record<string, string> {
  const at = chance(random, 0.5) ? timeOf(random) : `"2026-11-21T09:30:00Z"`;
  const unset = () => random.pick(["null", "null", "-1", `""`, "1"]);
  switch (stream) {
    case "locations":
      return { userId: `"u"`, lat: "1", lng: "2.5", speed: unset(), accuracy: unset(), recordedAt: at };
    case "activities":
      return { contactId: `"c"`, type: `"t"`, description: `"d"` };
    case "leads":
      return { name: `"n"`, source: `"s"`, email: random.pick(["null", `""`, `"a@b.co"`]), phone: "null" };
    default:
      return { type: `"t"`, payload: `{"a":1}`, occurredAt: random.pick([at, "null"]) };
  }
}

/** An event that a stream would take, but for one field or two. */
export function eventOf(random: Random, stream: string): string {
  const event = fieldsOf(random, stream);
  const names = Object.keys(event);
  if (chance(random, 0.35))
    event[random.pick(names)] = chance(random, 0.3) ? jsonOf(random, 2) : leafOf(random);
  if (chance(random, 0.1)) event[nameOf(random)] = leafOf(random);
  if (chance(random, 0.25)) event.id = idOf(random);
  if (chance(random, 0.02)) event[random.pick(names)] = random.pick([...DEEP, ...WIDE, ...HUGE]);
  return objectOf(event);
}

const objectOf = (fields: Record<string, string>) =>
  `{${Object.entries(fields).map(([name, value]) => `"${name}":${value}`)}}`;

const MEDIA_TYPES = [
  ...[
    "application/json",
    "application/json",
    "application/json; charset=utf-8",
    "application/vnd.x+json",
    "text/json",
  ],
  ...[
    "text/plain",
    "text/plain; charset=iso-8859-1",
    "application/xml",
    "image/svg+xml",
    "image/png",
    "",
    "constructor",
  ],
  ...[
    "application/x-www-form-urlencoded",
    "application/octet-stream",
    "multipart/form-data; boundary=x",
    ";;;",
    "__proto__",
  ],
];
export const mediaTypeOf = (random: Random) => random.pick(MEDIA_TYPES);

/** The data of a CloudEvent as bytes: JSON, text, or neither. */
export function dataOf(random: Random, stream: string): Buffer {
  const utf8 = (text: string) => Buffer.from(text);
  return random.pick([
    () => utf8(eventOf(random, stream)),
    () => utf8(jsonOf(random)),
    () =>
      utf8(random.pick(["", " ", "plain text", "<a>ä</a>", "a=1&b=%00", "\ufeff{}", "\0", "[1", "{", `"`])),
    () => Buffer.from("Grüße", "latin1"),
    () => bytesOf(random, random.whole(0, 40)),
    () => utf8(random.pick([...DEEP, ...WIDE, ...HUGE])),
  ])();
}

export const bytesOf = (random: Random, count: number) =>
  Buffer.from(Array.from({ length: count }, () => random.whole(0, 255)));

/** A CloudEvent in the JSON format, as text. */
export function cloudEventOf(random: Random, stream: string): string {
  const event: Record<string, string> = {
    ...{ specversion: `"1.0"`, id: `"${uuidOf(random)}"`, source: `"/s"`, type: `"t"` },
    ...{ subject: random.pick(["null", `"sub"`]), time: random.pick(["null", timeOf(random)]) },
  };
  const kind = random.whole(0, 9);
  if (kind < 6) event.data = eventOf(random, stream);
  if (kind >= 5 && kind < 9) {
    const text = dataOf(random, stream).toString(
      random.pick(["base64", "base64", "base64", "base64url", "hex"]),
    );
    event.data_base64 = random.pick([`"${text}"`, `"${text}"`, "null", "1"]);
    event.datacontenttype = JSON.stringify(mediaTypeOf(random));
  }
  if (chance(random, 0.2)) event[nameOf(random)] = leafOf(random);
  if (chance(random, 0.2)) event.id = idOf(random);
  if (chance(random, 0.1)) event.comexampleext = random.pick(["null", "1", `"x"`, "{}", `"\ud800"`]);
  return objectOf(event);
}

/** The headers of a CloudEvent in binary mode, mostly right. */
export function cloudEventHeadersOf(random: Random): string[] {
  const value = random.pick([
    "s",
    "%C3%A4",
    "ä",
    `"quoted \\" one"`,
    "50% off",
    "%zz",
    "%ff",
    "%00",
    "%ed%a0%80",
    "",
    " ",
  ]);
  return [
    `ce-specversion: ${random.pick(["1.0", "1.0", "1.0", "1.0", "0.3", "2", "__proto__"])}`,
    `ce-id: ${random.pick([uuidOf(random), `again ${random.whole(0, 20)}`, value])}`,
    `ce-source: ${random.pick(["/s", "/s", value])}`,
    `ce-type: ${random.pick(["t", "t", value])}`,
    ...(chance(random, 0.3) ? [`ce-subject: ${value}`] : []),
    ...(chance(random, 0.3) ? [`ce-time: ${timeOf(random).slice(1, -1)}`] : []),
    ...(chance(random, 0.3)
      ? [`ce-${random.pick(["comexampleext", "__proto__", "constructor", "data"])}: ${value}`]
      : []),
  ].filter(() => chance(random, 0.97));
}
