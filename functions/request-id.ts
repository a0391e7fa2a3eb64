/**
 * The id of a request, by which its sender and its operator speak of the same one: in the answer as `X-Request-Id`, in log entries
 * as `requestId`. It is the sender's own, if that is short and plain; else the trace's, which Cloud Run's own logs carry, too; else
 * a new one.
 */
import { randomUUID } from "node:crypto";
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import { traceIdOf } from "../lib/cloud-run/trace.ts";

const HEADER = "x-request-id";
const PLAIN = /^[\w.:+/=-]{1,128}$/;

const ownIdOf = (headers: IncomingHttpHeaders): string | undefined => {
  const given = headers[HEADER];
  return typeof given === "string" && PLAIN.test(given) ? given : undefined;
};

/** Gives a request its id: from now on its answer carries it. */
export function giveRequestId({ headers }: IncomingMessage, res: ServerResponse): void {
  res.setHeader(HEADER, ownIdOf(headers) ?? traceIdOf(headers) ?? randomUUID());
}

/** The log field of the request that this answers. */
export const requestIdOf = (res: ServerResponse) => ({ requestId: String(res.getHeader(HEADER)) });
