/** Answers: JSON, and errors as problem+json (RFC 9457). Never HTML, never a stack trace. */
import { type ServerResponse, STATUS_CODES } from "node:http";

/** Seconds that a sender is asked to wait when nothing better is known. */
export const RETRY_AFTER_SECONDS = 5;

/** An error that has an answer. */
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

/** A 429 or 503: try again after some seconds. */
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
