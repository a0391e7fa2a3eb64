/** The worst bodies that we can think of: small as sent, large or costly once inflated, parsed or answered. */
import { gzipSync } from "node:zlib";

export interface Body {
  type: string;
  bytes: Uint8Array<ArrayBuffer>;
  isGzip: boolean;
}

const LIMIT = 8_388_608;
const JSON_TYPE = "application/json";
const NDJSON = "application/x-ndjson";

const zipped = (type: string, text: string): Body => ({
  type,
  bytes: new Uint8Array(gzipSync(text.slice(0, LIMIT))),
  isGzip: true,
});
const plain = (type: string, text: string): Body => ({
  type,
  bytes: new Uint8Array(Buffer.from(text.slice(0, LIMIT))),
  isGzip: false,
});
const filled = (unit: string, around: [string, string] = ["", ""]): string => {
  const room = LIMIT - around[0].length - around[1].length;
  return around[0] + unit.repeat(Math.floor(room / unit.length)) + around[1];
};

/** A batch of as many events as a request may have, each with a payload of so many units, together as large as it may be. */
const batch = (unit: string, before: string, after: string): string => {
  const room = Math.floor(LIMIT / 1000) - 1;
  const [head, tail] = [`{"type":"t","payload":${before}`, `${after}}`];
  const payload = unit.repeat(Math.floor((room - head.length - tail.length) / Buffer.byteLength(unit)));
  return `[${Array(1000)
    .fill(head + payload + tail)
    .join(",")}]`;
};

const unknownKeys = (count: number): string =>
  JSON.stringify(Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, 1])));

/** Bodies of which every event is refused, or the whole. */
export const refusedBodies: readonly Body[] = [
  zipped(JSON_TYPE, filled("[")),
  zipped(JSON_TYPE, filled('{"a":')),
  zipped(NDJSON, filled("[")),
  zipped(JSON_TYPE, filled("[],", ['{"type":"t","payload":[', "[]]}"])),
  zipped(JSON_TYPE, filled('"k":1,', ["{", '"k":1}'])),
  zipped(JSON_TYPE, filled("x", ['{"a":"', '"}'])),
  zipped(JSON_TYPE, filled('\\"', ['{"a":"', '"}'])),
  zipped(JSON_TYPE, `[${Array(1000).fill(unknownKeys(700)).join(",")}]`),
  zipped(NDJSON, `${unknownKeys(700)}\n`.repeat(1000)),
  zipped(JSON_TYPE, `[${Array(40).fill(unknownKeys(18_000)).join(",")}]`),
  zipped(NDJSON, filled(" ")),
  zipped(NDJSON, filled("{\n")),
  plain(JSON_TYPE, filled("[", ['{"type":"t","payload":', ""])),
  plain(JSON_TYPE, `${batch("x", '"', '"').slice(0, -1)}!`),
  { type: JSON_TYPE, bytes: new Uint8Array(gzipSync(Buffer.alloc(200_000_000, " "))), isGzip: true },
];

/** Bodies of which every event is accepted, as large as a request may be. */
export const acceptedBodies: readonly Body[] = [
  plain(JSON_TYPE, batch("x", '"', '"')),
  plain(JSON_TYPE, batch("[],", "[", "[]]")),
  plain(JSON_TYPE, batch('"é",', "[", "[]]")),
  plain(NDJSON, ndjson()),
];

/** 8 MB of NDJSON whose texts gzip hardly makes smaller. */
export function ndjson(): string {
  let state = 1;
  const random = () => {
    state = (state * 48_271) % 2_147_483_647;
    return state.toString(36);
  };
  const line = () =>
    JSON.stringify({ type: "t", payload: Array.from({ length: 1100 }, random).join("").slice(0, 8000) });
  return Array.from({ length: 1000 }, line).join("\n");
}
