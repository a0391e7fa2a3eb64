/**
 * The HTTP edge of ingest: `POST /v1/{stream}` (answer-post.ts), `GET /v1/{stream}/{id}` and `GET /v1/{stream}?id=A&id=B`
 * (answer-whereabouts.ts), `GET /v1/openapi.json` (answer-openapi.ts), and `POST /v1/{stream}/from/{source}` without a key
 * (answer-webhook.ts). It checks a request in the order that docs/http.md names: path, method, key, stream, the key's right to the stream,
 * and then the body.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { FoundKey } from "../lib/access/keyring.ts";
import { Documents } from "../lib/openapi/documents.ts";
import type { Registry } from "../lib/schema/registry.ts";
import type { Stream } from "../lib/schema/stream.ts";
import { Problem } from "./answer.ts";
import { answerOpenApi, DOCUMENT } from "./answer-openapi.ts";
import { answerPost, type PostDeps } from "./answer-post.ts";
import { answerWebhook, isWebhookPath, type WebhookDeps } from "./answer-webhook.ts";
import { answerWhereabouts, answerWhereaboutsOfMany, type WhereaboutsDeps } from "./answer-whereabouts.ts";
import { answerOptions, type Cors } from "./cors.ts";
import { confirm, keyOf } from "./key-of.ts";
import { recordRefused } from "./on-record.ts";
import { refusePublicKey } from "./public-key.ts";
import { allow, answerHealth, type Handler, type RequestUrl, requestUrlOf } from "./request-url.ts";
import { streamOf } from "./stream-of.ts";
import { answerHandshake } from "./webhook-handshake.ts";

export interface IngestDeps extends PostDeps, WebhookDeps, Omit<WhereaboutsDeps, "rates"> {
  streams: Registry;
  cors: Pick<Cors, "allowWith">;
  keyEventsPerSecond: number;
}

/** Makes the handler. It throws a Problem for each error; the front door answers it. */
export function createIngest(deps: IngestDeps): Handler {
  const documents = new Documents(deps.streams, deps);
  return async (req, res) => {
    const url = requestUrlOf(req);
    if (answerHealth(req, res, url)) return;
    if (isWebhookPath(url)) return answerWebhook(deps, req, res, url);
    const { name, rawId } = streamPathOf(url);
    if (rawId === undefined && answerHandshake(req, res, deps.keyEventsPerSecond)) return;
    if (req.method === "OPTIONS") return answerOptions(res);
    const isDocument = rawId === undefined && name === DOCUMENT;
    allow(req, ...(rawId === undefined && !isDocument ? ["POST"] : []), "GET", "HEAD");
    const stream = deps.streams.get(name);
    await answerKnown({
      deps,
      req,
      res,
      url,
      name,
      rawId,
      stream,
      documents: isDocument ? documents : undefined,
    });
  };
}

interface Asked {
  deps: IngestDeps;
  req: IncomingMessage;
  res: ServerResponse;
  url: RequestUrl;
  /** The stream's name in the path. */
  name: string;
  /** The event's id in the path. */
  rawId: string | undefined;
  stream: Stream | undefined;
  /** Undefined unless the OpenAPI document is asked for. */
  documents: Documents | undefined;
}

/** Answers whoever shows a key, and puts what is refused on record. */
async function answerKnown(asked: Asked): Promise<void> {
  const { deps, req, res, url, stream } = asked;
  let found: FoundKey | undefined;
  try {
    const finding = keyOf(deps, req, res, url.query);
    found = finding instanceof Promise ? await finding : finding;
    await answer(asked, found);
  } catch (error) {
    const refusal = await refusalOf(deps, found, error);
    if (refusal instanceof Problem) await recordRefused(deps, { req, key: found?.key, stream }, refusal);
    throw refusal;
  }
}

async function answer(asked: Asked, found: FoundKey): Promise<void> {
  const { key, confirmed } = found;
  const { deps, req, res, url, name, rawId, documents } = asked;
  if (documents) return answerDocument(documents, asked, found);
  const stream = streamOf(deps.streams, key, name, req.method === "POST");
  refusePublicKey(key, req, url.query, stream);
  deps.cors.allowWith(key, req, res);
  if (req.method === "POST") return answerPost(deps, req, res, url, found, stream);
  if (confirmed) await confirm(deps, confirmed);
  if (rawId === undefined) await answerWhereaboutsOfMany(deps, res, key, stream, url.query);
  else await answerWhereabouts(deps, res, key, stream, rawId, url.query);
}

async function answerDocument(
  documents: Documents,
  { deps, req, res }: Asked,
  { key, confirmed }: FoundKey,
): Promise<void> {
  if (confirmed) await confirm(deps, confirmed);
  deps.cors.allowWith(key, req, res);
  await answerOpenApi(documents, req, res, key);
}

/** Whatever else is refused, a key that was to be confirmed and is none any more is refused first. */
async function refusalOf(deps: IngestDeps, found: FoundKey | undefined, error: unknown): Promise<unknown> {
  if (found?.confirmed === undefined) return error;
  return confirm(deps, found.confirmed).then(
    () => error,
    (refusal: unknown) => refusal,
  );
}

/** Reads `/v1/{stream}` or `/v1/{stream}/{id}`. Throws a 404 for any other path. */
function streamPathOf({ path }: RequestUrl): { name: string; rawId: string | undefined } {
  const [version, name, rawId] = path;
  if (version === "v1" && name !== undefined && name !== "" && rawId !== "" && path.length <= 3)
    return { name, rawId };
  throw new Problem("unknown-path", "expected /v1/{stream}, /v1/{stream}/{id} or /v1/{stream}/from/{source}");
}
