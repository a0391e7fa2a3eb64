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
    const finding = keyOf(deps, req, res, url.query);
    const { key, confirmed } = finding instanceof Promise ? await finding : finding;
    if (confirmed === undefined) await answer({ deps, req, res, url, key }, name, rawId);
    else await answerConfirmed({ deps, req, res, url, key, confirmed }, name, rawId);
  };
}

/** A request with its key. */
interface Asked {
  deps: IngestDeps;
  req: IncomingMessage;
  res: ServerResponse;
  url: RequestUrl;
  key: ApiKey;
  /** Says whether the key is still one; undefined: it is. */
  confirmed?: FoundKey["confirmed"];
}

async function answer(asked: Asked, name: string, rawId: string | undefined): Promise<void> {
  const { deps, req, res, url, key, confirmed } = asked;
  const isPost = req.method === "POST";
  const stream = streamOf(deps.streams, key, name, isPost);
  refusePublicKey(key, req, url.query, stream);
  deps.cors.allowWith(key, req, res);
  const confirming = confirmed && (() => confirm(deps, confirmed));
  if (isPost) return answerPost(deps, req, res, url, key, stream, confirming);
  await confirming?.();
  if (rawId === undefined) await answerWhereaboutsOfMany(deps, res, key, stream, url.query);
  else await answerWhereabouts(deps, res, key, stream, rawId, url.query);
}

/** The same for a key that is being confirmed: whatever else would be refused, a key that is none any more is refused first. */
async function answerConfirmed(
  asked: Required<Asked>,
  name: string,
  rawId: string | undefined,
): Promise<void> {
  try {
    await answer(asked, name, rawId);
  } catch (error) {
    if (asked.confirmed !== undefined) await confirm(asked.deps, asked.confirmed);
    throw error;
  }
}

/** Reads `/v1/{stream}` or `/v1/{stream}/{id}`. Throws a 404 for any other path. */
function streamPathOf({ path }: RequestUrl): { name: string; rawId: string | undefined } {
  const [version, name, rawId] = path;
  if (version === "v1" && name !== undefined && name !== "" && rawId !== "" && path.length <= 3)
    return { name, rawId };
  throw new Problem("unknown-path", "expected /v1/{stream}, /v1/{stream}/{id} or /v1/{stream}/from/{source}");
}

function streamOf(streams: Registry, key: ApiKey, name: string, isPost: boolean): Stream {
  const stream = streams.get(name);
  if (isPost && stream?.retired)
    throw new Problem("retired-stream", `the stream ${stream.name} takes no more events`);
  if (stream === undefined) throw new Problem("unknown-stream", `no stream is named "${name.slice(0, 64)}"`);
  if (!mayUse(key, stream.name))
    throw new Problem("stream-not-allowed", `this key may not use the stream ${stream.name}`);
  return stream;
}
