/** One request, and what its answer settles. An answer that is not Spillway's own, such as a captive portal's 200, settles nothing. */
import type { End, EventError, Held } from "./outcome.ts";

/** A longer Retry-After is somebody's mistake. */
const RETRY_AFTER_MAX_MS = 3_600_000;

export interface BatchRequest {
  /** Of ingest, without a slash at its end. */
  url: string;
  key: string;
  stream: string;
  ack: "stored" | undefined;
  /** The events' JSON, in order. */
  bodies: readonly string[];
  /** Whether the request may outlive its page. */
  keepalive: boolean;
  signal: AbortSignal;
  fetch: typeof fetch;
}

export type Answer = Reading & {
  /** Spillway's clock; NaN: it is not told. */
  dateMs?: number;
  retryAfterMs?: number;
};

type Reading =
  /** Each event has its end, by its place in the batch. */
  | { kind: "settled"; endOf: (place: number) => End }
  /** Nothing is settled: the batch is sent again after a while. */
  | { kind: "again"; held: Held }
  /** The batch is refused as a whole: its events are sent one by one. */
  | { kind: "singly" }
  /** The key, or a setting, is wrong. */
  | { kind: "held"; held: Held };

/** What Spillway's answers hold; another's may hold anything, and then throws or fits nothing. */
interface AnswerBody {
  ack?: string;
  ids?: string[];
  rejected?: Item[];
  code?: string;
  detail?: string;
  errors?: Item[];
}

interface Item extends EventError {
  index: number;
  code?: string;
  errors?: EventError[];
}

/**
 * Sends a batch. Rejects if there is no answer. A public key goes into the query, and the body is text/plain: a browser sends that to another
 * origin without asking first (fetch.spec.whatwg.org, "CORS-safelisted request-header").
 */
export async function sendBatch(request: BatchRequest): Promise<Answer> {
  const { url, key, stream, ack, bodies, keepalive, signal, fetch } = request;
  const isPublic = key.startsWith("spw_pub_");
  const query = new URLSearchParams({ ...(ack && { ack }), ...(isPublic && { key }) });
  const response = await fetch(`${url}/v1/${encodeURIComponent(stream)}?${query}`, {
    method: "POST",
    headers: isPublic
      ? { "content-type": "text/plain" }
      : { "content-type": "application/json", authorization: `Bearer ${key}` },
    body: `[${bodies.join()}]`,
    keepalive,
    signal,
  });
  const { status, headers } = response;
  const body: AnswerBody = (await response.json().catch(() => undefined)) ?? {};
  const retryAfterMs = Math.min(+(headers.get("retry-after") as string) * 1000 || 0, RETRY_AFTER_MAX_MS);
  return { ...read(status, body, request), retryAfterMs, dateMs: Date.parse(headers.get("date") as string) };
}

function read(status: number, body: AnswerBody, { stream, bodies }: BatchRequest): Reading {
  const count = bodies.length;
  const { code = `http-${status}`, detail = "" } = body;
  const held = { status, code, detail };
  if ((status === 202 || status === 201) && countOf(body) === count) return acceptedOf(body);
  if (status < 400 || status >= 500 || status === 408 || status === 429) return { kind: "again", held };
  // A 400 of somebody else, such as a proxy that wants TLS, says nothing of the events.
  if (status === 413 || ((status === 422 || status === 400) && body.code))
    return refusedOf(status, code, body, count);
  return { kind: "held", held: status === 401 ? held : { ...held, stream } };
}

/** How many events a 202 or 201 tells of. Another's, or one for another number of events, tells of none. */
const countOf = ({ ids = [], rejected = [] }: AnswerBody): number => ids.length + rejected.length;

/** The ends that it tells by index. */
function acceptedOf({ ack, rejected = [] }: AnswerBody): Reading {
  const endOf = (place: number): End => {
    const item = rejected.find(({ index }) => index === place);
    if (!item) return { kind: ack === "stored" ? ack : "buffered" };
    const { code = "invalid-event", errors = [] } = item;
    return { kind: "refused", status: 422, code, errors };
  };
  return { kind: "settled", endOf };
}

/** A 422 names each event, so it is told and over. After another refusal each event is sent alone, once. */
function refusedOf(
  status: number,
  code: string,
  { errors = [], detail = code }: AnswerBody,
  count: number,
): Reading {
  if (count > 1 && status !== 422) return { kind: "singly" };
  const endOf = (place: number): End => {
    const own = errors.filter(({ index = place }) => index === place);
    return {
      kind: "refused",
      status,
      code: own[0]?.code ?? code,
      errors: own[0] ? own : [{ path: "", message: detail }],
    };
  };
  return { kind: "settled", endOf };
}
