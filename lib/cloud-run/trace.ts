/**
 * Ties log entries to their request: Cloud Logging groups by `logging.googleapis.com/trace`, which names the project
 * and the trace that Google's front end put into the request (cloud.google.com/trace/docs/trace-log-integration).
 */
import type { IncomingHttpHeaders } from "node:http";

const PROJECT_URL = "http://metadata.google.internal/computeMetadata/v1/project/project-id";
const TIMEOUT_MS = 500;

/** The project that this runs in, from Cloud Run's metadata server; undefined if there is none. */
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

/** The field that names a request's trace, from `traceparent` (W3C) or `x-cloud-trace-context`; none without both. */
export function traceOf(project: string | undefined, headers: IncomingHttpHeaders): Record<string, string> {
  const header = `${headers.traceparent ?? headers["x-cloud-trace-context"] ?? ""}`;
  const trace = /^(?:00-)?([0-9a-f]{32})\b/.exec(header)?.[1];
  if (project === undefined || trace === undefined) return {};
  return { "logging.googleapis.com/trace": `projects/${project}/traces/${trace}` };
}
