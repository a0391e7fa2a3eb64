/**
 * The envelope: what is buffered. One JSON text per event, opaque to Redis, in dead letters too.
 *
 * `v` is the version of the data's shape at its stream; `toRow` accepts the versions that earlier releases
 * buffered. `deaths` is present only after a redrive: how often this event had become a dead letter, which
 * lets a late copy of an earlier death be told from a new one.
 */
import { z } from "zod";

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

const schema = z.object({
  v: z.int().min(1),
  id: z.guid(),
  receivedAt: z.iso.datetime(),
  deaths: z.int().min(0).optional(),
  data: z.unknown(),
});

/** Encodes an envelope around data that is JSON already, so that a large payload is encoded once. */
export function encodeEnvelope(envelope: Omit<Envelope, "data" | "deaths">, dataJson: string): string {
  return `{"v":${envelope.v},"id":"${envelope.id}","receivedAt":"${envelope.receivedAt}","data":${dataJson}}`;
}

/** Decodes what was buffered; undefined where it is no envelope (pushed by somebody else). */
export function decodeEnvelope(text: string): Envelope | undefined {
  try {
    const parsed = schema.safeParse(JSON.parse(text));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined;
  }
}

/** The same event for another try, with `deaths` set. */
export function withDeaths(text: string, deaths: number): string {
  const { data, ...rest } = JSON.parse(text) as Envelope;
  return JSON.stringify({ ...rest, deaths, data });
}
