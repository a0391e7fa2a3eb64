/** Answers `GET /live` of the supervisor: reads what is asked for, and keeps the response open until it ends. */
import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { LivePanel } from "../lib/contract/live.ts";
import { LIVE_MEDIA_TYPE, LIVE_VIEWERS_MAX } from "../lib/contract/live-bounds.ts";
import { supervisorPaths } from "../lib/contract/paths.ts";
import type { Live, LiveRequest } from "../lib/operate/live.ts";
import type { Registry } from "../lib/schema/registry.ts";
import { hasNewestRows } from "../lib/store/newest-rows.ts";
import { Problem, tryAgain } from "./answer.ts";
import { headersWithId } from "./request-id.ts";
import type { Asked, Route } from "./route.ts";

interface LiveDeps {
  /** Shows what happens; absent: nobody can look on. */
  live?: Live;
  streams: Registry;
}

export const liveRoutes: readonly Route<LiveDeps>[] = [
  { path: supervisorPaths.live, methods: ["GET"], answer: answerLive },
];

/** Shows what happens. Resolves when the response has ended, so that nothing is left of it afterwards. */
async function answerLive(
  { live, streams }: LiveDeps,
  req: IncomingMessage,
  res: ServerResponse,
  { query }: Asked,
): Promise<void> {
  req.resume(); // the body is not used
  if (live === undefined) throw new Problem("unknown-path", "this supervisor keeps no history");
  const request = requestOf(query, streams);
  if (live.isFull) throw tryAgain("instance-busy", `this instance has ${LIVE_VIEWERS_MAX} viewers already`);
  if (req.socket.readableEnded) return void res.destroy();
  const closed = once(res, "close");
  const headers = { "content-type": LIVE_MEDIA_TYPE, "cache-control": "no-store" };
  res.writeHead(200, headersWithId(res, headers));
  const close = live.open(res, request);
  const leave = () => res.destroy();
  req.socket.once("end", leave); // the server lets clients end their side, and would write on until a packet is refused
  await closed.finally(() => {
    req.socket.off("end", leave);
    close();
  });
}

function requestOf(query: URLSearchParams, streams: Registry): LiveRequest {
  for (const name of query.keys())
    if (name !== "after" && name !== "panels")
      throw new Problem("invalid-query", "expected no parameter but after, panels");
  return { after: afterOf(query.get("after")), panels: panelsOf(query.get("panels") ?? "", streams) };
}

function afterOf(text: string | null): LiveRequest["after"] {
  if (text === null) return undefined;
  const [, ring, cursor] = /^([\w-]{1,64}):(\d{1,15})$/.exec(text) ?? [];
  if (ring === undefined) throw new Problem("invalid-query", "after: expected RING:CURSOR");
  return { ring, cursor: Number(cursor) };
}

function panelsOf(text: string, streams: Registry): LivePanel[] {
  const names = text.split(",").filter((name) => name !== "");
  return [...new Set(names)].map((name): LivePanel => {
    if (name === "letters") return name;
    const [, streamName = ""] = /^stored:(.*)$/.exec(name) ?? [];
    const stream = streams.get(streamName);
    if (stream === undefined)
      throw new Problem("invalid-query", "panels: expected letters, or stored:STREAM with a stream's name");
    if (!hasNewestRows(stream))
      throw new Problem("invalid-query", `panels: the table of ${streamName} does not tell its newest rows`);
    return `stored:${streamName}`;
  });
}
