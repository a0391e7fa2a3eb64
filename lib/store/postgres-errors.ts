/**
 * The meaning of a failed statement, by SQLSTATE and by the C routine that raised it, never by message text. Classes are
 * those of PostgreSQL's appendix A.
 *
 * | kind          | SQLSTATE                                  | who may be at fault                                   |
 * |---------------|-------------------------------------------|-------------------------------------------------------|
 * | no-answer     | none, 08, 57P01 to 57P03                  | the network, the server, or a row that kills it       |
 * | busy          | 53, 55P03, 57, 58, F0, XX                 | the server or a lock: never a row                     |
 * | conflict      | 40                                        | the moment: try again                                 |
 * | timeout       | 57014, 25P04                                    | a lock, the size of the batch, or a row               |
 * | too-large     | HTTP 413                                  | the size of the batch, or of a row                    |
 * | misconfigured | 25006, 28, 3D, 3F, a proxy's refusal, TLS | the database's owner                                  |
 * | refused       | each other one; each that a user's RAISE gives | a row or the table: a witness decides (judge.ts) |
 *
 * A RAISE in a trigger may use any SQLSTATE, so its routine (`exec_stmt_raise`) wins over the class.
 */
import { NeonDbError } from "@neondatabase/serverless";
import { DatabaseError } from "pg";
import { ProxyRefused } from "./over-http.ts";
import { conditionOf } from "./sqlstates.ts";
import { ConnectFailure, NoAnswer } from "./tcp-failures.ts";

export type FailureKind =
  | "no-answer"
  | "busy"
  | "conflict"
  | "timeout"
  | "too-large"
  | "misconfigured"
  | "refused";

/** A statement's failure, without SQL and without data. */
export interface Failure {
  kind: FailureKind;
  sqlstate: string | undefined;
  /** Why, in words that carry no data of an event: the condition, and names of the schema. */
  reason: string;
  /** Whether a RAISE of the user's own gave it. */
  isRaised: boolean;
  /** Whether the proxy asked for fewer requests. */
  isThrottled?: boolean;
  /** Whether it is certain that no statement was sent. */
  isUnsent?: boolean;
  /** The names that Postgres gives beside its message. */
  names: Names;
}

export interface Names {
  /** The relation that refused, with its schema unless that is `public`; undefined: the table of the statement, or none. */
  table?: string | undefined;
  column?: string | undefined;
  constraint?: string | undefined;
  dataType?: string | undefined;
  /** The function in PL/pgSQL in which it happened, such as a trigger's. */
  within?: string | undefined;
}

/** The table changes the keys of rows, or, if the newest wins, what says how new they are: so no row is stored in it. */
export class OtherKeys extends Error {
  override name = "OtherKeys";

  constructor(table: string, { isRanked }: { isRanked: boolean }) {
    super(
      `a trigger of table ${table} changes the keys of rows${isRanked ? ", or which of them is the newest" : ""}`,
    );
  }
}

/** Whether a SQLSTATE begins with one of the prefixes. */
const startsWith = (code: string, ...prefixes: string[]) =>
  prefixes.some((prefix) => code.startsWith(prefix));

/** Sorts a SQLSTATE that Postgres itself gave. */
export function kindOf(sqlstate: string): FailureKind {
  if (startsWith(sqlstate, "08", "57P01", "57P02", "57P03")) return "no-answer";
  if (startsWith(sqlstate, "57014", "25P04")) return "timeout";
  if (startsWith(sqlstate, "40")) return "conflict";
  if (startsWith(sqlstate, "53", "55P03", "57", "58", "F0", "XX")) return "busy";
  if (startsWith(sqlstate, "25006", "28", "3D", "3F")) return "misconfigured";
  return "refused";
}

/**
 * The condition in words, with the names of what refused: "undefined column (SQLSTATE 42703): table events". `ofTable`: the table of the
 * statement, if Postgres names none.
 */
export function reasonOf(sqlstate: string, given: Names, ofTable?: string): string {
  const { table = ofTable, column, constraint, dataType, within } = given;
  const names = [
    table && `table ${table}`,
    column && `column ${column}`,
    constraint && `constraint ${constraint}`,
    dataType && `type ${dataType}`,
    within && `function ${within}`,
  ].filter(Boolean);
  const isUnnamedCheck = sqlstate === "23514" && constraint === undefined;
  const condition = isUnnamedCheck
    ? "no partition for the row, or a check without a name"
    : conditionOf(sqlstate);
  return `${condition} (SQLSTATE ${sqlstate})${names.length > 0 ? `: ${names.join(", ")}` : ""}`;
}

/**
 * Reads a failure from an error of the driver, of Drizzle around it, of the proxy or of the network. Rethrows any other.
 * `ofTable`: the table of the statement, for the errors to which Postgres gives no name (an undefined column).
 */
export function failureOf(thrown: unknown, ofTable?: string): Failure {
  const error = causeOf(thrown);
  if (error instanceof ProxyRefused) return proxyFailure(error);
  if (error instanceof ConnectFailure) return connectFailure(error);
  if (error instanceof OtherKeys) return failed("misconfigured", error.message);
  if ((error instanceof NeonDbError || error instanceof DatabaseError) && error.code) {
    const { code: sqlstate, column, constraint, dataType, routine, severity } = error;
    const within = functionOf(error.where);
    const names = { table: relationOf(error, ofTable), column, constraint, dataType, within };
    const isRaised = routine === "exec_stmt_raise";
    // An 08 of severity ERROR comes from a backend that lives on: what it could not reach is a server behind it (a foreign table).
    const isBehind = sqlstate.startsWith("08") && severity === "ERROR";
    const kind = isRaised || isBehind ? "refused" : kindOf(sqlstate);
    return { kind, sqlstate, reason: reasonOf(sqlstate, names, ofTable), isRaised, names };
  }
  if (!(error instanceof NeonDbError || error instanceof NoAnswer)) throw thrown; // an error of our own: nobody's but ours
  return failed("no-answer", "no answer from Postgres");
}

/** See Names. A declaration without a schema leaves it to the search path, so a table of its name is taken for its own. */
function relationOf(
  { schema, table }: { schema?: string | undefined; table?: string | undefined },
  ofTable?: string,
): string | undefined {
  if (table === undefined || table === ofTable) return undefined;
  const whole = schema === undefined || schema === "public" ? table : `${schema}.${table}`;
  return whole === ofTable ? undefined : whole;
}

/** The innermost function of the context, but for a block without a name. A server that speaks another language names none. */
const functionOf = (where: string | undefined): string | undefined =>
  /^PL\/pgSQL function (?!inline_code_block)([^\s(]+)/m.exec(where ?? "")?.[1];

const failed = (kind: FailureKind, reason: string): Failure => ({
  kind,
  sqlstate: undefined,
  reason,
  isRaised: false,
  names: {},
});

/** The proxy's answer in place of Postgres's: the SQLSTATE that it gave, or else its HTTP status. */
function proxyFailure({ status, sqlstate, message: reason }: ProxyRefused): Failure {
  const ofStatus =
    status === 413 ? "too-large" : status === 429 || status >= 500 ? "no-answer" : "misconfigured";
  const kind = sqlstate === undefined ? ofStatus : kindOf(sqlstate);
  return { kind, sqlstate, reason, isRaised: false, isThrottled: status === 429, names: {} };
}

/** Over TCP nobody reaches Postgres meanwhile, unless somebody has to mend a login, a name or a certificate. */
function connectFailure({ message: reason, sqlstate, isToMend }: ConnectFailure): Failure {
  const kind = isToMend ? "misconfigured" : "no-answer";
  return { kind, sqlstate, reason, isRaised: false, isUnsent: true, names: {} };
}

/** The innermost error that the driver made: Drizzle wraps it, with the SQL and every parameter. */
function causeOf(error: unknown): unknown {
  let inner = error;
  while (
    inner instanceof Error &&
    !(inner instanceof ProxyRefused || inner instanceof ConnectFailure || inner instanceof NoAnswer) &&
    (inner instanceof NeonDbError ? inner.sourceError instanceof ProxyRefused : inner.cause instanceof Error)
  )
    inner = inner instanceof NeonDbError ? inner.sourceError : inner.cause;
  return inner;
}
