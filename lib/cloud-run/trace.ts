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

/** Returns the log field of a trace, from `traceparent` (W3C) or else `x-cloud-trace-context`. None if no project is known. */
export function traceOf(project: string | undefined, headers: IncomingHttpHeaders): Record<string, string> {
  const header = `${headers.traceparent ?? headers["x-cloud-trace-context"] ?? ""}`;
  const trace = /^(?:00-)?([0-9a-f]{32})\b/.exec(header)?.[1];
  if (project === undefined || trace === undefined) return {};
  return { "logging.googleapis.com/trace": `projects/${project}/traces/${trace}` };
}
