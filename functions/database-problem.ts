/** What a person at the supervisor hears if Postgres did not do what was asked: whether it was away or refused, and why, without data. */
import { failureOf } from "../lib/store/postgres-errors.ts";
import { type Problem, tryAgain } from "./answer.ts";

/** Makes the 503 of a failure of Postgres; `advice` follows the reason. Throws any other error. */
export function databaseProblem(error: unknown, advice = ""): Problem {
  const { kind, reason } = failureOf(error);
  return kind === "no-answer"
    ? tryAgain("database-away", `Postgres does not answer (${reason})${advice}`)
    : tryAgain("database-refuses", `Postgres refuses it (${reason})${advice}`);
}
