/**
 * Admits events: from what was parsed to envelopes and rows, or to the faults that their sender is told. An
 * event that passes here can be stored: its id is fixed, its data fits the schema and its row fits the table.
 */
import type { ZodError } from "zod";
import type { Fault } from "../schema/column-limits.ts";
import { encodeEnvelope } from "../schema/envelope.ts";
import { idempotentIds, idFromRaw, newId } from "../schema/event-ids.ts";
import { fieldsOf } from "../schema/json-row.ts";
import type { Stream } from "../schema/stream.ts";
import type { ParsedBody, RawEvent } from "./parse-body.ts";
import { findFault } from "./unsafe-json.ts";

/** An event that will be kept. */
export interface Admitted {
  id: string;
  /** Its envelope: as it is, packed once it waits for Redis. */
  envelope: string;
}

/** An event that will not, by its place in the request. */
export interface Rejected {
  index: number;
  errors: Fault[];
}

/** Holds no event but as its envelope: requests wait with theirs, and what lives long is what collecting garbage costs. */
export interface Admission {
  admitted: Admitted[];
  /** Whether the client sent several, so that one may be rejected alone. */
  isBatch: boolean;
  /** The place of each admitted event in the request. */
  indexes: number[];
  rejected: Rejected[];
  /** Whether some event was rejected for its size alone. */
  isTooLarge: boolean;
}

interface Terms {
  stream: Stream;
  keyName: string;
  idempotencyKey: string | undefined;
  eventMaxBytes: number;
  /** When the request was accepted, RFC 3339. */
  receivedAt: string;
}

/** An id that a client gives its event, in characters. */
const RAW_ID_MAX = 512;

/** Sorts the events of a body into admitted and rejected. */
export function admit(terms: Terms, { events, isBatch }: ParsedBody): Admission {
  const admission: Admission = { admitted: [], isBatch, indexes: [], rejected: [], isTooLarge: false };
  const idempotentId =
    terms.idempotencyKey === undefined
      ? undefined
      : idempotentIds(terms.stream.name, terms.keyName, terms.idempotencyKey);
  for (const [index, event] of events.entries()) {
    const result = admitOne(terms, event, idempotentId);
    if ("errors" in result) {
      admission.rejected.push({ index, errors: result.errors });
      admission.isTooLarge ||= result.isTooLarge ?? false;
    } else {
      admission.admitted.push(result);
      admission.indexes.push(index);
    }
  }
  return admission;
}

interface Refusal {
  errors: Fault[];
  isTooLarge?: boolean;
}

const refuse = (path: string, message: string): Refusal => ({ errors: [{ path, message }] });

function admitOne(
  { stream, keyName, eventMaxBytes, receivedAt }: Terms,
  event: RawEvent,
  idempotentId: ((json: string) => string) | undefined,
): Admitted | Refusal {
  const fault = event.fault ?? (event.isSuspect ? findFault(event.value) : undefined);
  if (fault) return { errors: [fault] };
  const apart = takeId(event);
  if ("errors" in apart) return apart;
  const parsed = stream.schema.safeParse(apart.rest);
  if (!parsed.success) return { errors: faultsOf(parsed.error) };

  const dataJson = JSON.stringify(parsed.data);
  if (isLongerThan(dataJson, eventMaxBytes))
    return { ...refuse("", `expected at most ${eventMaxBytes} bytes of JSON`), isTooLarge: true };
  const id =
    apart.rawId === undefined
      ? (idempotentId?.(JSON.stringify(event.value)) ?? newId())
      : idFromRaw(stream.name, keyName, apart.rawId);
  const columnFault = stream.checkRow(fieldsOf(stream, parsed.data, stream.v));
  if (columnFault) return { errors: [columnFault] };
  return { id, envelope: encodeEnvelope({ v: stream.v, id, receivedAt, dataJson }) };
}

/** Takes the client's id off the event: a non-empty string or a whole number. */
function takeId(event: RawEvent): { rawId: string | undefined; rest: unknown } | Refusal {
  if (event.rawId !== undefined) return { rawId: event.rawId, rest: event.value };
  if (typeof event.value !== "object" || event.value === null || Array.isArray(event.value))
    return refuse("", "expected an object");
  if ((event.value as { id?: unknown }).id === undefined) return { rawId: undefined, rest: event.value };
  const { id, ...rest } = event.value as Record<string, unknown>;
  if (typeof id === "number" && Number.isSafeInteger(id)) return { rawId: String(id), rest };
  if (typeof id === "string" && id !== "" && id.length <= RAW_ID_MAX) return { rawId: id, rest };
  return refuse("id", `expected a string of 1 to ${RAW_ID_MAX} characters or a whole number`);
}

/** Bytes are counted only where the number of characters leaves it open. */
function isLongerThan(text: string, maxBytes: number): boolean {
  if (text.length > maxBytes) return true;
  return text.length * 3 > maxBytes && Buffer.byteLength(text) > maxBytes;
}

/** A schema's complaints with their paths; an unknown key is named by its own. */
function faultsOf(error: ZodError): Fault[] {
  return error.issues.flatMap((issue) => {
    const path = issue.path.join(".");
    if (issue.code !== "unrecognized_keys") return [{ path, message: issue.message }];
    return issue.keys.map((key) => ({
      path: path === "" ? key : `${path}.${key}`,
      message: "is not a field of this stream",
    }));
  });
}
