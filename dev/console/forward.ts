/** Forwards a request of the page to the supervisor, or with the server's own key to ingest, and hands the answer on. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { type Answer, type Supervisor, Unanswered } from "../operate/ask-supervisor.ts";
import { CommandFailed } from "../operate/command-line.ts";
import { answerProblem } from "./answer.ts";
import type { Route } from "./routes.ts";

/** The system that the console shows. */
export interface ConsoleTarget {
  supervisor: Supervisor;
  /** Undefined: it is not known where ingest is. */
  ingest: { url: string; apiKey: string | undefined } | undefined;
  /** It is not a running `spillway start`. */
  isProd: boolean;
  /** Whether a POST is forwarded. */
  canWrite: boolean;
}

/** A test event, or a list of ids: more is no use of the page. */
const BODY_MAX_BYTES = 1_000_000;

const READ_ONLY =
  "this console only reads: with --write, npx spillway console starts one that may change something, too";

const PERHAPS_DONE = "Perhaps it was done all the same: look before you do it again.";

/** Answers a request by the answer of where it goes. */
export async function forward(
  target: ConsoleTarget,
  { to, path, isStream }: Route,
  req: IncomingMessage,
  res: ServerResponse,
): Promise<void> {
  const isPost = req.method === "POST";
  if (isPost && !target.canWrite) return answerProblem(res, 403, "The console is read-only", READ_ONLY);
  const text = isPost ? await bodyOf(req) : "";
  if (text === undefined)
    return answerProblem(res, 413, "The body is too large", `expected at most ${BODY_MAX_BYTES} bytes`);
  try {
    if (isStream) await handOn(target.supervisor, path, res);
    else
      sendAnswer(
        res,
        await (to === "ingest" ? askIngest(target, path, text) : askSupervisor(target, path, isPost, text)),
      );
  } catch (error) {
    if (!(error instanceof CommandFailed)) throw error;
    const isPerhapsDone = isPost && error instanceof Unanswered;
    const detail = isPerhapsDone ? `${error.message} ${PERHAPS_DONE}` : error.message;
    answerProblem(res, 502, "The system does not answer", detail);
  }
}

/** The answer of the supervisor. */
async function askSupervisor(
  { supervisor }: ConsoleTarget,
  path: string,
  isPost: boolean,
  text: string,
): Promise<Answer> {
  return ofPage(await (isPost ? supervisor.ask("POST", path, { text }) : supervisor.ask("GET", path)));
}

/** A 401 of the supervisor is about this console's identity. The page would take it for one of this server, about its own token. */
const ofPage = ({ status, body }: Answer): Answer => ({ status, body: status === 401 ? undefined : body });

async function askIngest({ ingest }: ConsoleTarget, path: string, text: string): Promise<Answer> {
  if (ingest?.apiKey === undefined)
    throw new CommandFailed(
      "Asking ingest needs an API key in SPILLWAY_API_KEY, set before the console starts.",
    );
  const headers = { authorization: `Bearer ${ingest.apiKey}`, "content-type": "application/json" };
  const init = text === "" ? { headers } : { headers, method: "POST", body: text };
  const response = await fetch(`${ingest.url}${path}`, {
    ...init,
    signal: AbortSignal.timeout(20_000),
  }).catch(() => {
    throw new Unanswered(`Ingest at ${ingest.url} does not answer.`);
  });
  return { status: response.status, body: await response.json().catch(() => undefined) };
}

function sendAnswer(res: ServerResponse, { status, body }: Answer): void {
  if (body === undefined) answerOther(res, status);
  else res.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}

/** Something before the supervisor answered: Cloud Run, if the caller's identity is not enough, or a proxy. */
function answerOther(res: ServerResponse, status: number): void {
  const isRefused = status === 401 || status === 403;
  const title = isRefused ? "The supervisor refuses this console" : "The answer is not JSON";
  const detail = isRefused ? refused(status) : `Something at its address answered ${status} without JSON.`;
  answerProblem(res, isRefused || status < 400 ? 502 : status, title, detail);
}

const refused = (status: number): string =>
  `The supervisor refuses this console's identity (${status}): log in with gcloud auth login, as one of Terraform's operators, or start the console anew with a SUPERVISOR_ID_TOKEN that has not expired, or with the OPERATOR_TOKEN of an installation of your own.`;

/** Hands lines on as they come; when the page leaves, the supervisor is left, too. */
async function handOn(supervisor: Supervisor, path: string, res: ServerResponse): Promise<void> {
  const leaving = new AbortController();
  res.once("close", () => leaving.abort());
  const response = await supervisor.open(path, leaving.signal);
  if (!response.ok)
    return sendAnswer(
      res,
      ofPage({ status: response.status, body: await response.json().catch(() => undefined) }),
    );
  const type = response.headers.get("content-type") ?? "application/octet-stream";
  res.writeHead(response.status, { "content-type": type });
  res.flushHeaders();
  if (response.body === null) return void res.end();
  await pipeline(Readable.fromWeb(response.body), res).catch(() => res.destroy());
}

/** The body as text; undefined: it is too large. */
async function bodyOf(req: IncomingMessage): Promise<string | undefined> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of req as AsyncIterable<Buffer>) {
    bytes += piece.length;
    if (bytes > BODY_MAX_BYTES) return undefined;
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString();
}
