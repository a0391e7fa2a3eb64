/**
 * Failures of the way to Postgres over TCP, by their kind. Postgres's own answer to a statement is pg's DatabaseError, and passes through.
 */
import { DatabaseError } from "pg";
import { tlsFailureOf } from "../tls-failure.ts";

/** The connection broke, or there was no answer in time: whether the transaction had its effect is unknown. */
export class NoAnswer extends Error {
  override name = "NoAnswer";
}

/**
 * There is no connection, by the server's word (`sqlstate`) or by that of the network. No statement was sent, so no row is at fault, and
 * nothing was stored.
 */
export class ConnectFailure extends Error {
  override name = "ConnectFailure";
  /** Whether somebody has to mend a login, a name or a certificate; otherwise it may pass by itself. */
  readonly isToMend: boolean;
  readonly sqlstate: string | undefined;

  constructor(message: string, isToMend: boolean, options: { sqlstate?: string; cause: unknown }) {
    super(message, { cause: options.cause });
    this.isToMend = isToMend;
    this.sqlstate = options.sqlstate;
  }
}

/** A wrong login, no such database, no right to connect. */
const TO_MEND = /^(28|3D|42501)/;

const SYSTEM_ERRORS: Record<string, string> = {
  ECONNREFUSED: "the connection is refused",
  ENOTFOUND: "the host's name is not known",
  EAI_AGAIN: "the host's name can't be looked up",
  ENOENT: "there is no such Unix socket",
};

/** Sorts an error of connecting. */
export function connectFailureOf(cause: unknown): ConnectFailure {
  if (cause instanceof DatabaseError && cause.code)
    return new ConnectFailure(wordsOf(cause), TO_MEND.test(cause.code), { sqlstate: cause.code, cause });
  const tls = tlsFailureOf(cause) ?? withoutTls(cause);
  if (tls !== undefined) return new ConnectFailure(tls, true, { cause });
  const { code = "" } = (cause ?? {}) as { code?: string };
  const why = SYSTEM_ERRORS[code];
  return new ConnectFailure(`no answer from Postgres${why ? `: ${why}` : ""}`, false, { cause });
}

/** The server's own words, bounded; they name a role or a database, and hold no data of an event. */
const wordsOf = ({ message, code }: DatabaseError): string =>
  `Postgres refuses the connection: ${message.slice(0, 200)} (SQLSTATE ${code})`;

/** pg has no code for a server that answers that it has no TLS, nor for a login that its side can't make. */
const withoutTls = (cause: unknown): string | undefined =>
  cause instanceof Error && cause.message === "The server does not support SSL connections"
    ? "the server has no TLS, which sslmode wants"
    : undefined;
