/** The pieces of a request's target that both functions look at. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { Problem, sendJson } from "./answer.ts";

/** A function of Spillway: answers every request that it is given. */
export type Handler = (req: IncomingMessage, res: ServerResponse) => Promise<void>;

export interface RequestUrl {
  /** The path's segments, percent-decoded. */
  path: string[];
  query: URLSearchParams;
}

/** Splits a request's target. Throws a 404 if it is not a path. */
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
    throw new Problem(404, "no such path");
  }
}

/** Throws a 405 unless the request's method is one of these. */
export function allow(req: IncomingMessage, ...methods: string[]): void {
  if (methods.includes(req.method ?? "")) return;
  throw new Problem(405, `expected ${methods.join(" or ")}`, {}, { allow: methods.join(", ") });
}

/** Answers `GET /health`, touching neither server; false for any other path. */
export function answerHealth(req: IncomingMessage, res: ServerResponse, { path }: RequestUrl): boolean {
  if (path.length !== 1 || path[0] !== "health") return false;
  allow(req, "GET", "HEAD");
  sendJson(res, 200, { status: "ok" });
  return true;
}
