/**
 * The text of a delivery that became no event. It waits in the buffer as events do, and becomes the envelope of a dead letter:
 *
 *     {"webhook":"stripe","id":"…","receivedAt":"…","reason":"…","headers":{…},"body":"…"}
 *
 * The body is the one that was signed: as text, or in `base64` if it is not UTF-8, or if that is shorter. So nothing is lost, and a
 * redrive gives it to `toEvent` again.
 */
import { isUtf8 } from "node:buffer";
import { type Envelope, isTimestamp } from "./envelope.ts";
import { isUuid } from "./event-ids.ts";
import type { Stream } from "./stream.ts";
import { parseBody, webhookEvent } from "./webhook-event.ts";

/** A delivery that became no event. */
export interface UnmadeDelivery {
  /** The source's name. */
  webhook: string;
  id: string;
  receivedAt: string;
  /** Why it became none, without data of the event. */
  reason: string;
  headers: Readonly<Record<string, string>>;
  rawBody: Buffer;
}

const BEGINNING = '{"webhook":"';

/** Encodes a delivery as text. */
export function encodeDelivery({ rawBody, ...head }: UnmadeDelivery): string {
  const base64 = JSON.stringify({ ...head, base64: rawBody.toString("base64") });
  if (!isUtf8(rawBody)) return base64;
  const text = JSON.stringify({ ...head, body: rawBody.toString() });
  return text.length <= base64.length ? text : base64;
}

/** Decodes a text; undefined: it is no delivery that `encodeDelivery` could have made. */
export function decodeDelivery(text: string): UnmadeDelivery | undefined {
  if (!text.startsWith(BEGINNING)) return undefined;
  const { webhook, id, receivedAt, reason, headers, body, base64 } = fieldsIn(text);
  if (!isPlain(webhook) || !isPlain(id) || !isPlain(receivedAt) || !isPlain(reason)) return undefined;
  if (!isUuid(id) || !isTimestamp(receivedAt) || !areTexts(headers)) return undefined;
  const encoded = body ?? base64;
  if (typeof encoded !== "string") return undefined;
  const rawBody = Buffer.from(encoded, body === undefined ? "base64" : "utf8");
  return { webhook, id: id.toLowerCase(), receivedAt, reason, headers, rawBody };
}

function fieldsIn(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return {};
  }
}

/** Whether it is a text that Postgres can hold. */
const isPlain = (value: unknown): value is string =>
  typeof value === "string" && !value.includes("\0") && value.isWellFormed();

const areTexts = (value: unknown): value is Record<string, string> =>
  typeof value === "object" &&
  value !== null &&
  Object.values(value).every((text) => typeof text === "string");

/**
 * Makes the event of a delivery that became none when it came, or says why it still becomes none. Its size is not bounded, because
 * people ask for it.
 */
export function eventOfDelivery(stream: Stream, delivery: UnmadeDelivery): Envelope | string {
  const { id, webhook, rawBody } = delivery;
  const source = stream.webhooks.get(webhook);
  if (source === undefined) return `the stream has no webhook source "${webhook}"`;
  const outcome = webhookEvent(stream, source, delivery, { id, json: parseBody(rawBody) });
  if (outcome.kind === "event") return outcome.envelope;
  return outcome.kind === "ignored" ? "toEvent ignores it now" : outcome.reason;
}
