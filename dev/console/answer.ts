/** What each answer of the console's server has: the headers that bind the page, and errors as problem+json. */
import type { ServerResponse } from "node:http";

/** The page may load its own files and ask its own server; nobody may frame it, and it tells nobody where it was. */
const SAFE_HEADERS: ReadonlyMap<string, string> = new Map([
  [
    "content-security-policy",
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  ],
  ["x-content-type-options", "nosniff"],
  ["referrer-policy", "no-referrer"],
  ["cross-origin-opener-policy", "same-origin"],
  ["cross-origin-resource-policy", "same-origin"],
  ["cache-control", "no-store"],
]);

/** Gives an answer those headers, whoever writes the answer. Call it before. */
export function makeSafe(res: ServerResponse): void {
  for (const [name, value] of SAFE_HEADERS) res.setHeader(name, value);
}

/** Answers an error (RFC 9457). */
export function answerProblem(res: ServerResponse, status: number, title: string, detail: string): void {
  const body = JSON.stringify({ title, status, detail });
  res.writeHead(status, { "content-type": "application/problem+json" }).end(body);
}
