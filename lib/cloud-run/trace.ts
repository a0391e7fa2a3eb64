/**
 * Ties log entries to their request. Cloud Logging groups entries by the field `logging.googleapis.com/trace`. It names the
 * project, and the trace that Google's front end put into the request (cloud.google.com/trace/docs/trace-log-integration).
 */
import type { IncomingHttpHeaders } from "node:http";

const PROJECT_URL = "http://metadata.google.internal/computeMetadata/v1/project/project-id";
const TIMEOUT_MS = 500;

/** Asks Cloud Run's metadata server for the project of this process; undefined: the server gave none. */
export async function findProject(url = PROJECT_URL): Promise<string | undefined> {
  try {
    const response = await fetch(url, {
      headers: { "metadata-flavor": "Google" },
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    return response.ok ? await response.text() : undefined;
  } catch {
    return undefined;
  }
}

/** Returns the trace of a request, 32 hex digits, from `traceparent` (W3C) or else `x-cloud-trace-context`; undefined: it has none. */
export function traceIdOf(headers: IncomingHttpHeaders): string | undefined {
  const header = `${headers.traceparent ?? headers["x-cloud-trace-context"] ?? ""}`;
  return /^(?:00-)?([0-9a-f]{32})\b/.exec(header)?.[1];
}

/** Returns the log field of a request's trace. None if no project is known, or if the request has no trace. */
export function traceOf(project: string | undefined, headers: IncomingHttpHeaders): Record<string, string> {
  const trace = traceIdOf(headers);
  if (project === undefined || trace === undefined) return {};
  return { "logging.googleapis.com/trace": `projects/${project}/traces/${trace}` };
}
