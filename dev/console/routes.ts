/** The list of requests that the page may send on to the supervisor and to ingest. The server answers 404 to any other. */
import { CONSOLE_INGEST, CONSOLE_SUPERVISOR } from "../../lib/contract/console.ts";
import { ingestPaths, supervisorPaths } from "../../lib/contract/paths.ts";

export interface Route {
  to: "supervisor" | "ingest";
  /** Its path and query there. */
  path: string;
  /** Its answer is handed on as it comes. */
  isStream: boolean;
}

interface Known {
  method: "GET" | "POST";
  to: Route["to"];
  pattern: RegExp;
  isStream: boolean;
}

/** One segment of a path, still encoded. */
const SEGMENT = "[\\w.~%-]{1,200}";
/** Segments that a URL parser takes away. */
const DOTS = /^(?:\.|%2e){1,2}$/i;
const patternOf = (template: string): RegExp => new RegExp(`^${template.replaceAll(/\{\w+\}/g, SEGMENT)}$`);

const known = (method: Known["method"], to: Known["to"], template: string, isStream = false): Known => ({
  method,
  to,
  pattern: patternOf(template),
  isStream,
});

const KNOWN: readonly Known[] = [
  known("GET", "supervisor", supervisorPaths.status),
  known("GET", "supervisor", supervisorPaths.live, true),
  known("GET", "supervisor", supervisorPaths.doctor),
  known("GET", "supervisor", supervisorPaths.usage),
  known("GET", "supervisor", supervisorPaths.refusals),
  known("GET", "supervisor", supervisorPaths.deadLetters),
  known("GET", "supervisor", supervisorPaths.deadLetter),
  known("GET", "supervisor", supervisorPaths.storedEvent),
  known("POST", "supervisor", supervisorPaths.redrive),
  known("POST", "supervisor", supervisorPaths.purge),
  known("POST", "supervisor", supervisorPaths.drain),
  known("POST", "supervisor", supervisorPaths.drainStream),
  known("POST", "supervisor", supervisorPaths.pauseStream),
  known("POST", "supervisor", supervisorPaths.resumeStream),
  known("GET", "ingest", ingestPaths.openApi),
  known("POST", "ingest", ingestPaths.stream),
];

/** Finds where a request goes; undefined: nowhere. `target`: its path and query, as the page sent them. */
export function routeOf(method: string | undefined, target: string): Route | undefined {
  const to = target.startsWith(`${CONSOLE_SUPERVISOR}/`) ? "supervisor" : "ingest";
  const before = to === "supervisor" ? CONSOLE_SUPERVISOR : CONSOLE_INGEST;
  if (!target.startsWith(`${before}/`)) return undefined;
  const path = target.slice(before.length);
  const [bare = ""] = path.split("?");
  if (bare.split("/").some((segment) => DOTS.test(segment))) return undefined;
  const found = KNOWN.find((one) => one.method === method && one.to === to && one.pattern.test(bare));
  return found && { to, path, isStream: found.isStream };
}
