/**
 * Admits events: turns parsed events into envelopes, or into errors for their sender. An event that passes has a fixed id, its
 * data fits the schema, and its row fits the table's column limits. Postgres may still refuse it, for example by a constraint.
 */
import type { ZodError } from "zod";
import type { RejectedCode } from "../contract/problems.ts";
import { type Envelope, type PushableEnvelope, packEnvelope } from "../schema/envelope.ts";
import { idempotentIds, idFromRaw, isUnguessableUuid, newId, RAW_ID_MAX } from "../schema/event-ids.ts";
import type { InputError } from "../schema/input-error.ts";
import { fieldsOf } from "../schema/json-row.ts";
import type { Stream } from "../schema/stream.ts";
import { findUnsafeValue } from "../schema/unsafe-json.ts";
import { type Capped, ErrorCap, EVENT_MAX_ERRORS } from "./cap-errors.ts";
import { withoutValues } from "./quote-free.ts";
import { errorOfStream, type RawEvent } from "./raw-event.ts";

/** An event that is not accepted, because its client must change it. */
export interface Rejected extends Capped {
  /** Its place in the request. */
  index: number;
  /** Its line in the request, in NDJSON. */
  line?: number;
  /** Absent: the event is invalid. */
  code?: RejectedCode;
}

/**
 * Keeps each event only in encoded form. A request may wait for seconds, and long-lived objects make garbage collection slow.
 */
export interface Admission {
  envelopes: PushableEnvelope[];
  /** The place of each envelope's event in the request. */
  indexes: number[];
  /**
   * The id with which each envelope's event is to be sent again: its own as it came, or the new one that it got. undefined: its
   * id follows from the Idempotency-Key, and only the same request under that key gives it the same one.
   */
  resendIds: (string | number | undefined)[];
  rejected: Rejected[];
  /** The first error of the first event that was rejected, as others than its sender may read it: no value is in the message. */
  firstError: InputError | undefined;
  /** The memory that the events' data take as texts at most, in bytes. Numbers may be longer than they were sent: 1e15 has 16 digits. */
  dataBytes: number;
  /** Whether at least one event was rejected because of its size. */
  isTooLarge: boolean;
  /** How many events were rejected because the stream's own code threw an error. */
  threw: number;
}

interface Options {
  stream: Stream;
  keyName: string;
  idempotencyKey: string | undefined;
  /** Whether the key is public: then events have ids that nobody can guess, or none. @default false */
  isPublic?: boolean;
  eventMaxBytes: number;
  /** When the request's body began to come, RFC 3339. */
  receivedAt: string;
  /** Whether envelopes are packed: they are on their way to Redis. */
  isPacked: boolean;
}

/** Admits or rejects the events of one request, one after the other. */
export class Admitting {
  readonly admission: Admission = {
    envelopes: [],
    indexes: [],
    resendIds: [],
    rejected: [],
    firstError: undefined,
    dataBytes: 0,
    isTooLarge: false,
    threw: 0,
  };
  readonly #options: Options;
  readonly #idempotentId: ((json: string) => string) | undefined;
  readonly #cap = new ErrorCap();
  #count = 0;

  constructor(options: Options) {
    this.#options = options;
    const { stream, keyName, idempotencyKey } = options;
    this.#idempotentId =
      idempotencyKey === undefined ? undefined : idempotentIds(stream.name, keyName, idempotencyKey);
  }

  /** Admits or rejects the next event. */
  add(event: RawEvent): void {
    const { admission } = this;
    const index = this.#count++;
    const result = admitSafely(this.#options, event, this.#idempotentId);
    if (!("errors" in result)) {
      const { envelope, resendId } = result;
      admission.envelopes.push(this.#options.isPacked ? packEnvelope(envelope) : envelope);
      admission.indexes.push(index);
      admission.resendIds.push(resendId);
      admission.dataBytes += memoryOf(envelope.dataJson);
      return;
    }
    admission.firstError ??= firstErrorOf(event, result);
    const line = event.line === undefined ? {} : { line: event.line };
    const code = result.isTooLarge ? { code: "event-too-large" as const } : {};
    admission.rejected.push({
      index,
      ...line,
      ...code,
      ...this.#cap.cap(asSent(event, result.errors), result.more),
    });
    admission.isTooLarge ||= result.isTooLarge ?? false;
    admission.threw += result.threw ? 1 : 0;
  }
}

interface Admitted {
  envelope: Envelope;
  resendId: string | number | undefined;
}

interface Rejection {
  /** At least one; the first ones only, if there are very many. */
  errors: InputError[];
  /** How many further errors there are. @default 0 */
  more?: number;
  isTooLarge?: boolean | undefined;
  threw?: boolean | undefined;
}

const reject = (path: string, message: string): Rejection => ({ errors: [{ path, message }] });

/** Rejects an event if its stream's own code (schema, mapping) throws an error on it: it is one event's, not its batch's. */
function admitSafely(
  options: Options,
  event: RawEvent,
  idempotentId: ((json: string) => string) | undefined,
): Admitted | Rejection {
  try {
    return admitOne(options, event, idempotentId);
  } catch (error) {
    return { errors: [errorOfStream(error)], threw: true };
  }
}

/** Gives each error the path that the event's client wrote. */
const asSent = ({ pathAsSent }: RawEvent, errors: InputError[]): InputError[] =>
  pathAsSent === undefined
    ? errors
    : errors.map(({ path, message }) => ({ path: pathAsSent(path), message }));

/** With a public key, everybody could send an event under an id that can be guessed, and the event that it belongs to would be lost. */
const GUESSABLE_ID = reject("id", "expected a UUID of version 4 or 7 with a public key, or no id");
function firstErrorOf(event: RawEvent, { errors }: Rejection): InputError {
  const [{ path, message } = { path: "", message: "" }] = asSent(event, errors);
  return { path, message: withoutValues(message, event.value) };
}

function admitOne(
  { stream, keyName, isPublic, eventMaxBytes, receivedAt }: Options,
  event: RawEvent,
  idempotentId: ((json: string) => string) | undefined,
): Admitted | Rejection {
  const error = event.error ?? (event.needsDeepCheck ? findUnsafeValue(event.value) : undefined);
  if (error) return { errors: [error], isTooLarge: event.isTooLarge, threw: event.threw };
  const withoutId = takeId(event);
  if ("errors" in withoutId) return withoutId;
  const { rawId, sentId } = withoutId;
  if (isPublic && rawId !== undefined && !isUnguessableUuid(rawId)) return GUESSABLE_ID;
  const parsed = stream.parse(withoutId.rest, event.hasNoNull);
  if (!parsed.success) return errorsOfSchema(parsed.error);

  const dataJson = JSON.stringify(parsed.data);
  if (isLongerThan(dataJson, eventMaxBytes))
    return { ...reject("", `expected at most ${eventMaxBytes} bytes of JSON`), isTooLarge: true };
  const isDerived = rawId === undefined && idempotentId !== undefined;
  const id =
    rawId === undefined
      ? (idempotentId?.(JSON.stringify(event.value)) ?? newId())
      : idFromRaw(stream.name, keyName, rawId);
  const columnError = stream.checkRow(fieldsOf(stream, parsed.data, stream.v));
  if (columnError) return { errors: [columnError] };
  const envelope = { v: stream.v, id, receivedAt, dataJson };
  return { envelope, resendId: isDerived ? undefined : (sentId ?? id) };
}

interface WithoutId {
  rawId: string | undefined;
  /** The client's id as it came. */
  sentId: string | number | undefined;
  rest: unknown;
}

/** Separates the client's id from the event. It must be a non-empty string or a whole number. */
function takeId(event: RawEvent): WithoutId | Rejection {
  const { rawId, sentId } = event;
  if (rawId !== undefined) return { rawId, sentId, rest: event.value };
  if (typeof event.value !== "object" || event.value === null || Array.isArray(event.value))
    return reject("", "expected an object");
  if ((event.value as { id?: unknown }).id === undefined)
    return { rawId: undefined, sentId: undefined, rest: event.value };
  const { id, ...rest } = event.value as Record<string, unknown>;
  if (typeof id === "number" && Number.isSafeInteger(id)) return { rawId: String(id), sentId: id, rest };
  if (typeof id === "string" && id !== "" && id.length <= RAW_ID_MAX) return { rawId: id, sentId: id, rest };
  return reject("id", `expected a string of 1 to ${RAW_ID_MAX} characters or a whole number`);
}

/** The memory of a text at most, in bytes: one a character if all are ASCII, else up to two. */
const memoryOf = (text: string): number =>
  Buffer.byteLength(text) === text.length ? text.length : 2 * text.length;

/** Whether a text has more than `maxBytes` bytes. Counts bytes only if the number of characters does not decide. */
function isLongerThan(text: string, maxBytes: number): boolean {
  if (text.length > maxBytes) return true;
  return text.length * 3 > maxBytes && Buffer.byteLength(text) > maxBytes;
}

/**
 * Lists a schema's first errors with their paths; an unknown key is an error with the path of that key. The others are counted
 * only: each path repeats the keys above it, and a thousand paths with a key of 100 KB are 100 MB.
 */
function errorsOfSchema({ issues }: ZodError): Rejection {
  const errors: InputError[] = [];
  let more = 0;
  for (const issue of issues) {
    const keys = issue.code === "unrecognized_keys" ? issue.keys : [];
    const told = Math.max(0, EVENT_MAX_ERRORS - errors.length);
    more += Math.max(0, Math.max(1, keys.length) - told);
    if (told > 0) errors.push(...errorsOfIssue(issue, keys.slice(0, told)));
  }
  return { errors, more };
}

function errorsOfIssue({ path, message }: ZodError["issues"][number], unknownKeys: string[]): InputError[] {
  if (unknownKeys.length === 0) return [{ path: path.join("."), message }];
  return unknownKeys.map((key) => ({
    path: [...path, key].join("."),
    message: "is not a field of this stream",
  }));
}
