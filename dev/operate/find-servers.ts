/**
 * Finds the servers for the commands for operators: in the environment, as the functions do, or else in the
 * `.local/stack.json` of a running `npm start`. All servers come from one of the two, never from both.
 */
import { readFileSync } from "node:fs";
import { type Config, readConfig } from "../../lib/config.ts";
import { CommandFailed } from "./command-line.ts";

const environment = process.env;
const stackFile = new URL("../../.local/stack.json", import.meta.url);

/** The variables that say where the servers are: one of them set, and the environment is meant. */
const PLACES = ["UPSTASH_REDIS_REST_URL", "UPSTASH_REDIS_REST_TOKEN", "DATABASE_URL"];

/** Finds Redis and Postgres; `place` says which, for people and without secrets. */
export function findServers(): { config: Config; place: string } {
  if (PLACES.some((name) => environment[name]?.trim())) {
    const config = readConfig(environment);
    const hosts = [config.restUrl, config.databaseUrl].map((url) => new URL(url));
    return { config, place: `${hosts[0]?.host} and ${hosts[1]?.host}${hosts[1]?.pathname}` };
  }
  const { restUrl, restToken, databaseUrl, neonHttpUrl } = readStack(PLACES.join(", "));
  const config = readConfig({
    UPSTASH_REDIS_REST_URL: restUrl,
    UPSTASH_REDIS_REST_TOKEN: restToken,
    DATABASE_URL: databaseUrl,
    NEON_HTTP_URL: neonHttpUrl,
  });
  return { config, place: "the running npm start" };
}

/** Finds Postgres alone, for a command that needs no Redis. */
export function findDatabase(): { databaseUrl: string; place: string } {
  const databaseUrl = environment.DATABASE_URL?.trim();
  if (databaseUrl) {
    const place = URL.canParse(databaseUrl) ? new URL(databaseUrl) : undefined;
    return { databaseUrl, place: place ? `${place.host}${place.pathname}` : "DATABASE_URL" };
  }
  const other = PLACES.find((name) => environment[name]?.trim());
  if (other !== undefined)
    throw new CommandFailed(`The environment has ${other}, so expected DATABASE_URL in it, too.`);
  const { databaseUrl: ofStack } = readStack("DATABASE_URL");
  if (!ofStack) throw new CommandFailed("The running npm start names no database: start it again.");
  return { databaseUrl: ofStack, place: "the running npm start" };
}

/** Asks the supervisor, with SUPERVISOR_ID_TOKEN where that is set; answers JSON with its status. */
export async function askSupervisor(
  method: "GET" | "POST",
  path: string,
  timeoutMs: number,
): Promise<{ status: number; body: unknown }> {
  const url = findSupervisor();
  const token = environment.SUPERVISOR_ID_TOKEN?.trim();
  const headers: Record<string, string> = token ? { authorization: `Bearer ${token}` } : {};
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    const response = await fetch(`${url}${path}`, { method, headers, signal });
    return { status: response.status, body: parseJson(await response.text()) };
  } catch {
    const why = signal.aborted ? `did not answer within ${timeoutMs / 1000} s` : "does not answer";
    throw new CommandFailed(`The supervisor at ${url} ${why}.`);
  }
}

/** A sentence for an answer that is no report. */
export function refusalOf({ status, body }: { status: number; body: unknown }): CommandFailed {
  const { detail, title } = (body ?? {}) as { detail?: string; title?: string };
  const hint =
    status === 401 || status === 403
      ? ": set SUPERVISOR_ID_TOKEN, for example to $(gcloud auth print-identity-token)"
      : (detail ?? title)
        ? `: ${detail ?? title}`
        : "";
  return new CommandFailed(`The supervisor answered ${status}${hint}.`);
}

function findSupervisor(): string {
  const url = environment.SUPERVISOR_URL?.trim() || readStack("SUPERVISOR_URL").supervisorUrl;
  return String(url).replace(/\/+$/, "");
}

function readStack(names: string): Record<string, string | undefined> {
  try {
    return JSON.parse(readFileSync(stackFile, "utf8")) as Record<string, string | undefined>;
  } catch {
    throw new CommandFailed(
      `No servers to talk to: set ${names} in the environment, or run npm start in another terminal.`,
    );
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
