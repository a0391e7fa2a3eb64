/**
 * The envelope: one event as it is buffered. In Redis and in dead letters it is one JSON text, opaque to Redis.
 *
 *     {"v":1,"id":"…","receivedAt":"…","data":{…}}        in dead letters, and in Redis if it is small
 *     {"v":1,"id":"…","receivedAt":"…","gzip":"H4sI…"}    in Redis if it is large: the same data, gzip and base64
 *
 * The text always has one of these forms, so its head is read by a pattern and the data need not be parsed. `v` is the
 * version of the data's shape at its stream; `toRow` accepts the versions that earlier releases buffered. `burials`
 * stands before the data, and only after a redrive: how many times this event had become a dead letter. It lets a late
 * copy of an earlier burial be told from a new one.
 */
import { gunzipSync, gzipSync } from "node:zlib";

/** Characters from which packing pays: it makes JSON of this size half as long, for some 50 µs. */
const PACK_FROM = 2048;
/** Bound of unpacked data, in bytes: no event is accepted that is larger (EVENT_MAX_BYTES). */
const DATA_MAX_BYTES = 8_388_608;

interface Head {
  v: number;
  /** Idempotency key and primary key, a lower-case UUID. */
  id: string;
  /** When ingest accepted it, RFC 3339 in UTC. */
  receivedAt: string;
  burials?: number | undefined;
}

export interface Envelope extends Head {
  /** The validated event, without its id, as JSON. */
  dataJson: string;
}

/** An envelope as it waits for Redis: large data is packed. */
export type PushableEnvelope = Envelope | (Head & { gzip: string });

/** What is pushed: an envelope, or a text that is none, and becomes a dead letter as it is (webhook-letter.ts). */
export type Pushable = PushableEnvelope | { text: string };

/** Packs the data if that makes the envelope shorter. */
export function packEnvelope(envelope: Envelope): PushableEnvelope {
  const { v, id, receivedAt, burials, dataJson } = envelope;
  if (dataJson.length < PACK_FROM) return envelope;
  const gzip = gzipSync(dataJson, { level: 1 }).toString("base64");
  return gzip.length + 2 < dataJson.length ? { v, id, receivedAt, burials, gzip } : envelope;
}

/** The envelope with its data unpacked. Only for an envelope that `packEnvelope` made. */
export function unpackEnvelope(envelope: PushableEnvelope): Envelope {
  if ("dataJson" in envelope) return envelope;
  const { v, id, receivedAt, burials, gzip } = envelope;
  return { v, id, receivedAt, burials, dataJson: gunzipSync(Buffer.from(gzip, "base64")).toString() };
}

/** Encodes an envelope as text, packed or not, as it is. A text stays as it is. */
export function encodeEnvelope(envelope: Pushable): string {
  if ("text" in envelope) return envelope.text;
  const { v, id, receivedAt, burials } = envelope;
  const buried = burials === undefined ? "" : `"burials":${burials},`;
  const data = "dataJson" in envelope ? `"data":${envelope.dataJson}` : `"gzip":"${envelope.gzip}"`;
  return `{"v":${v},"id":"${id}","receivedAt":"${receivedAt}",${buried}${data}}`;
}

/** Bytes of an envelope's text beside its data, at most. */
const HEAD_MAX_BYTES = 129;

/** The size of the text that `encodeEnvelope` makes, in bytes; the head counts as the longest that there is. */
export function encodedBytes(envelope: Pushable): number {
  if ("dataJson" in envelope) return HEAD_MAX_BYTES + Buffer.byteLength(envelope.dataJson);
  return "gzip" in envelope ? HEAD_MAX_BYTES + envelope.gzip.length : Buffer.byteLength(envelope.text);
}

/** v and burials have at most nine digits, so they fit a Postgres integer, with room to count on. */
const HEAD =
  /^\{"v":([1-9]\d{0,8}),"id":"([\da-fA-F]{8}-(?:[\da-fA-F]{4}-){3}[\da-fA-F]{12})","receivedAt":"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)",(?:"burials":(\d{1,9}),)?"(data|gzip)":/;

/**
 * Decodes a buffered text, packed or not; undefined if it is not an envelope (somebody else pushed it). The data
 * itself is not parsed.
 */
export function decodeEnvelope(text: string): Envelope | undefined {
  const head = HEAD.exec(text);
  if (head === null || !text.endsWith("}")) return undefined;
  const [{ length }, v, id, receivedAt, burials, form] = head as unknown as [
    string,
    string,
    string,
    string,
    string | undefined,
    string,
  ];
  if (!isTimestamp(receivedAt)) return undefined;
  const value = text.slice(length, -1);
  const dataJson = form === "gzip" ? unpackForeign(value) : value;
  if (dataJson === undefined) return undefined;
  return {
    v: Number(v),
    id: id.toLowerCase(),
    receivedAt,
    burials: burials === undefined ? undefined : Number(burials),
    dataJson,
  };
}

/** Whether Postgres takes a time of an envelope: JavaScript reads February 30 as a day in March, and has a year 0. */
export function isTimestamp(text: string): boolean {
  const date = new Date(text);
  return !Number.isNaN(date.getTime()) && date.toISOString() === text && !text.startsWith("0000");
}

/** The data of a packed text in quotes; undefined if it is not packed data. */
function unpackForeign(quoted: string): string | undefined {
  try {
    const packed = Buffer.from(quoted.slice(1, -1), "base64");
    return gunzipSync(packed, { maxOutputLength: DATA_MAX_BYTES }).toString();
  } catch {
    return undefined;
  }
}
