/** Sends answers as JSON, and errors as problem+json (RFC 9457). Never sends HTML or a stack trace. */
import { type ServerResponse, STATUS_CODES } from "node:http";

/** How long a sender is asked to wait if no better time is known, in seconds. */
export const RETRY_AFTER_SECONDS = 5;

/** An error that is sent to the client as an answer. */
export class Problem extends Error {
  override name = "Problem";
  readonly status: number;
  readonly extra: Record<string, unknown>;
  readonly headers: Record<string, string>;

  constructor(
    status: number,
    detail: string,
    extra: Record<string, unknown> = {},
    headers: Record<string, string> = {},
  ) {
    super(detail);
    this.status = status;
    this.extra = extra;
    this.headers = headers;
  }
}

/** Makes a 429 or 503 that asks the sender to try again after some seconds. */
export const tryAgain = (
  status: 429 | 503,
  detail: string,
  extra: Record<string, unknown> = {},
  seconds = RETRY_AFTER_SECONDS,
) => new Problem(status, detail, extra, { "retry-after": String(seconds) });

/** Sends a JSON body. */
export function sendJson(
  res: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  send(res, status, JSON.stringify(body), { "content-type": "application/json", ...headers });
}

/** Sends a problem. Closes the connection if the request body was not read to its end. */
export function sendProblem(res: ServerResponse, problem: Problem): void {
  const { status, message: detail, extra, headers } = problem;
  const body = JSON.stringify({ type: "about:blank", title: STATUS_CODES[status], status, detail, ...extra });
  const close = res.req.complete ? {} : { connection: "close" };
  send(res, status, body, { "content-type": "application/problem+json", ...headers, ...close });
}

function send(res: ServerResponse, status: number, body: string, headers: Record<string, string>): void {
  if (res.headersSent || res.destroyed) return;
  res.writeHead(status, { ...headers, "content-length": Buffer.byteLength(body) });
  res.end(res.req.method === "HEAD" ? undefined : body);
}
