/**
 * The envelope: what is buffered. One JSON text per event, opaque to Redis, in dead letters too.
 *
 *     {"v":1,"id":"…","receivedAt":"…","data":{…}}        in dead letters, and in Redis where it is small
 *     {"v":1,"id":"…","receivedAt":"…","gzip":"H4sI…"}    in Redis: the same data, gzip and base64
 *
 * It is always written in these forms, so it is read by its head, and the data need not be parsed. `v` is the version
 * of the data's shape at its stream; `toRow` accepts the versions that earlier releases buffered. `deaths` comes before
 * the data, and only after a redrive: how often this event had become a dead letter, which lets a late copy of an
 * earlier death be told from a new one.
 */
import { gunzipSync, gzipSync } from "node:zlib";

/** Characters from which packing pays: it makes JSON of this size half as long, for some 50 µs. */
const PACK_FROM = 2048;
/** What data is unpacked to, at most, in bytes: no event is accepted that is larger (EVENT_MAX_BYTES). */
const DATA_MAX_BYTES = 8_388_608;

export interface Envelope {
  v: number;
  /** Idempotency key and primary key, a lower-case UUID. */
  id: string;
  /** When ingest accepted it, RFC 3339 in UTC. */
  receivedAt: string;
  deaths?: number | undefined;
  /** The validated event, without its id, as JSON. */
  dataJson: string;
}

/** Encodes an envelope, unpacked. */
export function encodeEnvelope({ v, id, receivedAt, deaths, dataJson }: Envelope): string {
  return `${encodeHead({ v, id, receivedAt, deaths })}"data":${dataJson}}`;
}

function encodeHead({ v, id, receivedAt, deaths }: Omit<Envelope, "dataJson">): string {
  const died = deaths === undefined ? "" : `"deaths":${deaths},`;
  return `{"v":${v},"id":"${id}","receivedAt":"${receivedAt}",${died}`;
}

/** The form in which an envelope is pushed: packed where that makes it shorter. What is no envelope stays as it is. */
export function packEnvelope(text: string): string {
  if (text.length < PACK_FROM) return text;
  const envelope = decodeEnvelope(text);
  if (envelope === undefined) return text;
  const packed = `${encodeHead(envelope)}"gzip":"${gzipSync(envelope.dataJson, { level: 1 }).toString("base64")}"}`;
  // A copy: the head's parts are slices, as V8 makes them, and would keep the whole text while this one waits.
  return packed.length < text.length ? Buffer.from(packed, "latin1").toString("latin1") : text;
}

/** Counts have nine digits at most: an integer column holds them, with room to count on. */
const HEAD =
  /^\{"v":([1-9]\d{0,8}),"id":"([\da-fA-F]{8}-(?:[\da-fA-F]{4}-){3}[\da-fA-F]{12})","receivedAt":"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)",(?:"deaths":(\d{1,9}),)?"(data|gzip)":/;

/**
 * Decodes what was buffered, in either form; undefined where it is no envelope (pushed by somebody else). The data is
 * taken as it is.
 */
export function decodeEnvelope(text: string): Envelope | undefined {
  const head = HEAD.exec(text);
  if (head === null || !text.endsWith("}")) return undefined;
  const [{ length }, v, id, receivedAt, deaths, form] = head as unknown as [
    string,
    string,
    string,
    string,
    string | undefined,
    string,
  ];
  if (Number.isNaN(Date.parse(receivedAt))) return undefined;
  const value = text.slice(length, -1);
  const dataJson = form === "gzip" ? unpack(value) : value;
  if (dataJson === undefined) return undefined;
  return {
    v: Number(v),
    id: id.toLowerCase(),
    receivedAt,
    deaths: deaths === undefined ? undefined : Number(deaths),
    dataJson,
  };
}

/** The data of a packed envelope; undefined where it is none. */
function unpack(quoted: string): string | undefined {
  try {
    const packed = Buffer.from(quoted.slice(1, -1), "base64");
    return gunzipSync(packed, { maxOutputLength: DATA_MAX_BYTES }).toString();
  } catch {
    return undefined;
  }
}

/** The same event for another try, with `deaths` set. Only for what is an envelope. */
export function withDeaths(text: string, deaths: number): string {
  const envelope = decodeEnvelope(text);
  if (envelope === undefined) throw new Error("expected an envelope, got something else");
  return encodeEnvelope({ ...envelope, deaths });
}
