/**
 * The HTTP edge of ingest: `POST /v1/{stream}` (answer-post.ts), `GET /v1/{stream}/{id}` and `GET /v1/{stream}?id=A&id=B`
 * (answer-whereabouts.ts), `POST /v1/{stream}/from/{source}` without a key (answer-webhook.ts). It checks a request in the order that README names: path, method, key, stream, the key's right to the
 * stream, and then the body.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { mayUse } from "../lib/access/api-keys.ts";
import type { ExpiringKeys } from "../lib/access/expiring-keys.ts";
import type { FoundKey, Keyring } from "../lib/access/keyring.ts";
import type { ApiKey } from "../lib/config.ts";
import type { Registry } from "../lib/schema/registry.ts";
import type { Stream } from "../lib/schema/stream.ts";
import { Problem } from "./answer.ts";
import { answerPost, type PostDeps } from "./answer-post.ts";
import { answerWebhook, isWebhookPath, type WebhookDeps } from "./answer-webhook.ts";
import { answerWhereabouts, answerWhereaboutsOfMany, type WhereaboutsDeps } from "./answer-whereabouts.ts";
import { answerOptions, type Cors } from "./cors.ts";
import { confirm, keyOf } from "./key-of.ts";
import { recordRefused } from "./on-record.ts";
import { refusePublicKey } from "./public-key.ts";
import { allow, answerHealth, type Handler, type RequestUrl, requestUrlOf } from "./request-url.ts";
import { answerHandshake } from "./webhook-handshake.ts";

export interface IngestDeps extends PostDeps, WebhookDeps, Omit<WhereaboutsDeps, "buckets"> {
  streams: Registry;
  keyring: Pick<Keyring, "find">;
  expiring: ExpiringKeys;
  cors: Pick<Cors, "allowWith">;
  keyEventsPerSecond: number;
}

/** Makes the handler. It throws a Problem for each error; the front door answers it. */
export function createIngest(deps: IngestDeps): Handler {
  return async (req, res) => {
    const url = requestUrlOf(req);
    if (answerHealth(req, res, url)) return;
    if (isWebhookPath(url)) return answerWebhook(deps, req, res, url);
    const { name, rawId } = streamPathOf(url);
    if (rawId === undefined && answerHandshake(req, res, deps.keyEventsPerSecond)) return;
    if (req.method === "OPTIONS") return answerOptions(res);
    allow(req, ...(rawId === undefined ? ["POST"] : []), "GET", "HEAD");
    await answerKnown({ deps, req, res, url, name, rawId, stream: deps.streams.get(name) });
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

async function answer(asked: Asked, { key, confirmed }: FoundKey): Promise<void> {
  const { deps, req, res, url, rawId } = asked;
  const stream = allowedOf(asked, key);
  refusePublicKey(key, req, url.query, stream);
  deps.cors.allowWith(key, req, res);
  const confirming = confirmed && (() => confirm(deps, confirmed));
  if (req.method === "POST") return answerPost(deps, req, res, url, key, stream, confirming);
  await confirming?.();
  if (rawId === undefined) await answerWhereaboutsOfMany(deps, res, key, stream, url.query);
  else await answerWhereabouts(deps, res, key, stream, rawId, url.query);
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

/** Returns the stream that is asked for. Throws a 404 or a 403 if the key can't have it. */
function allowedOf({ req, name, stream }: Asked, key: ApiKey): Stream {
  if (req.method === "POST" && stream?.retired)
    throw new Problem("retired-stream", `the stream ${stream.name} takes no more events`);
  if (stream === undefined) throw new Problem("unknown-stream", `no stream is named "${name.slice(0, 64)}"`);
  if (!mayUse(key, stream.name))
    throw new Problem("stream-not-allowed", `this key may not use the stream ${stream.name}`);
  return stream;
}
