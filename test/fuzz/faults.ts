/** What must hold of every answer, and of all that came on one connection. */
import type { RawAnswer } from "../raw-client.ts";
import type { Conversation, Held } from "./conversation.ts";
import type { Request, Stored } from "./requests.ts";

/** No answer is larger than this, whatever was sent. */
const ANSWER_MAX_BYTES = 300_000;

/** Lists what is wrong with what came on a connection. */
export function faultsOf(conversation: Conversation, { answers, end }: Held, stored: Stored): string[] {
  const { requests, answerable, hasRest, isRude } = conversation;
  const faults = answers.flatMap((answer, index) => {
    const request = requestOf(answer, index, conversation);
    const fault =
      typeof request === "string" ? request : faultOfAnswer(answer, request, index < answerable, stored);
    return fault === undefined ? [] : [`answer ${index}: ${fault}`];
  });
  if (end === "hung") return [...faults, `it stayed open: ${summaryOf(conversation, answers)}`];
  const due = answerable + (hasRest && !isBlank(conversation) ? 1 : 0);
  const isClosedBefore = answers.at(-1)?.headers.get("connection") === "close";
  if (!isRude && answers.length < due && !isClosedBefore)
    faults.push(`${answers.length} answers of ${due}: ${summaryOf(conversation, answers)}`);
  if (!hasRest && answers.length > requests.length) faults.push("more answers than requests");
  return faults;
}

/** Who said what, for whoever looks for the cause. */
const summaryOf = ({ requests, pieces }: Conversation, answers: readonly RawAnswer[]): string =>
  JSON.stringify({
    requests: requests.map(({ bytes, isWhole }) => [
      bytes.toString("latin1").split("\r\n\r\n")[0]?.slice(0, 500),
      ...[bytes.length, isWhole],
    ]),
    pieces: pieces.map(({ length }) => length),
    end: pieces.at(-1)?.subarray(-60).toString("latin1"),
    answers: answers.map(({ status, headers, body }) => [
      status,
      headers.get("connection"),
      body.slice(0, 120),
    ]),
  });

/** Whether nothing but line ends follows the whole requests: they may stand between requests, and are no request. */
function isBlank({ requests, answerable, pieces }: Conversation): boolean {
  const bytes = requests.slice(0, answerable).reduce((sum, one) => sum + one.bytes.length, 0);
  return /^[\r\n]*$/.test(Buffer.concat(pieces).subarray(bytes).toString("latin1"));
}

/** The request that an answer is to, or why it is to none. undefined: it is to something malformed, and the connection's last. */
function requestOf(
  { status, headers }: RawAnswer,
  index: number,
  { requests, answerable }: Conversation,
): Request | string | undefined {
  const request = requests[index];
  if (request && headers.get("x-request-id") === request.id) return request;
  if (index < answerable) return `expected one to ${request?.id}, got one to ${headers.get("x-request-id")}`;
  return status >= 400 && headers.get("connection") === "close" ? undefined : `a ${status} to no request`;
}

function faultOfAnswer(
  answer: RawAnswer,
  request: Request | undefined,
  isWhole: boolean,
  stored: Stored,
): string | undefined {
  const { status, headers } = answer;
  const body = Buffer.from(answer.body, "latin1").toString();
  const about = `${request?.method} ${request?.bytes.subarray(0, 90).toString("latin1").split("\r\n")[0]}: `;
  if (status >= 500 && !(status === 503 && headers.has("retry-after"))) return `${about}status ${status}`;
  if (isWhole && request?.statuses && !request.statuses.includes(status))
    return `${about}expected ${request.statuses}, got ${status} ${body.slice(0, 200)}`;
  if (body.length > ANSWER_MAX_BYTES) return `${about}${body.length} bytes`;
  if (/SQLSTATE|<html|<!doctype|node:internal|\bat .*\.ts:\d/i.test(body))
    return `${about}tells of our insides, or Postgres refused it: ${body.slice(0, 200)}`;
  const isEmpty = request?.method === "HEAD" || status === 204 || (status === 200 && body === "");
  if (isEmpty) return body === "" ? undefined : `${about}a body: ${body.slice(0, 200)}`;
  if (!body.endsWith("}\n")) return `${about}status ${status}, no JSON: ${body.slice(0, 200)}`;
  const fault = status >= 400 ? faultOfProblem(answer, body) : faultOfGood(status, body, request, stored);
  return fault === undefined ? undefined : about + fault;
}

/** An error is a problem that says why. An event that is unknown is an answer, too. */
function faultOfProblem({ status, headers }: RawAnswer, body: string): string | undefined {
  const said = JSON.parse(body) as { status: unknown; detail: unknown; errors?: unknown[] };
  if (headers.get("content-type") === "application/json" && said.status === "unknown") return undefined;
  if (headers.get("content-type") !== "application/problem+json" || said.status !== status)
    return `no problem: ${body.slice(0, 200)}`;
  if (typeof said.detail !== "string" || said.detail === "") return "no detail";
  return status === 422 && !(said.errors && said.errors.length > 0) ? "a 422 without errors" : undefined;
}

interface Good {
  accepted: number;
  ids: string[];
  duplicates?: string[];
  rejected?: { index: number; line?: number; errors: unknown[] }[];
  events?: { id: string; status: string }[];
}

function faultOfGood(
  status: number,
  body: string,
  request: Request | undefined,
  stored: Stored,
): string | undefined {
  const said = JSON.parse(body) as Good;
  if (status === 200) return request?.asked ? faultOfFound(said, request.asked, stored) : undefined;
  const { accepted, ids, duplicates = [], rejected = [] } = said;
  if (accepted !== ids.length || accepted === 0) return `accepted ${accepted}, and ${ids.length} ids`;
  if (!duplicates.every((id) => ids.includes(id))) return "a duplicate that is none of its ids";
  const indexes = rejected.map(({ index }) => index);
  if (indexes.some((index, i) => index <= (indexes[i - 1] ?? -1) || index >= accepted + indexes.length))
    return `rejected indexes ${indexes} of ${accepted + indexes.length} events`;
  const lines = rejected.flatMap(({ line }) => line ?? []);
  if (lines.some((line, i) => line <= (lines[i - 1] ?? 0))) return `rejected lines ${lines}`;
  return rejected.every(({ errors }) => errors.length > 0) ? undefined : "a rejected item without errors";
}

/** Each id that was asked for has its place, and what is stored is found. */
function faultOfFound({ events = [] }: Good, asked: readonly string[], stored: Stored): string | undefined {
  if (events.length !== asked.length) return `asked for ${asked.length}, got ${events.length}`;
  const known = new Set([...stored.values()].flat());
  const at = asked.findIndex((id, i) => known.has(id) && events[i]?.id !== id);
  return at === -1 ? undefined : `expected ${asked[at]} at place ${at}, got ${JSON.stringify(events[at])}`;
}
