/**
 * The envelope: what is buffered. One JSON text per event, opaque to Redis, in dead letters too.
 *
 *     {"v":1,"id":"…","receivedAt":"…","data":{…}}
 *
 * It is always written in this form, so it is read by its head, and the data need not be parsed. `v` is the version of
 * the data's shape at its stream; `toRow` accepts the versions that earlier releases buffered. `deaths` comes before
 * the data, and only after a redrive: how often this event had become a dead letter, which lets a late copy of an
 * earlier death be told from a new one.
 */
import { isUuid } from "./ids.ts";

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

/** Encodes an envelope. */
export function encodeEnvelope({ v, id, receivedAt, deaths, dataJson }: Envelope): string {
  const died = deaths === undefined ? "" : `"deaths":${deaths},`;
  return `{"v":${v},"id":"${id}","receivedAt":"${receivedAt}",${died}"data":${dataJson}}`;
}

/** Counts have nine digits at most: an integer column holds them, with room to count on. */
const HEAD =
  /^\{"v":([1-9]\d{0,8}),"id":"([^"]{36})","receivedAt":"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)",(?:"deaths":(\d{1,9}),)?"data":/;

/** Decodes what was buffered; undefined where it is no envelope (pushed by somebody else). The data is taken as it is. */
export function decodeEnvelope(text: string): Envelope | undefined {
  const head = HEAD.exec(text);
  if (head === null || !text.endsWith("}")) return undefined;
  const [{ length }, v, id, receivedAt, deaths] = head as unknown as [
    string,
    string,
    string,
    string,
    string?,
  ];
  if (!isUuid(id) || Number.isNaN(Date.parse(receivedAt))) return undefined;
  return {
    v: Number(v),
    id: id.toLowerCase(),
    receivedAt,
    deaths: deaths === undefined ? undefined : Number(deaths),
    dataJson: text.slice(length, -1),
  };
}

/** The same event for another try, with `deaths` set. Only for what is an envelope. */
export function withDeaths(text: string, deaths: number): string {
  const envelope = decodeEnvelope(text);
  if (envelope === undefined) throw new Error("expected an envelope, got something else");
  return encodeEnvelope({ ...envelope, deaths });
}
