/** Asks a supervisor over HTTP, and makes a sentence of an answer that is not as expected. */
import { CommandFailed, printable } from "./command-line.ts";

export interface Answer {
  status: number;
  /** Its JSON; undefined: it was none. */
  body: unknown;
}

export interface Supervisor {
  /** Which one, for people. */
  place: string;
  /** Asks it. Throws a CommandFailed if it does not answer. */
  ask(method: "GET" | "POST", path: string, options?: AskOptions): Promise<Answer>;
}

export interface AskOptions {
  /** Sent as JSON. */
  body?: unknown;
  /** How long the answer may take, in milliseconds. @default 60 s */
  timeoutMs?: number;
}

/** A supervisor at a URL. `tokenOf` gives the identity token, a new one if the last was refused. */
export function supervisorAt(
  url: string,
  tokenOf: (wasRefused: boolean) => Promise<string | undefined>,
): Supervisor {
  const base = url.replace(/\/+$/, "");
  const ask = async (
    method: "GET" | "POST",
    path: string,
    { body, timeoutMs = 60_000 }: AskOptions,
    token?: string,
  ) => {
    const headers: Record<string, string> = {};
    if (token !== undefined) headers.authorization = `Bearer ${token}`;
    if (body !== undefined) headers["content-type"] = "application/json";
    const signal = AbortSignal.timeout(timeoutMs);
    const sent = body === undefined ? null : JSON.stringify(body);
    try {
      const response = await fetch(`${base}${path}`, { method, headers, signal, body: sent });
      return { status: response.status, body: parseJson(await response.text()) };
    } catch {
      const why = signal.aborted ? `did not answer within ${timeoutMs / 1000} s` : "does not answer";
      throw new CommandFailed(`The supervisor at ${base} ${why}.`);
    }
  };
  return {
    place: base,
    async ask(method, path, options = {}) {
      const token = await tokenOf(false);
      const answer = await ask(method, path, options, token);
      if (answer.status !== 401) return answer;
      const next = await tokenOf(true);
      return next === token ? answer : ask(method, path, options, next);
    },
  };
}

/** Returns the body of a success, or throws a sentence. */
export function bodyOf<Body>(answer: Answer): Body {
  const isSuccess = answer.status >= 200 && answer.status < 300;
  if (isSuccess && typeof answer.body === "object" && answer.body !== null) return answer.body as Body;
  throw refusalOf(answer);
}

interface Problem {
  title?: string;
  detail?: string;
  errors?: { path: string; message: string }[];
}

/** A sentence for an answer that is not as expected. */
export function refusalOf({ status, body }: Answer): CommandFailed {
  const { detail, title, errors = [] } = (body ?? {}) as Problem;
  const named = errors.map(({ path, message }) => (path === "" ? message : `${path}: ${message}`)).join("; ");
  const said = [detail ?? title, named].filter(Boolean).join(": ");
  if (said !== "") return new CommandFailed(`The supervisor answered ${status}: ${printable(said)}.`);
  const hint =
    status === 401 || status === 403
      ? ": use --prod, or set SUPERVISOR_ID_TOKEN to the identity token of an account that may invoke it"
      : "";
  return new CommandFailed(`The supervisor answered ${status}${hint}.`);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
