/** The outcome of a drain that an error ended; logs the error. */
import { isOfRedis, redisFailureOf } from "../buffer/redis-errors.ts";
import { describeError, type Log } from "../log.ts";
import type { DrainOutcome } from "./drain-report.ts";

/**
 * Redis that does not answer is `unavailable`; Redis that has to be mended is `misconfigured`. Any other error is a fault of ours,
 * because errors of Postgres are values by now: it is logged with its stack, and `isOurs` says so.
 */
export function outcomeOfError(
  log: Log,
  error: unknown,
  where: Record<string, unknown>,
): { outcome: DrainOutcome; isOurs: boolean } {
  const fields = { ...where, ...describeError(error) };
  if (!isOfRedis(error)) {
    log.error("drain.failed", fields);
    return { outcome: "misconfigured", isOurs: true };
  }
  if (redisFailureOf(error) === "misconfigured") {
    log.error("buffer.misconfigured", fields);
    return { outcome: "misconfigured", isOurs: false };
  }
  log.warn("buffer.unavailable", fields);
  return { outcome: "unavailable", isOurs: false };
}
