/** One request, and what its answer settles. An answer that is not Spillway's own, such as a captive portal's 200, settles nothing. */
import type { End, EventError, Held } from "./outcome.ts";

export interface BatchRequest {
  /** Of ingest, without a slash at its end. */
  url: string;
  key: string;
  stream: string;
  ack: "stored" | undefined;
  /** The events' JSON, in order. */
  bodies: readonly string[];
  /** Whether the request may outlive its page. */
  isKeptAlive: boolean;
  signal: AbortSignal;
  fetch: typeof fetch;
}

export type Answer = { dateMs: number | undefined } & (
  | { kind: "settled"; ends: End[] }
  /** Nothing is settled: the batch is sent again after a while. */
  | { kind: "again"; retryAfterMs: number }
  /** The batch is refused as a whole: its events are sent one by one. */
  | { kind: "singly" }
  /** The key, or a setting, is wrong. */
  | { kind: "held"; held: Held }
);

interface AnswerBody {
  ack?: unknown;
  ids?: unknown;
  rejected?: unknown;
  code?: unknown;
  detail?: unknown;
  errors?: unknown;
}

interface Item extends EventError {
  index?: number;
  code?: string;
  errors?: EventError[];
}

/** Sends a batch. Never rejects: without an answer, it is to be sent again. */
export async function sendBatch(request: BatchRequest): Promise<Answer> {
  try {
    const response = await post(request);
    const text = await response.text();
    const dateMs = Date.parse(response.headers.get("date") ?? "") || undefined;
    const retryAfterMs = retryAfterOf(response.headers.get("retry-after"), dateMs);
    return { dateMs, ...read(response.status, bodyOf(text), retryAfterMs, request) };
  } catch {
    return { dateMs: undefined, kind: "again", retryAfterMs: 0 };
  }
}

/**
 * A public key goes into the query, and the body is text/plain: a browser sends that to another origin without asking first
 * (fetch.spec.whatwg.org, "CORS-safelisted request-header").
 */
function post({
  url,
  key,
  stream,
  ack,
  bodies,
  isKeptAlive,
  signal,
  fetch,
}: BatchRequest): Promise<Response> {
  const isPublic = key.startsWith("spw_pub_");
  const query = [isPublic && `key=${encodeURIComponent(key)}`, ack && `ack=${ack}`].filter(Boolean).join("&");
  return fetch(`${url}/v1/${encodeURIComponent(stream)}${query && `?${query}`}`, {
    method: "POST",
    headers: isPublic
      ? { "content-type": "text/plain" }
      : { "content-type": "application/json", authorization: `Bearer ${key}` },
    body: `[${bodies.join()}]`,
    keepalive: isKeptAlive,
    signal,
  });
}

function bodyOf(text: string): AnswerBody {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
}

/** Retry-After in milliseconds, an hour at most: seconds, or a moment by the sender's own clock. */
function retryAfterOf(value: string | null, dateMs: number | undefined): number {
  if (!value) return 0;
  const ms = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - (dateMs ?? Number.NaN);
  return Math.min(Math.max(ms || 0, 0), 3_600_000);
}

type Reading =
  | { kind: "settled"; ends: End[] }
  | { kind: "again"; retryAfterMs: number }
  | { kind: "singly" }
  | { kind: "held"; held: Held };

function read(status: number, body: AnswerBody, retryAfterMs: number, request: BatchRequest): Reading {
  const again: Reading = { kind: "again", retryAfterMs };
  const count = request.bodies.length;
  if (status === 202 || status === 201) return acceptedOf(body, count) ?? again;
  if (status < 400 || status >= 500 || status === 408 || status === 429) return again;
  const code = typeof body.code === "string" ? body.code : undefined;
  // A 400 of somebody else, such as a proxy that wants TLS, says nothing of the events.
  if (status === 413 || ((status === 422 || status === 400) && code !== undefined))
    return refusedOf(status, code ?? "http-413", body, count);
  const held: Held = { status, code: code ?? `http-${status}`, detail: String(body.detail ?? "") };
  if (status !== 401) held.stream = request.stream;
  return { kind: "held", held };
}

const itemsOf = (value: unknown) => (Array.isArray(value) ? (value as Item[]) : []);

/** The ends that a 202 or 201 tells by index; undefined: it is none of Spillway's for so many events. */
function acceptedOf({ ids, ack, rejected }: AnswerBody, count: number): Reading | undefined {
  const items = itemsOf(rejected);
  if (!Array.isArray(ids) || ids.length + items.length !== count) return undefined;
  const ends = new Array<End>(count).fill({ kind: ack === "stored" ? "stored" : "buffered" });
  for (const { index = -1, code = "invalid-event", errors = [] } of items) {
    if (!(index in ends)) return undefined;
    ends[index] = { kind: "refused", status: 422, code, errors };
  }
  return { kind: "settled", ends };
}

/** A 422 names each event, so it is told and over. After another refusal each event is sent alone, once. */
function refusedOf(status: number, code: string, { errors, detail }: AnswerBody, count: number): Reading {
  const named = itemsOf(errors);
  const isNamed =
    status === 422 && named.length > 0 && named.every(({ index = -1 }) => index >= 0 && index < count);
  if (count > 1 && !isNamed) return { kind: "singly" };
  const ends = Array.from({ length: count }, (_, place): End => {
    const own = named.filter(({ index }) => count === 1 || index === place);
    const ownErrors = own.map(({ path, message }) => ({ path, message }));
    const all = ownErrors.length > 0 ? ownErrors : [{ path: "", message: String(detail ?? code) }];
    return { kind: "refused", status, code: own[0]?.code ?? code, errors: all };
  });
  return { kind: "settled", ends };
}
