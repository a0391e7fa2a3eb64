/** What the APIs of the rehearsal's cloud are asked, and how they answer. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Credentials } from "./credentials.ts";

/** The person who deploys: Owner of the project. */
export const OWNER = "owner@example.com";

export interface Asked {
  method: string;
  host: string;
  /** Without the API's version. */
  path: string;
  query: URLSearchParams;
  /** The JSON of the body; an empty object if there is none. */
  body: Record<string, unknown>;
  /** By the access token; undefined: it shows none. */
  caller: string | undefined;
  /** Whose door it came through. */
  through: string;
}

/** A call of Cloud Tasks or Cloud Scheduler. */
export interface HttpTarget {
  url: string;
  httpMethod?: string;
  oidcToken?: { serviceAccountEmail?: string; audience?: string };
}

export async function readAsked(
  req: IncomingMessage,
  url: URL,
  through: string,
  credentials: Credentials,
): Promise<Asked> {
  return {
    method: req.method ?? "GET",
    host: url.host,
    path: decodeURIComponent(url.pathname.replace(/^\/(v\d+(beta\d)?)\//, "/").slice(1)),
    query: url.searchParams,
    body: await readJson(req),
    caller: credentials.callerOf(req.headers.authorization),
    through,
  };
}

export async function readJson(req: IncomingMessage): Promise<Record<string, unknown>> {
  let text = "";
  for await (const piece of req.setEncoding("utf8")) text += piece;
  return text === "" ? {} : JSON.parse(text);
}

export function sendJson(res: ServerResponse, status: number, body: unknown): void {
  res.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}
