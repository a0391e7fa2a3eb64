/**
 * The HTTP edge of ingest: `POST /v1/{stream}` (answer-post.ts) and `GET /v1/{stream}/{id}`. It checks a request in the order
 * that README names: path, method, key, stream, the key's right to the stream, and then the body.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { authenticate, mayUse } from "../lib/access/api-keys.ts";
import type { ApiKey } from "../lib/config.ts";
import { findUnsafeValue } from "../lib/ingest/unsafe-json.ts";
import { idFromRaw } from "../lib/schema/event-ids.ts";
import type { Registry } from "../lib/schema/registry.ts";
import type { Stream } from "../lib/schema/stream.ts";
import type { Store } from "../lib/store/store.ts";
import { Problem, sendJson, tryAgain } from "./answer.ts";
import { answerPost, type PostDeps } from "./answer-post.ts";
import { allowOrigin } from "./cors.ts";
import { allow, answerHealth, type Handler, requestUrlOf } from "./request-url.ts";

export interface IngestDeps extends PostDeps {
  streams: Registry;
  apiKeys: readonly ApiKey[];
  store: Pick<Store, "find">;
  corsOrigins: readonly string[];
}

/** Makes the handler. It throws a Problem for each error; the front door answers it. */
export function createIngest(deps: IngestDeps): Handler {
  return async (req, res) => {
    const url = requestUrlOf(req);
    allowOrigin(deps.corsOrigins, req, res);
    if (answerHealth(req, res, url)) return;
    const [version, name, rawId, ...rest] = url.path;
    if (version !== "v1" || name === undefined || name === "" || rawId === "" || rest.length > 0)
      throw new Problem(404, "expected /v1/{stream} or /v1/{stream}/{id}");
    if (req.method === "OPTIONS") {
      res.writeHead(204).end();
      return;
    }
    allow(req, ...(rawId === undefined ? ["POST"] : ["GET", "HEAD"]));
    const key = keyOf(deps.apiKeys, req);
    const stream = streamOf(deps.streams, key, name, rawId === undefined);
    if (rawId === undefined) await answerPost(deps, req, res, url, key, stream);
    else await answerWhereabouts(deps, res, key, stream, rawId);
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

/** Answers where an event is. Only Postgres is asked, so an event that is still buffered is "unknown" (404). */
async function answerWhereabouts(
  { store }: IngestDeps,
  res: ServerResponse,
  key: ApiKey,
  stream: Stream,
  rawId: string,
): Promise<void> {
  if (findUnsafeValue(rawId)) throw new Problem(404, "no event can have this id");
  const id = idFromRaw(stream.name, key.name, rawId);
  let status: Awaited<ReturnType<Store["find"]>>;
  try {
    status = await store.find(stream, id);
  } catch {
    throw tryAgain(503, "the database does not answer");
  }
  sendJson(res, status === "unknown" ? 404 : 200, { id, status });
}
