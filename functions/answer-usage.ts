/**
 * Answers `GET /usage`, `GET /refusals` and `POST /prune` of the supervisor: who sent how much, what was refused and why, and deleting
 * what is old.
 */
import type { RefusalLists } from "../lib/buffer/refusal-lists.ts";
import { supervisorPaths } from "../lib/contract/paths.ts";
import type { PruneAnswer } from "../lib/contract/prune.ts";
import { type PruneAges, type PruneDeps, previewPrune, prune } from "../lib/operate/prune.ts";
import { readRefusals, readUsage } from "../lib/operate/usage.ts";
import type { Registry } from "../lib/schema/registry.ts";
import { readRfc3339 } from "../lib/schema/timestamp.ts";
import type { UsageStore } from "../lib/store/usage-store.ts";
import { Problem, sendJson, tryAgain } from "./answer.ts";
import { databaseProblem } from "./database-problem.ts";
import { READ, type Route } from "./route.ts";

export interface UsageDeps {
  usage: UsageStore;
  refusals: Pick<RefusalLists, "read">;
  pruning: PruneDeps & { ages: PruneAges };
  streams: Registry;
  now: () => number;
}

const DAY_MS = 86_400_000;
/** How long `POST /prune` deletes, in milliseconds; an answer that says that there is more is no failure. */
const PRUNE_WITHIN_MS = 40_000;

type Answer = (deps: UsageDeps, query: URLSearchParams) => Promise<unknown>;

/** Makes the answer of a route whose query has no parameters but these. */
const answering =
  (names: readonly string[], answer: Answer): Route<UsageDeps>["answer"] =>
  async (deps, req, res, { query }) => {
    req.resume(); // the body is not used
    refuseUnknown(query, names);
    sendJson(res, 200, await answer(deps, query));
  };

const answerHours: Answer = async (deps, query) => {
  const nowMs = deps.now();
  const filter = {
    since: timeOf(query, "since", nowMs - DAY_MS),
    until: timeOf(query, "until", nowMs),
    key: nameOf(query, "key"),
    stream: nameOf(query, "stream"),
  };
  return readUsage(deps, filter).catch(sayPostgres);
};

const answerRefusals: Answer = async (deps, query) => {
  const stream = query.get("stream") ?? undefined;
  if (stream !== undefined && !deps.streams.has(stream))
    throw new Problem("unknown-stream", `no stream is named "${stream.slice(0, 64)}"`);
  return readRefusals(deps, stream).catch(() => {
    throw tryAgain("buffer-away", "Redis does not answer");
  });
};

const answerPrune: Answer = async ({ pruning }, query) => {
  const ages = {
    lettersDays: daysOf(query, "letters-days", pruning.ages.lettersDays),
    usageDays: daysOf(query, "usage-days", pruning.ages.usageDays),
  };
  const isDryRun = query.get("dry-run") === "1";
  const work = isDryRun ? previewPrune(pruning, ages) : prune(pruning, ages, PRUNE_WITHIN_MS);
  return { ...ages, ...(await work.catch(sayPostgres)) } satisfies PruneAnswer;
};

function refuseUnknown(query: URLSearchParams, names: readonly string[]): void {
  for (const name of query.keys())
    if (!names.includes(name))
      throw new Problem("invalid-query", `expected no parameter but ${names.join(", ")}`);
}

/** A moment, RFC 3339; `otherwiseMs` if it is not given. */
function timeOf(query: URLSearchParams, name: string, otherwiseMs: number): string {
  const text = query.get(name);
  if (text === null) return new Date(otherwiseMs).toISOString();
  const read = readRfc3339(text);
  if (typeof read === "string") throw new Problem("invalid-query", `${name}: ${read}`);
  return text;
}

/** A name; "" stands for requests without a known one. Postgres holds none with NUL. */
function nameOf(query: URLSearchParams, name: string): string | null | undefined {
  const text = query.get(name) ?? undefined;
  if (text?.includes("\0")) throw new Problem("invalid-query", `${name}: expected a name without NUL`);
  return text === "" ? null : text;
}

function daysOf(query: URLSearchParams, name: string, otherwise: number): number {
  const text = query.get(name);
  if (text === null) return otherwise;
  if (!/^\d{1,5}$/.test(text))
    throw new Problem("invalid-query", `${name}: expected a number of days, or 0 to keep all`);
  return Number(text);
}

function sayPostgres(error: unknown): never {
  throw databaseProblem(error);
}

export const usageRoutes: readonly Route<UsageDeps>[] = [
  {
    path: supervisorPaths.usage,
    methods: READ,
    answer: answering(["since", "until", "key", "stream"], answerHours),
  },
  { path: supervisorPaths.refusals, methods: READ, answer: answering(["stream"], answerRefusals) },
  {
    path: supervisorPaths.prune,
    methods: ["POST"],
    answer: answering(["letters-days", "usage-days", "dry-run"], answerPrune),
  },
];
