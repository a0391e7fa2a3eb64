/**
 * Asks the console's own server (dev/console/), which forwards to the supervisor and to ingest. An answer that is no success becomes a
 * `Refused` with a sentence.
 */
import {
  CONSOLE_INGEST,
  CONSOLE_SUPERVISOR,
  CONSOLE_TOKEN_HEADER,
  type ConsoleAbout,
} from "../../../lib/contract/console.ts";
import { readLines } from "./read-lines.ts";
import { takeToken } from "./token.ts";

const token = takeToken();

/** The server answered, but not with a success; or it did not answer. The message is for people. */
export class Refused extends Error {
  override name = "Refused";
  readonly status: number;
  /** The answer's JSON; undefined: there was none. */
  readonly body: unknown;

  constructor(message: string, status = 0, body?: unknown) {
    super(message);
    this.status = status;
    this.body = body;
  }
}

const AWAY =
  "This console's own server does not answer: start it again (npm start, or npx spillway console), and use the address that it prints.";
const PERHAPS_DONE = "Perhaps it was done all the same.";

interface Asked {
  /** Sent as JSON. */
  body?: unknown;
  /** Sent as it is. */
  text?: string;
  signal?: AbortSignal;
}

/** Sends a request and gives the answer, whatever its status is. Throws a Refused if there is none. */
export async function request(method: "GET" | "POST", path: string, asked: Asked = {}): Promise<Response> {
  const headers: Record<string, string> = { [CONSOLE_TOKEN_HEADER]: token ?? "" };
  const text = asked.text ?? (asked.body === undefined ? undefined : JSON.stringify(asked.body));
  if (text !== undefined) headers["content-type"] = "application/json";
  const init = { method, headers, body: text ?? null, signal: asked.signal ?? null };
  return fetch(path, init).catch(() => {
    throw new Refused(method === "POST" ? `${AWAY} ${PERHAPS_DONE}` : AWAY);
  });
}

/** Asks, and gives the JSON of a success. Throws a Refused for anything else. */
export async function ask<Body>(method: "GET" | "POST", path: string, asked: Asked = {}): Promise<Body> {
  const response = await request(method, path, asked);
  const body = await response.json().catch(() => undefined);
  if (response.ok && body !== undefined) return body as Body;
  throw refusalOf(response.status, body);
}

/** Opens an answer of lines, and resolves when it is there, with its lines as they come together. Throws a Refused for anything else. */
export async function openLines<Line>(path: string, signal: AbortSignal): Promise<AsyncGenerator<Line[]>> {
  const response = await request("GET", path, { signal });
  if (!response.ok) throw refusalOf(response.status, await response.json().catch(() => undefined));
  return readLines<Line>(response);
}

/** The supervisor's answer to one of its paths. */
export const askSupervisor = <Body>(method: "GET" | "POST", path: string, asked: Asked = {}) =>
  ask<Body>(method, `${CONSOLE_SUPERVISOR}${path}`, asked);

/** Ingest's answer to one of its paths, with the server's own key. */
export const askIngest = <Body>(method: "GET" | "POST", path: string, asked: Asked = {}) =>
  ask<Body>(method, `${CONSOLE_INGEST}${path}`, asked);

/** What this console is. */
export const readAbout = (): Promise<ConsoleAbout> => ask<ConsoleAbout>("GET", "/api/about");

/** A sentence for an answer that is no success. */
function refusalOf(status: number, body: unknown): Refused {
  const { detail, title } = (body ?? {}) as { detail?: unknown; title?: unknown };
  const said = [detail, title].find((text): text is string => typeof text === "string" && text !== "");
  return new Refused(said ?? `The answer was ${status}.`, status, body);
}
