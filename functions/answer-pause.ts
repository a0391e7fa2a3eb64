/**
 * Pauses over HTTP: `POST /streams/{stream}/pause` with `{"for":"2h","why":"…"}`, both optional, and `POST /streams/{stream}/resume`.
 * Without a body, a pause is as long as without `for`.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { z } from "zod";
import { isOfRedis } from "../lib/buffer/redis-errors.ts";
import {
  PAUSE_DEFAULT,
  PAUSE_LENGTH_EXPECTED,
  pauseSecondsOf,
  WHY_MAX,
} from "../lib/contract/pause-length.ts";
import { type PausingDeps, pauseStream, resumeStream } from "../lib/operate/pause.ts";
import type { Registry } from "../lib/schema/registry.ts";
import { Problem, sendJson, tryAgain } from "./answer.ts";
import { readJsonBody } from "./json-body.ts";
import { allow, type RequestUrl } from "./request-url.ts";

export type PauseDeps = PausingDeps & {
  streams: Registry;
  /** The caller's e-mail, if somebody has verified it. */
  callerOf: (req: IncomingMessage) => string | undefined;
};

const pauseRequest = z.strictObject({
  for: z
    .string()
    .default(PAUSE_DEFAULT)
    .transform((text, context) => {
      const seconds = pauseSecondsOf(text);
      if (seconds !== undefined) return seconds;
      context.addIssue({ code: "custom", message: PAUSE_LENGTH_EXPECTED });
      return z.NEVER;
    }),
  why: z
    .string()
    .trim()
    .min(1, "expected a reason, or none")
    .max(WHY_MAX, `expected at most ${WHY_MAX} characters`)
    .regex(/^\P{Cc}*$/u, "expected one line")
    .optional(),
});

/** Answers the two paths under `/streams/{stream}`. Returns false for any other. Throws a Problem for each error. */
export async function answerPause(
  deps: PauseDeps,
  req: IncomingMessage,
  res: ServerResponse,
  { path }: RequestUrl,
): Promise<boolean> {
  const [what, stream = "", verb, ...rest] = path;
  if (what !== "streams" || (verb !== "pause" && verb !== "resume") || rest.length > 0) return false;
  allow(req, "POST");
  if (!deps.streams.has(stream))
    throw new Problem("unknown-stream", `no stream is named "${stream.slice(0, 64)}"`);
  const answer = verb === "pause" ? await pause(deps, req, stream) : await resume(deps, req, stream);
  sendJson(res, 200, answer);
  return true;
}

async function pause(deps: PauseDeps, req: IncomingMessage, stream: string) {
  const asked = hasBody(req) ? await readJsonBody(req, pauseRequest) : pauseRequest.parse({});
  const request = { seconds: asked.for, by: deps.callerOf(req), why: asked.why };
  return pauseStream(deps, stream, request).catch(sayRedis);
}

function resume(deps: PauseDeps, req: IncomingMessage, stream: string) {
  req.resume(); // the body is not used
  return resumeStream(deps, stream, deps.callerOf(req)).catch(sayRedis);
}

const hasBody = ({ headers }: IncomingMessage): boolean =>
  headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;

function sayRedis(error: unknown): never {
  if (isOfRedis(error)) throw tryAgain("buffer-away", "Redis does not answer, or refuses");
  throw error;
}
