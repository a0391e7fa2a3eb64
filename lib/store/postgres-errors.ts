/**
 * What a failed statement means, by SQLSTATE and never by message text. Classes are PostgreSQL's (appendix A).
 *
 * | outcome       | SQLSTATE                    | what follows                                            |
 * |---------------|-----------------------------|---------------------------------------------------------|
 * | unreachable   | none, 08, 57P0x             | keep everything, end this drain call                    |
 * | misconfigured | 42, 28, 3D, 3F, 25006       | keep everything, say so loudly                          |
 * | row           | 22, 23, 44, 54, P0          | bisect at once: some row is refused                     |
 * | unclear       | anything else (53, 57014 …) | half the rows; a row alone refused three times is buried |
 */
import { NeonDbError } from "@neondatabase/serverless";

export type StatementOutcome = "unreachable" | "misconfigured" | "row" | "unclear";

/** A statement's failure, without SQL and without data. */
export interface Failure {
  outcome: StatementOutcome;
  sqlstate: string | undefined;
  /** Why, in words that carry no data of an event: codes and names only. */
  reason: string;
}

/** A failure that no row is blamed for: everything is kept, and the write stops. */
export interface StoppingFailure extends Failure {
  outcome: "unreachable" | "misconfigured";
}

/** Whether a failure stops the write. */
export const stops = (failure: Failure): failure is StoppingFailure =>
  failure.outcome === "unreachable" || failure.outcome === "misconfigured";

/** Reads an error of a statement that no row's content can make fail: a misconfiguration, or else an outage. */
export function stoppingFailureOf(thrown: unknown): StoppingFailure {
  const failure = failureOf(thrown);
  return stops(failure) ? failure : { ...failure, outcome: "unreachable" };
}

/** Whether a SQLSTATE begins with one of the prefixes. */
const startsWith = (code: string, ...prefixes: string[]) =>
  prefixes.some((prefix) => code.startsWith(prefix));

/** Sorts a SQLSTATE into one of the four outcomes. */
export function outcomeOf(sqlstate: string | undefined): StatementOutcome {
  if (sqlstate === undefined || startsWith(sqlstate, "08", "57P0")) return "unreachable";
  if (startsWith(sqlstate, "42", "28", "3D", "3F", "25006")) return "misconfigured";
  if (startsWith(sqlstate, "22", "23", "44", "54", "P0")) return "row";
  return "unclear";
}

/** The names of what refused, as Postgres gives them beside its message. */
const namesOf = (error: NeonDbError) =>
  (["table", "column", "constraint"] as const)
    .filter((part) => error[part])
    .map((part) => ` ${part} ${error[part]}`)
    .join("");

/** Reads what went wrong from an error of the driver, of Drizzle around it, or of the network. */
export function failureOf(thrown: unknown): Failure {
  const error = causeOf(thrown);
  if (error instanceof NeonDbError && error.code) {
    const sqlstate = error.code;
    return { outcome: outcomeOf(sqlstate), sqlstate, reason: `SQLSTATE ${sqlstate}${namesOf(error)}` };
  }
  if (isOfTheNetwork(error)) return { outcome: "unreachable", sqlstate: undefined, reason: nameOf(error) };
  return { outcome: "unclear", sqlstate: undefined, reason: nameOf(error) };
}

/** The innermost error that the driver made: Drizzle wraps it, with the SQL and every parameter. */
function causeOf(error: unknown): unknown {
  let inner = error;
  while (inner instanceof Error && !(inner instanceof NeonDbError) && inner.cause instanceof Error)
    inner = inner.cause;
  return inner;
}

/** Time-outs and broken connections are the driver's errors without a code; an unreadable answer is one of the others. */
const isOfTheNetwork = (error: unknown) =>
  error instanceof NeonDbError || error instanceof TypeError || error instanceof SyntaxError;

const nameOf = (error: unknown) =>
  error instanceof NeonDbError
    ? "no answer from Postgres"
    : error instanceof Error
      ? error.name
      : typeof error;
