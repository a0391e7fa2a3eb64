/** Reads a request's URL and method, for both functions, and answers `GET /health`. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { Problem, sendJson } from "./answer.ts";

/** Answers a request, or throws an error for the front door to answer. */
export type Handler = (req: IncomingMessage, res: ServerResponse) => Promise<void>;

export interface RequestUrl {
  /** The path's segments, percent-decoded. */
  path: string[];
  query: URLSearchParams;
}

/** Splits a request's URL into path and query. Throws a 404 if the path cannot be percent-decoded. */
export function requestUrlOf(req: IncomingMessage): RequestUrl {
  const url = req.url ?? "/";
  const mark = url.indexOf("?");
  const path = mark === -1 ? url : url.slice(0, mark);
  try {
    return {
      path: path.split("/").slice(1).map(decodeURIComponent),
      query: new URLSearchParams(mark === -1 ? "" : url.slice(mark + 1)),
    };
  } catch {
    throw new Problem("unknown-path", "no such path");
  }
}

/** Throws a 405 if the request's method is not one of these. */
export function allow(req: IncomingMessage, ...methods: string[]): void {
  if (methods.includes(req.method ?? "")) return;
  throw new Problem(
    "method-not-allowed",
    `expected ${methods.join(" or ")}`,
    {},
    { allow: methods.join(", ") },
  );
}

/** Answers `GET /health` without asking Redis or Postgres. Returns false for any other path. */
export function answerHealth(req: IncomingMessage, res: ServerResponse, { path }: RequestUrl): boolean {
  if (path.length !== 1 || path[0] !== "health") return false;
  allow(req, "GET", "HEAD");
  sayHealthy(res);
  return true;
}

/** Says that the process runs. */
export const sayHealthy = (res: ServerResponse): void => sendJson(res, 200, { status: "ok" });
