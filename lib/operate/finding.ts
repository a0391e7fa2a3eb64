/** The three results of a check, and the sentences of a check that could not be made. */
import { isOfRedis, redisFailureOf } from "../buffer/redis-errors.ts";
import type { CheckReport, Finding } from "../contract/doctor.ts";
import { TimedOut } from "../http-post.ts";
import { failureOf } from "../store/postgres-errors.ts";
import { TookTooLong } from "./questions.ts";

/** A check: what it is called, and how it looks. It may throw: then it can't be seen, and `where` says where to look. */
export interface Check {
  check: string;
  group: CheckReport["group"];
  /** A clause that follows "do". */
  where: string;
  look: () => Finding | Promise<Finding>;
}

export const right = (seen: string, means: string): Finding => ({
  result: "right",
  seen,
  means,
  do: "nothing",
});

export const wrong = (seen: string, means: string, cure: string): Finding => ({
  result: "wrong",
  seen,
  means,
  do: cure,
});

/** `why` completes "can't be seen here: …". `where` says where to look. */
export const unseen = (why: string, where: string): Finding => ({
  result: "unseen",
  seen: `can't be seen here: ${why}`,
  means: "nothing is known of it, good or bad",
  do: where,
});

/** Runs a check. Never throws. */
export async function runCheck({ check, group, where, look }: Check): Promise<CheckReport> {
  try {
    return { check, group, ...(await look()) };
  } catch (error) {
    return { check, group, ...unseen(whyNot(error), where) };
  }
}

const REDIS_REASONS: Record<ReturnType<typeof redisFailureOf>, string> = {
  connection: "Redis gives no answer",
  silent: "Redis gives no answer that can be read",
  quota: "Upstash refuses commands, because the quota of requests is used up",
  "list-full": "Redis refuses the command: a list is full",
  full: "Redis refuses the command: it is full",
  misconfigured:
    "Redis refuses the login, its certificate is not trusted, a key of ours holds another type, or another node of a Cluster has the keys",
  answered: "Redis refuses the command",
};

/** Why a question had no answer: never with the text of an error, which may hold a command or a statement. */
export function whyNot(error: unknown): string {
  if (error instanceof TookTooLong) return error.message;
  if (error instanceof TimedOut) return "Redis gives no answer in time";
  if (isOfRedis(error)) return REDIS_REASONS[redisFailureOf(error)];
  try {
    const { kind, reason } = failureOf(error);
    return kind === "timeout" ? `it took too long: ${reason}` : reason;
  } catch {
    return "a fault of Spillway, which its log does not have: report it";
  }
}

/** How many things of a kind are named before "and N more". */
const NAMED_MAX = 5;

/** Joins sentences; after the first five it says how many more there are. */
export function listed(texts: readonly string[], separator = "; "): string {
  const more = texts.length - NAMED_MAX;
  const named = texts.slice(0, NAMED_MAX).join(separator);
  return more > 0 ? `${named}${separator}and ${more} more` : named;
}

const UNITS = ["bytes", "kB", "MB", "GB", "TB"];

/** A size in powers of 1,000. */
export function describeBytes(bytes: number): string {
  const step = bytes < 1000 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log10(bytes) / 3));
  return `${Number((bytes / 1000 ** step).toFixed(step === 0 ? 0 : 1))} ${UNITS[step]}`;
}

export const percent = (part: number, whole: number): string => `${Math.round((part / whole) * 100)} %`;
