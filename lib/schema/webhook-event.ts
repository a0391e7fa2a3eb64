/**
 * Makes the event of a delivery whose signature holds. Whatever is wrong with it is no fault that its sender could mend: it comes
 * out as a reason, and the delivery becomes a dead letter.
 */
import { isUtf8 } from "node:buffer";
import { createHash } from "node:crypto";
import { z } from "zod";
import type { Envelope } from "./envelope.ts";
import { idFromRaw, idOfSignedBody } from "./event-ids.ts";
import type { InputError } from "./input-error.ts";
import { fieldsOf } from "./json-row.ts";
import { fieldsOfSchema } from "./schema-fields.ts";
import type { Stream } from "./stream.ts";
import { messageOfThrown, nameOfThrown } from "./thrown.ts";
import { findUnsafeValue } from "./unsafe-json.ts";
import { type WebhookSource, webhookKinds } from "./webhook.ts";

/** The most errors of one event that are told. */
const ERRORS_MAX = 20;

/** A delivery whose signature holds. */
export interface SignedDelivery {
  rawBody: Buffer;
  /** The sender's own headers, without the signature. */
  headers: Readonly<Record<string, string>>;
  /** When its body began to come, RFC 3339. */
  receivedAt: string;
  /** The id that its sender has signed outside of the body. */
  signedId?: string | undefined;
}

/** Why a delivery becomes a letter. */
export interface WebhookFailure {
  kind: "failed";
  /** One of a few sentences, without data of the event. */
  reason: string;
  /** The same for whoever may see the event's data. */
  errors: InputError[];
}

export type WebhookOutcome = { kind: "event"; envelope: Envelope } | { kind: "ignored" } | WebhookFailure;

/** What was read of a body. */
interface ReadBody {
  /** The row id of the delivery's event, or of its letter. */
  id: string;
  /** The parsed JSON; undefined: it is none. */
  json: { value: unknown } | undefined;
}

/**
 * The name that stands in a derived id where the name of an API key stands in others. No key has such a name, because a key's name
 * has no space.
 */
const scopeOf = ({ name }: WebhookSource): string => `source ${name}`;

/** Parses a delivery's body and finds its id: the one that its sender has signed, else one that follows from the body. */
export function readWebhookBody(
  stream: Stream,
  source: WebhookSource,
  { rawBody, signedId }: SignedDelivery,
): ReadBody {
  const json = parseBody(rawBody);
  const { idField } = webhookKinds[source.kind];
  const rawId = signedId ?? (idField === undefined ? undefined : textAt(json?.value, idField));
  const id =
    rawId === undefined
      ? idOfSignedBody(stream.name, scopeOf(source), createHash("sha256").update(rawBody).digest("hex"))
      : idFromRaw(stream.name, scopeOf(source), rawId);
  return { id, json };
}

/** Makes the event of a delivery. An event of more than `eventMaxBytes` is a failure. Never throws. */
export function webhookEvent(
  stream: Stream,
  source: WebhookSource,
  { rawBody, headers, receivedAt }: SignedDelivery,
  { id, json }: ReadBody,
  eventMaxBytes = Number.POSITIVE_INFINITY,
): WebhookOutcome {
  if (json === undefined) return failed("the body is not JSON in UTF-8");
  let step = "toEvent";
  try {
    // Copies: whatever it does to them, a letter has them as they came.
    const event = source.toEvent({
      body: json.value,
      headers: { ...headers },
      rawBody: Buffer.from(rawBody),
    });
    // Nobody waits for it, and its failure would end the process.
    if (event instanceof Promise) event.catch(() => {});
    if (event === null) return { kind: "ignored" };
    step = "the schema or toRow";
    const checked = check(stream, event, eventMaxBytes);
    if ("reason" in checked) return checked;
    return { kind: "event", envelope: { v: stream.v, id, receivedAt, dataJson: checked.dataJson } };
  } catch (error) {
    return failedBy(step, error);
  }
}

/** What the stream's own code threw: a few words for the letter, and all of it for whoever may see the data. */
function failedBy(step: string, error: unknown): WebhookFailure {
  const reason = `${step} threw ${nameOfThrown(error)}`;
  if (error instanceof z.ZodError) return failed(reason, errorsOf(error));
  return failed(reason, [{ path: "", message: `${reason}: ${messageOfThrown(error)}` }]);
}

/** The first of a schema's errors. */
const errorsOf = ({ issues }: z.ZodError): InputError[] =>
  issues.slice(0, ERRORS_MAX).map(({ path, message }) => ({ path: path.join("."), message }));

const failed = (reason: string, errors: InputError[] = [{ path: "", message: reason }]): WebhookFailure => ({
  kind: "failed",
  reason,
  errors,
});

/** Checks what `toEvent` returned as ingest checks an event that a client sent. */
function check(stream: Stream, event: unknown, maxBytes: number): { dataJson: string } | WebhookFailure {
  if (typeof event !== "object" || event === null || Array.isArray(event) || "then" in event)
    return failed("toEvent returned neither one event nor null");
  const unsafe = findUnsafeValue(event);
  if (unsafe) return failed(`its event has a value that can't be stored${at(stream, unsafe.path)}`, [unsafe]);
  const parsed = stream.parse(event);
  if (!parsed.success) return failedSchema(stream, parsed.error);
  const dataJson = JSON.stringify(parsed.data);
  if (Buffer.byteLength(dataJson) > maxBytes)
    return failed(`its event is larger than EVENT_MAX_BYTES (${maxBytes})`);
  const error = stream.checkRow(fieldsOf(stream, parsed.data, stream.v));
  if (error) return failed(`its event does not fit a column${at(stream, error.path)}`, [error]);
  return { dataJson };
}

function failedSchema(stream: Stream, error: z.ZodError): WebhookFailure {
  const [first] = error.issues;
  const code = first === undefined ? "" : `: ${first.code}`;
  return failed(
    `its event does not fit the schema${at(stream, String(first?.path[0] ?? ""))}${code}`,
    errorsOf(error),
  );
}

/** Says where something is wrong by a field that the schema declares: other names may be data. */
function at(stream: Stream, path: string): string {
  const [field = ""] = path.split(".");
  return fieldsOfSchema(stream.schema).fields.has(field) ? ` at ${field}` : "";
}

/** Parses a body; undefined: it is not JSON in UTF-8. */
export function parseBody(rawBody: Buffer): { value: unknown } | undefined {
  if (!isUtf8(rawBody)) return undefined;
  try {
    return { value: JSON.parse(rawBody.toString()) as unknown };
  } catch {
    return undefined;
  }
}

function textAt(value: unknown, field: string): string | undefined {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, field)) return undefined;
  const text = (value as Record<string, unknown>)[field];
  return typeof text === "string" && text !== "" ? text : undefined;
}
