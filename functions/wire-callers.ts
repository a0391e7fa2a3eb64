/**
 * Who may ask the supervisor, and where it listens. Cloud Run, which sets K_SERVICE, checks the caller's identity token before a request comes
 * here. Elsewhere nobody does, so the supervisor wants OPERATOR_TOKEN, or serves this machine alone.
 */
import type { IncomingMessage } from "node:http";
import { operatorTokenCheck } from "../lib/access/operator-token.ts";
import { callerOf, mayOperate } from "../lib/cloud-run/caller.ts";
import { type Config, ConfigError } from "../lib/config.ts";
import { environment } from "./wire-process.ts";

interface Callers {
  /** Whether the caller is known. */
  isKnown(req: IncomingMessage): boolean;
  /** Whether the caller may do more than `POST /drain`. */
  mayOperate(req: IncomingMessage): boolean;
  /** The caller's e-mail, if it is verified. */
  callerOf(req: IncomingMessage): string | undefined;
}

const everybody = () => true;

/** Only Cloud Run has verified identity tokens. */
export function openCallers({ drainCallers, operatorToken }: Config): Callers {
  if (environment.K_SERVICE) {
    const only = new Set(drainCallers);
    return {
      isKnown: everybody,
      mayOperate: only.size === 0 ? everybody : (req) => mayOperate(req, only),
      callerOf,
    };
  }
  const check = operatorToken === undefined ? everybody : operatorTokenCheck(operatorToken);
  return {
    isKnown: ({ headers }) => check(headers.authorization),
    mayOperate: everybody,
    callerOf: () => undefined,
  };
}

/** The address on which a supervisor alone listens; undefined: on all. Throws a ConfigError if strangers could ask it then. */
export function hostOfSupervisor({ supervisorHost, operatorToken }: Config): string | undefined {
  if (environment.K_SERVICE) return undefined;
  const fallback = operatorToken === undefined ? "127.0.0.1" : undefined;
  return safeHost(supervisorHost ?? fallback, operatorToken);
}

/** The same of a supervisor in one process with ingest, which other machines ask. */
export const hostBesideIngest = ({ supervisorHost, operatorToken }: Config): string | undefined =>
  safeHost(supervisorHost, operatorToken);

function safeHost(host: string | undefined, token: string | undefined): string | undefined {
  if (token !== undefined || isLoopback(host)) return host;
  throw new ConfigError(
    `The environment is not usable:\n  OPERATOR_TOKEN: expected a token (openssl rand -hex 32), because the supervisor listens on ${host ?? "all addresses"} and nobody else checks who asks it; or SUPERVISOR_HOST=127.0.0.1, which serves this machine alone`,
  );
}

const isLoopback = (host = ""): boolean => host === "localhost" || host === "::1" || host.startsWith("127.");
