/** Bodies in every framing, with the headers that say what they are: mostly right, and deep, wide, huge, broken or damaged. */
import { deflateSync, gzipSync } from "node:zlib";
import type { Random } from "../../dev/simulate/random.ts";
import { bytesOf, cloudEventHeadersOf, cloudEventOf, dataOf, eventOf, mediaTypeOf } from "./events.ts";
import { DEEP, HUGE, jsonOf, WIDE } from "./json-texts.ts";

export interface Body {
  headers: string[];
  bytes: Buffer;
}

/** The most bytes of a body that the fuzzed server takes. */
export const BODY_MAX_BYTES = 500_000;

const JSON_TYPE = "application/json";
const NDJSON = "application/x-ndjson";
const STRUCTURED = "application/cloudevents+json";
const BATCH = "application/cloudevents-batch+json";
const TYPES = [
  ...[JSON_TYPE, NDJSON, STRUCTURED, BATCH, "application/ndjson", "application/jsonl", "text/plain"],
  ...[`${JSON_TYPE}; charset=utf-8`, `${JSON_TYPE};charset="UTF-8"`, `${JSON_TYPE}; charset=utf-16`],
  ...["text/html", "", ";;;", `${JSON_TYPE};charset`, "multipart/form-data", "application/cloudevents+avro"],
  ...["constructor", "__proto__", "toString", "application/__proto__", `${JSON_TYPE}; charset=constructor`],
];

/** Mostly a few; sometimes as many as are taken, and sometimes more. Then one is repeated, unless it is large. */
function many(random: Random, one: () => string): string[] {
  if (random.next() > 0.03) return Array.from({ length: random.whole(0, 15) }, one);
  const text = one();
  return Array.from({ length: random.pick([990, 1500]) }, () => (text.length < 300 ? text : "{}"));
}

/** NDJSON in which some lines are none. */
function linesOf(random: Random, stream: string): string {
  const line = () =>
    random.pick([
      ...[eventOf(random, stream), eventOf(random, stream), eventOf(random, stream), eventOf(random, stream)],
      ...[
        jsonOf(random),
        "",
        "  ",
        "{",
        "}{",
        "null",
        "\ufeff{}",
        `{"type":"t",`,
        "\0",
        random.pick([...DEEP, ...HUGE]),
      ],
    ]);
  const text = many(random, line).join(random.pick(["\n", "\n", "\r\n", "\n\n", "\r"]));
  return random.pick([text, `${text}\n`, `\ufeff${text}`]);
}

/** A body that has the form of its type. */
function fittingBody(random: Random, stream: string): Body {
  const typed = (type: string, text: string): Body => ({
    headers: [`content-type: ${type}`],
    bytes: Buffer.from(text),
  });
  const array = (one: () => string) => `[${many(random, one).join(",")}]`;
  return random.pick([
    () => typed(JSON_TYPE, eventOf(random, stream)),
    () => typed(JSON_TYPE, eventOf(random, stream)),
    () =>
      typed(
        JSON_TYPE,
        array(() => eventOf(random, stream)),
      ),
    () => typed(NDJSON, linesOf(random, stream)),
    () => typed(STRUCTURED, cloudEventOf(random, stream)),
    () =>
      typed(
        BATCH,
        array(() => cloudEventOf(random, stream)),
      ),
    () => ({
      headers: [...cloudEventHeadersOf(random), `content-type: ${mediaTypeOf(random)}`],
      bytes: dataOf(random, stream),
    }),
  ])();
}

/** A body of any type, whatever it holds. */
function anyBody(random: Random, stream: string): Body {
  const event = eventOf(random, stream);
  const bytes = random.pick([
    () => bytesOf(random, random.whole(0, 400)),
    () => Buffer.from(random.pick([...DEEP, ...WIDE, ...HUGE])),
    () => Buffer.from(jsonOf(random)),
    () => Buffer.from(event, random.pick(["utf8", "utf16le", "latin1"] as const)),
    () => Buffer.from(random.next() < 0.1 ? "x".repeat(BODY_MAX_BYTES + 1) : ""),
    () => Buffer.from(random.pick([event, cloudEventOf(random, stream)])),
  ])();
  const type = random.pick(TYPES);
  return { headers: type === "" ? [] : [`content-type: ${type}`], bytes };
}

const BOMBS = [
  gzipSync(Buffer.alloc(30_000_000, " ")),
  gzipSync(Buffer.alloc(3_000_000, "[")),
  gzipSync(`[${"{},".repeat(1_000_000)}{}]`),
  deflateSync("{}"),
  gzipSync("{}").subarray(0, 12),
];

/** A body, its type, and maybe its encoding. */
export function bodyOf(random: Random, stream: string): Body {
  const body = random.next() < 0.75 ? fittingBody(random, stream) : anyBody(random, stream);
  const headers = [...body.headers];
  let { bytes } = body;
  if (random.next() < 0.06) bytes = damaged(random, bytes);
  if (random.next() < 0.05) headers.push(...cloudEventHeadersOf(random)); // beside whatever type there is
  if (random.next() < 0.15) {
    headers.push(`content-encoding: ${random.pick(["gzip", "gzip", "x-gzip", "GZIP"])}`);
    bytes = random.next() < 0.1 ? random.pick(BOMBS) : gzipSync(bytes, { level: 1 });
    if (random.next() < 0.2) bytes = damaged(random, bytes);
  }
  return { headers, bytes };
}

/** Some bytes changed, or the end cut off. */
function damaged(random: Random, bytes: Buffer): Buffer {
  if (bytes.length === 0) return bytes;
  const copy = Buffer.from(bytes);
  for (let i = random.whole(0, 3); i >= 0; i--) copy[random.whole(0, copy.length - 1)] = random.whole(0, 255);
  return random.next() < 0.3 ? copy.subarray(0, random.whole(0, copy.length - 1)) : copy;
}
