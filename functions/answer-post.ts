/**
 * Answers `POST /v1/{stream}` once key and stream are known. Reads the body, admits its events, gives them to `accept`, and
 * answers with the level that they reached: buffered or stored.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { TokenBuckets } from "../lib/access/token-bucket.ts";
import type { ApiKey } from "../lib/config.ts";
import { type Accepted, accept } from "../lib/ingest/accept.ts";
import { type Admission, admit, type Rejected } from "../lib/ingest/admit.ts";
import type { AnswerCounts } from "../lib/ingest/answer-counts.ts";
import { type MediaType, mediaTypeOf } from "../lib/ingest/media-type.ts";
import { type ParsedBody, parseBody, TooMany } from "../lib/ingest/parse-body.ts";
import { BodySyntaxError } from "../lib/ingest/raw-event.ts";
import type { Ack, Stream } from "../lib/schema/stream.ts";
import { Problem, sendJson, tryAgain } from "./answer.ts";
import { encodingOf, readBody } from "./body.ts";
import type { RequestUrl } from "./request-url.ts";

export interface PostDeps {
  accepting: Parameters<typeof accept>[0];
  buckets: Pick<TokenBuckets, "take">;
  counts: Pick<AnswerCounts, "add">;
  now: () => number;
  bodyMaxBytes: number;
  eventMaxBytes: number;
  eventsMax: number;
}

/** Answers a POST. Throws a Problem for each error; the front door answers it. */
export async function answerPost(
  deps: PostDeps,
  req: IncomingMessage,
  res: ServerResponse,
  { query }: RequestUrl,
  key: ApiKey,
  stream: Stream,
): Promise<void> {
  const { request, accepting } = await startAccepting(deps, req, query, key, stream);
  answer(deps, res, stream, request, await accepting);
}

/** A request whose events are on their way. Holds everything that the answer needs, without the events' data. */
interface AdmittedRequest extends Pick<Admission, "isBatch" | "indexes" | "rejected"> {
  ids: string[];
}

/**
 * Admits a request's events and starts to accept them. This is a function of its own, because its frame holds the body and the
 * parsed events. The frame must end before the request waits for Redis, so that both can be freed.
 */
async function startAccepting(
  deps: PostDeps,
  req: IncomingMessage,
  query: URLSearchParams,
  key: ApiKey,
  stream: Stream,
): Promise<{ request: AdmittedRequest; accepting: Promise<Accepted> }> {
  const admission = await admitBody(deps, req, key, stream);
  const { envelopes, isBatch, indexes, rejected } = admission;
  const ack = ackOf(query);
  rejectWhenNoneFits(deps, stream, admission);
  takeTokens(deps, stream, key, envelopes.length);
  const request = { ids: envelopes.map(({ id }) => id), isBatch, indexes, rejected };
  return { request, accepting: accept(deps.accepting, stream, ack, envelopes) };
}

/** Reads a body and admits its events. */
async function admitBody(
  { now, bodyMaxBytes, eventsMax, eventMaxBytes }: PostDeps,
  req: IncomingMessage,
  key: ApiKey,
  stream: Stream,
): Promise<Admission> {
  encodingOf(req); // 415 for an encoding comes before 413 for a length
  const type = mediaTypeOf(req.headers);
  if (type === undefined)
    throw new Problem(415, "expected JSON, NDJSON or CloudEvents in UTF-8, named by Content-Type");
  const parsed = parse(stream, type, req, await readBody(req, bodyMaxBytes), eventsMax);
  const options = {
    stream,
    keyName: key.name,
    idempotencyKey: idempotencyKeyOf(req),
    eventMaxBytes,
    receivedAt: new Date(now()).toISOString(),
  };
  return admit(options, parsed);
}

function parse(
  stream: Stream,
  type: MediaType,
  req: IncomingMessage,
  body: Buffer,
  eventsMax: number,
): ParsedBody {
  try {
    return parseBody(stream, type, req.headers, body, eventsMax);
  } catch (error) {
    if (error instanceof TooMany) throw new Problem(413, error.message);
    throw error instanceof BodySyntaxError ? new Problem(400, error.message) : error;
  }
}

function ackOf(query: URLSearchParams): Ack {
  const ack = query.get("ack") ?? "buffered";
  if (ack !== "buffered" && ack !== "stored") throw new Problem(400, "expected ack=buffered or ack=stored");
  return ack;
}

function idempotencyKeyOf(req: IncomingMessage): string | undefined {
  const key = req.headers["idempotency-key"];
  if (key === undefined) return undefined;
  if (typeof key !== "string" || key.trim() === "" || key.length > 255)
    throw new Problem(400, "expected an Idempotency-Key of 1 to 255 characters");
  return key.trim();
}

/** Throws if no event was admitted: a 413 if the body is a single event that is too large, otherwise a 422. */
function rejectWhenNoneFits(
  { counts }: PostDeps,
  stream: Stream,
  { envelopes, isBatch, rejected, isTooLarge }: Admission,
): void {
  if (envelopes.length > 0) return;
  counts.add(stream.name, { rejected: rejected.length });
  if (isTooLarge && !isBatch) throw new Problem(413, rejected[0]?.errors[0]?.message ?? "too large");
  throw noneValid("no event is valid", isBatch, rejected);
}

/** Makes a 422 that lists each error with its path, and in a batch also with its event's place. */
const noneValid = (detail: string, isBatch: boolean, rejected: Rejected[]) =>
  new Problem(422, detail, {
    errors: rejected.flatMap(({ index, errors }) =>
      errors.map((error) => (isBatch ? { index, ...error } : error)),
    ),
  });

function takeTokens({ buckets, counts }: PostDeps, stream: Stream, key: ApiKey, count: number): void {
  const waitSeconds = buckets.take(key.name, count);
  if (waitSeconds === 0) return;
  counts.add(stream.name, { shed: count });
  throw tryAgain(429, "this key sends more than it may", {}, waitSeconds);
}

/** Why nothing is promised, for the sender. */
const NOT_ACCEPTED = {
  shed: "the buffer is full; send it again later, with these ids",
  unanswered: "neither the buffer nor the database answered; send it again with these ids",
  unproven:
    "the database refuses some of it, and nothing proves that these events are at fault; send it again with these ids",
};

function answer(
  { counts }: PostDeps,
  res: ServerResponse,
  stream: Stream,
  request: AdmittedRequest,
  accepted: Accepted,
): void {
  const { isBatch, indexes, rejected } = request;
  if (accepted.kind === "not-accepted") {
    counts.add(stream.name, { shed: request.ids.length, rejected: rejected.length });
    throw tryAgain(503, NOT_ACCEPTED[accepted.why], { ids: request.ids, ...rejectedOf(rejected) });
  }
  const { ack, refused } = accepted;
  const refusedPlaces = new Set(refused.map(({ place }) => place));
  const ids =
    refusedPlaces.size === 0 ? request.ids : request.ids.filter((_, place) => !refusedPlaces.has(place));
  const all = [...rejected, ...refused.map((one) => itemOf(indexes, one))].sort((a, b) => a.index - b.index);
  counts.add(stream.name, {
    accepted: ids.length,
    rejected: all.length,
    ...(ack === "stored" && stream.ack === "buffered" ? { storedThrough: ids.length } : {}),
  });
  if (ids.length === 0) throw noneValid("Postgres refused every event", isBatch, all);
  sendJson(res, ack === "stored" ? 201 : 202, { accepted: ids.length, ids, ack, ...rejectedOf(all) });
}

/** Makes an item of the answer from an event that Postgres refused. */
const itemOf = (
  indexes: readonly number[],
  { place, reason }: { place: number; reason: string },
): Rejected => ({
  index: indexes[place] ?? place,
  errors: [{ path: "", message: reason }],
});

const rejectedOf = (rejected: readonly Rejected[]) => (rejected.length > 0 ? { rejected } : {});
