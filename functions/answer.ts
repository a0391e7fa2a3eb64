/** Sends answers as JSON, and errors as problem+json (RFC 9457). Never sends HTML or a stack trace. */
import type { ServerResponse } from "node:http";
import { RETRY_AFTER_SECONDS } from "../lib/contract/limits.ts";
import { type ProblemCode, problems, typeOf } from "../lib/contract/problems.ts";
import { readOn } from "./read-on.ts";
import { headersWithId } from "./request-id.ts";

/** An error that is sent to the client as an answer. */
export class Problem extends Error {
  override name = "Problem";
  readonly code: ProblemCode;
  readonly status: number;
  readonly extra: Record<string, unknown>;
  readonly headers: Record<string, string>;

  constructor(
    code: ProblemCode,
    detail: string,
    extra: Record<string, unknown> = {},
    headers: Record<string, string> = {},
  ) {
    super(detail);
    this.code = code;
    this.status = problems[code].status;
    this.extra = extra;
    this.headers = headers;
  }
}

/** The codes of problems that pass by themselves. */
type PassingCode = {
  [Code in ProblemCode]: (typeof problems)[Code]["again"] extends "later" ? Code : never;
}[ProblemCode];

/** Makes a 429 or 503 that asks the sender to try again after some seconds. */
export const tryAgain = (
  code: PassingCode,
  detail: string,
  extra: Record<string, unknown> = {},
  seconds = RETRY_AFTER_SECONDS,
) => new Problem(code, detail, extra, { "retry-after": String(seconds) });

/** Sends a JSON body. */
export function sendJson(
  res: ServerResponse,
  status: number,
  body: unknown,
  headers?: Record<string, string>,
): void {
  send(res, status, "application/json", body, headers);
}

/** Sends a problem. */
export function sendProblem(res: ServerResponse, problem: Problem): void {
  const { code, status, message: detail, extra, headers } = problem;
  const body = { type: typeOf(code), title: problems[code].title, status, code, detail, ...extra };
  send(res, status, "application/problem+json", body, headers);
}

/** Sends a body that ends with a newline, as people expect on a terminal. */
function send(
  res: ServerResponse,
  status: number,
  type: string,
  body: unknown,
  more?: Record<string, string>,
): void {
  sendText(res, status, type, `${JSON.stringify(body)}\n`, more);
}

/** Sends a text as it is. */
export function sendText(
  res: ServerResponse,
  status: number,
  type: string,
  text: string,
  more?: Record<string, string>,
): void {
  if (res.headersSent || res.destroyed) return;
  const headers = headersWithId(res, { "content-type": type, "content-length": Buffer.byteLength(text) });
  res.writeHead(status, more ? { ...headers, ...more } : headers);
  const sent = res.req.method === "HEAD" ? "" : text;
  if (res.req.complete) res.end(sent);
  else sendEarly(res, sent);
}

/**
 * Sends an answer while its request's body is still on its way, and reads the body on before it ends the answer: most clients
 * write a body to its end before they read, and a connection that is closed on unread bytes takes the answer with it. Past the
 * bounds, it ends the connection.
 */
function sendEarly(res: ServerResponse, text: string): void {
  if (text === "") res.flushHeaders();
  else res.write(text);
  readOn(res.req, (isWhole) => {
    if (isWhole) res.end();
    else res.end(() => res.req.socket.destroySoon());
  });
}
