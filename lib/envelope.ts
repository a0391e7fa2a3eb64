/**
 * The envelope: what is buffered. One JSON text per event, opaque to Redis, in dead letters too.
 *
 * `v` is the version of the data's shape at its stream; `toRow` accepts the versions that earlier releases
 * buffered. `deaths` is present only after a redrive: how often this event had become a dead letter, which
 * lets a late copy of an earlier death be told from a new one.
 */
import { isUuid } from "./ids.ts";

export interface Envelope {
  v: number;
  /** Idempotency key and primary key, a lower-case UUID. */
  id: string;
  /** When ingest accepted it, RFC 3339 in UTC. */
  receivedAt: string;
  deaths?: number | undefined;
  /** The validated event, without its id. */
  data: unknown;
}

/** Encodes an envelope around data that is JSON already, so that a large payload is encoded once. */
export function encodeEnvelope(envelope: Omit<Envelope, "data" | "deaths">, dataJson: string): string {
  return `{"v":${envelope.v},"id":"${envelope.id}","receivedAt":"${envelope.receivedAt}","data":${dataJson}}`;
}

/** Decodes what was buffered; undefined where it is no envelope (pushed by somebody else). */
export function decodeEnvelope(text: string): Envelope | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isEnvelope(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Checked by hand: it runs for every event that is drained, and a schema took as long as the JSON itself. */
function isEnvelope(value: unknown): value is Envelope {
  if (typeof value !== "object" || value === null) return false;
  const { v, id, receivedAt, deaths = 0 } = value as Partial<Record<keyof Envelope, unknown>>;
  return (
    isCount(v) &&
    v >= 1 &&
    typeof id === "string" &&
    isUuid(id) &&
    typeof receivedAt === "string" &&
    RECEIVED_AT.test(receivedAt) &&
    !Number.isNaN(Date.parse(receivedAt)) &&
    isCount(deaths)
  );
}

const RECEIVED_AT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

/** A whole number that an integer column holds, with room to count on. */
const isCount = (value: unknown): value is number =>
  Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 1_000_000_000;

/** The same event for another try, with `deaths` set. */
export function withDeaths(text: string, deaths: number): string {
  const { data, ...rest } = JSON.parse(text) as Envelope;
  return JSON.stringify({ ...rest, deaths, data });
}
