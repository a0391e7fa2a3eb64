/** Asks a supervisor over HTTP, and makes a sentence of an answer that is not as expected. */
import type { z } from "zod";
import { CommandFailed, printable } from "./command-line.ts";

/** A request was sent, and no answer came: whether it was done is not known. */
export class Unanswered extends CommandFailed {}

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
  /** Opens an answer that goes on, whatever its status is. Throws a CommandFailed if there is none. */
  open(path: string, signal: AbortSignal): Promise<Response>;
}

export interface AskOptions {
  /** Sent as JSON. */
  body?: unknown;
  /** Sent as it is, in place of `body`: JSON, or nothing if it is empty. */
  text?: string;
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
    { body, text, timeoutMs = 60_000 }: AskOptions,
    token?: string,
  ) => {
    const headers: Record<string, string> = {};
    if (token !== undefined) headers.authorization = `Bearer ${token}`;
    const sent = text || (body === undefined ? null : JSON.stringify(body));
    if (sent !== null) headers["content-type"] = "application/json";
    const signal = AbortSignal.timeout(timeoutMs);
    try {
      const response = await fetch(`${base}${path}`, { method, headers, signal, body: sent });
      return { status: response.status, body: parseJson(await response.text()) };
    } catch {
      const why = signal.aborted ? `did not answer within ${timeoutMs / 1000} s` : "does not answer";
      throw new Unanswered(`The supervisor at ${base} ${why}.`);
    }
  };
  const open = async (path: string, signal: AbortSignal, token?: string) => {
    const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` };
    return fetch(`${base}${path}`, { headers, signal }).catch(() => {
      throw new Unanswered(`The supervisor at ${base} does not answer.`);
    });
  };
  return {
    place: base,
    async open(path, signal) {
      const token = await tokenOf(false);
      const answer = await open(path, signal, token);
      if (answer.status !== 401) return answer;
      const next = await tokenOf(true);
      return next === token ? answer : open(path, signal, next);
    },
    async ask(method, path, options = {}) {
      const token = await tokenOf(false);
      const answer = await ask(method, path, options, token);
      if (answer.status !== 401) return answer;
      const next = await tokenOf(true);
      return next === token ? answer : ask(method, path, options, next);
    },
  };
}

/**
 * Returns the body of a success that is as the contract says, or throws a sentence: something on the way may have answered. Members that
 * the contract does not name are kept, because a newer supervisor may answer them.
 */
export function bodyOf<Schema extends z.ZodType>(
  answer: Answer,
  schema: Schema,
  isExpected = answer.status >= 200 && answer.status < 300,
): z.infer<Schema> {
  const { status, body } = answer;
  if (!isExpected) throw refusalOf(answer);
  if (schema.safeParse(body).success) return body as z.infer<Schema>;
  throw new CommandFailed(
    `The answer is ${status}, but not as a supervisor of this release writes it: is something else at its address?`,
  );
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** A sentence for an answer that is no success. */
export function refusalOf({ status, body }: Answer): CommandFailed {
  const { detail, title, errors } = isObject(body) ? body : {};
  const said = [textOf(detail) || textOf(title), ...namedErrors(errors)].filter(Boolean).join(": ");
  if (said !== "") return new CommandFailed(`The supervisor answered ${status}: ${printable(said)}.`);
  const hint =
    status === 401 || status === 403
      ? ": use --prod, or set SUPERVISOR_ID_TOKEN to the identity token of an account that may invoke it, or OPERATOR_TOKEN where it runs elsewhere"
      : "";
  return new CommandFailed(`The supervisor answered ${status}${hint}.`);
}

const textOf = (value: unknown): string => (typeof value === "string" ? value : "");

function namedErrors(errors: unknown): string[] {
  if (!Array.isArray(errors)) return [];
  const texts = errors.filter(isObject).map(({ path, message }) => [textOf(path), textOf(message)]);
  return [texts.map((parts) => parts.filter(Boolean).join(": ")).join("; ")];
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
