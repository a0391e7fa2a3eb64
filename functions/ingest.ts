/**
 * The HTTP edge of ingest: `POST /v1/{stream}` and `GET /v1/{stream}/{id}`. Checks in the order that the contract
 * names, and puts what the use case decided into words.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { type ApiKey, authenticate, mayUse } from "../lib/access/api-keys.ts";
import type { TokenBuckets } from "../lib/access/token-bucket.ts";
import { type Kept, keep } from "../lib/ingest/accept.ts";
import { type Admission, admit, type Rejected } from "../lib/ingest/admit.ts";
import type { Counts } from "../lib/ingest/answer-counts.ts";
import {
  type MediaType,
  mediaTypeOf,
  type ParsedBody,
  parseBody,
  SyntaxFault,
  TooMany,
} from "../lib/ingest/parse-body.ts";
import { findFault } from "../lib/ingest/unsafe-json.ts";
import { idFromRaw } from "../lib/schema/event-ids.ts";
import type { Registry } from "../lib/schema/registry.ts";
import type { Ack, Stream } from "../lib/schema/stream.ts";
import type { Store } from "../lib/store/store.ts";
import { Problem, sendJson, tryAgain } from "./answer.ts";
import { encodingOf, readBody } from "./body.ts";
import { allow, answerHealth, type Handler, type Target, targetOf } from "./request-url.ts";

export interface IngestContext {
  streams: Registry;
  apiKeys: readonly ApiKey[];
  keeping: Parameters<typeof keep>[0];
  store: Pick<Store, "find">;
  buckets: TokenBuckets;
  counts: Counts;
  now: () => number;
  bodyMaxBytes: number;
  eventMaxBytes: number;
  eventsMax: number;
  corsOrigins: readonly string[];
}

/** Makes the handler. It throws Problems, which the front door answers. */
export function createIngest(context: IngestContext): Handler {
  return async (req, res) => {
    const target = targetOf(req);
    allowOrigin(context.corsOrigins, req, res);
    if (answerHealth(req, res, target)) return;
    const [version, name, rawId, ...rest] = target.path;
    if (version !== "v1" || name === undefined || name === "" || rawId === "" || rest.length > 0)
      throw new Problem(404, "expected /v1/{stream} or /v1/{stream}/{id}");
    if (req.method === "OPTIONS") {
      res.writeHead(204).end();
      return;
    }
    allow(req, ...(rawId === undefined ? ["POST"] : ["GET", "HEAD"]));
    const key = keyOf(context.apiKeys, req);
    const stream = streamOf(context.streams, key, name, rawId === undefined);
    if (rawId === undefined) await post(context, req, res, target, key, stream);
    else await find(context, res, key, stream, rawId);
  };
}

function keyOf(apiKeys: readonly ApiKey[], req: IncomingMessage): ApiKey {
  const key = authenticate(apiKeys, req.headers.authorization);
  if (key) return key;
  throw new Problem(
    401,
    "expected a known key in Authorization: Bearer KEY",
    {},
    { "www-authenticate": "Bearer" },
  );
}

function streamOf(streams: Registry, key: ApiKey, name: string, isPost: boolean): Stream {
  const stream = streams.get(name);
  if (isPost && stream?.retired) throw new Problem(404, `the stream ${stream.name} takes no more events`);
  if (stream === undefined) throw new Problem(404, `no stream is named "${name.slice(0, 64)}"`);
  if (!mayUse(key, stream.name)) throw new Problem(403, `this key may not use the stream ${stream.name}`);
  return stream;
}

async function post(
  context: IngestContext,
  req: IncomingMessage,
  res: ServerResponse,
  { query }: Target,
  key: ApiKey,
  stream: Stream,
): Promise<void> {
  const admission = await admitBody(context, req, key, stream);
  const ack = ackOf(query);
  refuseWhenNoneFits(context, stream, admission);
  takeTokens(context, stream, key, admission);
  const kept = await keep(context.keeping, stream, ack, admission);
  answer(context, res, stream, admission, kept);
}

/** Reads and admits. Apart from `post`, which would hold the body, raw and parsed, while it waits. */
async function admitBody(
  { now, bodyMaxBytes, eventsMax, eventMaxBytes }: IngestContext,
  req: IncomingMessage,
  key: ApiKey,
  stream: Stream,
): Promise<Admission> {
  encodingOf(req); // 415 for an encoding comes before 413 for a length
  const type = mediaTypeOf(req.headers);
  if (type === undefined)
    throw new Problem(415, "expected JSON, NDJSON or CloudEvents in UTF-8, named by Content-Type");
  const parsed = parse(stream, type, req, await readBody(req, bodyMaxBytes), eventsMax);
  const terms = {
    stream,
    keyName: key.name,
    idempotencyKey: idempotencyKeyOf(req),
    eventMaxBytes,
    receivedAt: new Date(now()).toISOString(),
  };
  return admit(terms, parsed);
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
    throw error instanceof SyntaxFault ? new Problem(400, error.message) : error;
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

/** One oversized event alone is a 413; a request of which no event fits is a 422. */
function refuseWhenNoneFits(
  { counts }: IngestContext,
  stream: Stream,
  { admitted, isBatch, rejected, isTooLarge }: Admission,
): void {
  if (admitted.length > 0) return;
  counts.add(stream.name, { rejected: rejected.length });
  if (isTooLarge && !isBatch) throw new Problem(413, rejected[0]?.errors[0]?.message ?? "too large");
  throw noneValid("no event is valid", isBatch, rejected);
}

/** A 422: each error with its path, and in a batch with its event's place. */
const noneValid = (detail: string, isBatch: boolean, rejected: Rejected[]) =>
  new Problem(422, detail, {
    errors: rejected.flatMap(({ index, errors }) =>
      errors.map((error) => (isBatch ? { index, ...error } : error)),
    ),
  });

function takeTokens(
  { buckets, counts }: IngestContext,
  stream: Stream,
  key: ApiKey,
  { admitted }: Admission,
): void {
  const waitSeconds = buckets.take(key.name, admitted.length);
  if (waitSeconds === 0) return;
  counts.add(stream.name, { shed: admitted.length });
  throw tryAgain(429, "this key sends more than it may", {}, waitSeconds);
}

function answer(
  { counts }: IngestContext,
  res: ServerResponse,
  stream: Stream,
  { admitted, isBatch, rejected }: Admission,
  kept: Kept,
): void {
  if (kept.kind === "not-kept") {
    counts.add(stream.name, { shed: admitted.length, rejected: rejected.length });
    const detail = kept.isShed
      ? "the buffer is full; send it again later, with these ids"
      : "neither the buffer nor the database answered; send it again with these ids";
    throw tryAgain(503, detail, { ids: admitted.map(({ id }) => id), ...rejectedOf(rejected) });
  }
  const { ack, ids, refused } = kept;
  const all = [...rejected, ...refused].sort((a, b) => a.index - b.index);
  counts.add(stream.name, {
    accepted: ids.length,
    rejected: all.length,
    ...(ack === "stored" && stream.ack === "buffered" ? { storedThrough: ids.length } : {}),
  });
  if (ids.length === 0) throw noneValid("Postgres refused every event", isBatch, all);
  sendJson(res, ack === "stored" ? 201 : 202, { accepted: ids.length, ids, ack, ...rejectedOf(all) });
}

const rejectedOf = (rejected: Admission["rejected"]) => (rejected.length > 0 ? { rejected } : {});

/** Answers where an event is; one that is still buffered is unknown to Postgres. */
async function find(
  { store }: IngestContext,
  res: ServerResponse,
  key: ApiKey,
  stream: Stream,
  rawId: string,
): Promise<void> {
  if (findFault(rawId)) throw new Problem(404, "no event can have this id");
  const id = idFromRaw(stream.name, key.name, rawId);
  let status: Awaited<ReturnType<Store["find"]>>;
  try {
    status = await store.find(stream, id);
  } catch {
    throw tryAgain(503, "the database does not answer");
  }
  sendJson(res, status === "unknown" ? 404 : 200, { id, status });
}

/** Lets browsers of the allowed origins in. */
function allowOrigin(origins: readonly string[], req: IncomingMessage, res: ServerResponse): void {
  const origin = req.headers.origin;
  if (origin === undefined || origins.length === 0) return;
  res.setHeader("vary", "Origin");
  if (!origins.includes("*") && !origins.includes(origin)) return;
  res.setHeader("access-control-allow-origin", origins.includes("*") ? "*" : origin);
  res.setHeader("access-control-expose-headers", "Retry-After");
  if (req.method !== "OPTIONS") return;
  res.setHeader("access-control-allow-methods", "GET, POST, OPTIONS");
  res.setHeader(
    "access-control-allow-headers",
    "Authorization, Content-Type, Content-Encoding, Idempotency-Key",
  );
  res.setHeader("access-control-max-age", "86400");
}
