/**
 * The id of a request, by which its sender and its operator speak of the same one: in the answer as `X-Request-Id`, in log entries
 * as `requestId`. It is the sender's own, if that is short and plain; else the trace's, which Cloud Run's own logs carry, too; else
 * a new one.
 */
import { randomUUID } from "node:crypto";
import type { IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeaders, ServerResponse } from "node:http";
import { traceIdOf } from "../lib/cloud-run/trace.ts";
import { headerNames } from "../lib/contract/header-names.ts";

const HEADER = headerNames.requestId;
const PLAIN = /^[\w.:+/=-]{1,128}$/;

const ownIdOf = (headers: IncomingHttpHeaders): string | undefined => {
  const given = headers[HEADER];
  return typeof given === "string" && PLAIN.test(given) ? given : undefined;
};

/** Gives a request its id. `headersWithId` puts it into the answer. */
export function giveRequestId({ headers }: IncomingMessage): void {
  headers[HEADER] = ownIdOf(headers) ?? traceIdOf(headers) ?? randomUUID();
}

/** The log field of a request that has its id. */
export const requestIdOf = ({ headers }: IncomingMessage) => ({ requestId: String(headers[HEADER]) });

/**
 * The headers that an answer always has: its request's id. They are given to `writeHead` with the others, because Node joins them
 * with those of `setHeader` one by one, for a microsecond.
 */
export const headersWithId = ({ req }: ServerResponse, headers: OutgoingHttpHeaders): OutgoingHttpHeaders => {
  const id = req.headers[HEADER];
  if (id !== undefined) headers[HEADER] = id;
  return headers;
};
