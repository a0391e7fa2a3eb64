/**
 * Pauses over HTTP: `POST /streams/{stream}/pause` with `{"for":"2h","why":"…"}`, both optional, and `POST /streams/{stream}/resume`.
 * Without a body, a pause is as long as without `for`.
 */
import type { IncomingMessage } from "node:http";
import { isOfRedis } from "../lib/buffer/redis-errors.ts";
import { supervisorPaths } from "../lib/contract/paths.ts";
import { type PauseAnswer, pauseRequest, type ResumeAnswer } from "../lib/contract/pause.ts";
import { type PausingDeps, pauseStream, resumeStream } from "../lib/operate/pause.ts";
import type { Registry } from "../lib/schema/registry.ts";
import { Problem, sendJson, tryAgain } from "./answer.ts";
import { readJsonBody } from "./json-body.ts";
import type { Route } from "./route.ts";

export type PauseDeps = PausingDeps & {
  streams: Registry;
  /** The caller's e-mail, if somebody has verified it. */
  callerOf: (req: IncomingMessage) => string | undefined;
};

/** Makes the answer of a route to the stream that its path names. */
const answering =
  (
    answer: (deps: PauseDeps, req: IncomingMessage, stream: string) => Promise<unknown>,
  ): Route<PauseDeps>["answer"] =>
  async (deps, req, res, { words: [stream = ""] }) => {
    if (!deps.streams.has(stream))
      throw new Problem("unknown-stream", `no stream is named "${stream.slice(0, 64)}"`);
    sendJson(res, 200, await answer(deps, req, stream));
  };

async function pause(deps: PauseDeps, req: IncomingMessage, stream: string): Promise<PauseAnswer> {
  const asked = hasBody(req) ? await readJsonBody(req, pauseRequest) : pauseRequest.parse({});
  const request = { seconds: asked.for, by: deps.callerOf(req), why: asked.why };
  return pauseStream(deps, stream, request).catch(sayRedis);
}

function resume(deps: PauseDeps, req: IncomingMessage, stream: string): Promise<ResumeAnswer> {
  req.resume(); // the body is not used
  return resumeStream(deps, stream, deps.callerOf(req)).catch(sayRedis);
}

const hasBody = ({ headers }: IncomingMessage): boolean =>
  headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;

function sayRedis(error: unknown): never {
  if (isOfRedis(error)) throw tryAgain("buffer-away", "Redis does not answer, or refuses");
  throw error;
}

export const pauseRoutes: readonly Route<PauseDeps>[] = [
  { path: supervisorPaths.pauseStream, methods: ["POST"], answer: answering(pause) },
  { path: supervisorPaths.resumeStream, methods: ["POST"], answer: answering(resume) },
];
