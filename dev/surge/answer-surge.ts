/**
 * The surge over HTTP, for a server that has checked Host, Origin and token before, and given the answer its safe headers:
 *
 *     GET  /api/surge            the lines as NDJSON (lib/contract/surge.ts): what was told, then what is told, until the reader goes
 *     POST /api/surge            begins one: {"rate": 2000, "seconds": 20, "mode": "both"}; 202 when it has begun
 *     POST /api/surge/stop       stops it; 202 at once, and the line `ended` tells when it has ended
 *     POST /api/surge/calibrate  measures this machine again; 202 when that has begun
 *
 * A refusal is 400 (the request makes no sense) or 409 (a surge runs already), with one sentence as `detail`.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { text } from "node:stream/consumers";
import { LIVE_MEDIA_TYPE } from "../../lib/contract/live-bounds.ts";
import type { Surge } from "./surge.ts";
import { SurgeRefused } from "./surge-request.ts";

/** A request is a few dozen bytes. */
const BODY_MAX_BYTES = 1024;
/** A reader that takes nothing for a whole surge has so much waiting, and is let go. */
const UNREAD_MAX_BYTES = 1_000_000;

type Handler = (req: IncomingMessage, res: ServerResponse) => Promise<void>;

/** The handlers by method and path, for a server that has a table of routes. They answer every error themselves. */
export function surgeRoutes(surge: Surge): Map<string, Handler> {
  const route =
    (answer: Handler): Handler =>
    (req, res) =>
      answer(req, res).catch((error: unknown) => refuse(res, error));
  return new Map([
    ["GET /api/surge", route(async (_req, res) => sendLines(surge, res))],
    ["POST /api/surge", route(async (req, res) => begin(res, surge.start(await readJson(req))))],
    ["POST /api/surge/stop", route(async (_req, res) => stop(surge, res))],
    ["POST /api/surge/calibrate", route((_req, res) => begin(res, surge.calibrate()))],
  ]);
}

async function begin(res: ServerResponse, begun: Promise<void>): Promise<void> {
  await begun;
  send(res, 202, { isRunning: true });
}

function stop(surge: Surge, res: ServerResponse): void {
  void surge.stop();
  send(res, 202, { isStopping: true });
}

function sendLines(surge: Surge, res: ServerResponse): void {
  res.writeHead(200, { "content-type": LIVE_MEDIA_TYPE });
  const close = surge.open((line) => {
    res.write(`${JSON.stringify(line)}\n`);
    if (res.writableLength > UNREAD_MAX_BYTES) res.destroy();
  });
  res.once("close", close);
}

async function readJson(req: IncomingMessage): Promise<unknown> {
  const isSmall = Number(req.headers["content-length"] ?? BODY_MAX_BYTES + 1) <= BODY_MAX_BYTES;
  if (!isSmall) req.resume();
  const body = isSmall ? await text(req) : "";
  try {
    return JSON.parse(body);
  } catch {
    throw new SurgeRefused(400, `expected JSON of at most ${BODY_MAX_BYTES} bytes, with its length.`);
  }
}

function refuse(res: ServerResponse, error: unknown): void {
  if (res.headersSent || res.destroyed) return void res.destroy();
  if (error instanceof SurgeRefused) send(res, error.status, { detail: error.message });
  else send(res, 503, { detail: "The servers of the local stack do not answer." });
}

function send(res: ServerResponse, status: number, body: object): void {
  res.writeHead(status, {
    "content-type": status < 400 ? "application/json" : "application/problem+json",
  });
  res.end(JSON.stringify(status < 400 ? body : { status, ...body }));
}
