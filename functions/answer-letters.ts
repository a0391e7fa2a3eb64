/**
 * Dead letters over HTTP: `GET /dead-letters` (groups, or with `each=1` letters), `GET /dead-letters/{id}`, which alone holds the
 * event, `POST /dead-letters/redrive` and `POST /dead-letters/purge`. A redrive ends in time for Cloud Run; its `next`, sent again
 * as `cursor`, goes on.
 */
import type { IncomingMessage } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import type { Buffer } from "../lib/buffer/buffer.ts";
import type {
  LetterCount,
  LetterGroups,
  LetterPage,
  ListedLetter,
  RedriveAnswer,
  ShownLetters,
  SkippedLetter,
  TrialAnswer,
  TrialGroup,
} from "../lib/contract/letters.ts";
import { supervisorPaths } from "../lib/contract/paths.ts";
import { type RedriveReport, redrive, type Skipped } from "../lib/operate/redrive.ts";
import { type TrialDeps, type TriedLetter, tryRedrive } from "../lib/operate/redrive-trial.ts";
import { isUuid } from "../lib/schema/event-ids.ts";
import type { Registry } from "../lib/schema/registry.ts";
import type { DeadLetter, DeadLetterStore } from "../lib/store/dead-letter-store.ts";
import { Problem, sendJson } from "./answer.ts";
import { databaseProblem } from "./database-problem.ts";
import { readJsonBody } from "./json-body.ts";
import {
  cursorOf,
  encodeNext,
  filterOf,
  listRequestOf,
  positionOf,
  purgeOf,
  redriveOf,
} from "./letter-requests.ts";
import { type Asked, READ, type Route } from "./route.ts";

export interface LettersDeps {
  letters: DeadLetterStore;
  store: TrialDeps["store"];
  buffer: Pick<Buffer, "push">;
  streams: Registry;
  /** A redrive pushes to partitions 0 to this minus one in turn. */
  partitions: number;
  batchMaxRows: number;
  drainDeadlineMs: number;
  monotonicMs: () => number;
}

/** How long a redrive may take, in milliseconds; no longer than a drain, for which Cloud Run waits. */
const REDRIVE_MS = 45_000;
/** The most letters that an answer names because they can't be redriven. */
const SKIPPED_MAX = 100;

type Answer = (deps: LettersDeps, req: IncomingMessage, asked: Asked) => Promise<unknown>;

const answering =
  (answer: Answer): Route<LettersDeps>["answer"] =>
  async (deps, req, res, asked) => {
    try {
      sendJson(res, 200, await answer(deps, req, asked));
    } catch (error) {
      throw error instanceof Problem ? error : databaseProblem(error);
    }
  };

async function list(
  { letters, batchMaxRows }: LettersDeps,
  query: URLSearchParams,
): Promise<LetterGroups | LetterPage> {
  const request = listRequestOf(query);
  const filter = filterOf(request);
  if (request.each) {
    const rows = Math.min(request.limit, batchMaxRows); // that many envelopes fit one answer of Postgres
    const page = await letters.read(filter, rows, cursorOf(request.cursor));
    const last = page.length === rows ? page.at(-1) : undefined;
    const next = last ? encodeNext({ stream: last.stream, id: last.id, diedAt: last.diedAt }) : null;
    return { letters: page.map(listed), notCompared: notComparedOf(page), next };
  }
  const [{ letters: total, live, notCompared }, groups] = await Promise.all([
    letters.count(filter, undefined),
    letters.group(filter, request.limit),
  ]);
  return { total, live, notCompared, groups };
}

const listed = ({ envelope: _, notCompared: __, ...letter }: DeadLetter): ListedLetter => letter;

const notComparedOf = (page: readonly DeadLetter[]) =>
  [...new Map(page.map(({ stream, notCompared: why }) => [stream, why]))].flatMap(([stream, why]) =>
    why === null ? [] : [{ stream, why }],
  );

/** The letters of an id, one a stream, each with its event. */
async function show({ letters }: LettersDeps, id: string, query: URLSearchParams): Promise<ShownLetters> {
  if (!isUuid(id)) throw new Problem("unknown-letter", "expected the id as a UUID, as ingest answered it");
  const filter = {
    streams: query.getAll("stream"),
    sqlstates: [],
    ids: [id.toLowerCase()],
    since: undefined,
    until: undefined,
  };
  const found = await letters.read({ ...filter, isAll: true }, 100);
  if (found.length === 0) throw new Problem("unknown-letter", `there is no dead letter ${id.toLowerCase()}`);
  return { letters: found };
}

async function answerRedrive(deps: LettersDeps, req: IncomingMessage): Promise<RedriveAnswer | TrialAnswer> {
  const request = await readJsonBody(req, redriveOf);
  const endAtMs = deps.monotonicMs() + Math.min(REDRIVE_MS, deps.drainDeadlineMs);
  const options = {
    limit: request.limit,
    rate: request.rate,
    from: positionOf(request.cursor),
    isTimeUp: () => deps.monotonicMs() >= endAtMs,
  };
  const given = { ...deps, pageMaxRows: deps.batchMaxRows, sleep };
  return request.dryRun
    ? trialAnswer(tryRedrive(given, filterOf(request), options))
    : redriveAnswer(redrive(given, filterOf(request), options));
}

async function redriveAnswer(progress: ReturnType<typeof redrive>): Promise<RedriveAnswer> {
  const skippedLetters: SkippedLetter[] = [];
  let report: RedriveReport = { redriven: 0, changed: 0, skipped: 0, stopped: undefined };
  for await (const { skippedNow, ...now } of progress) {
    skippedLetters.push(...named(skippedNow, skippedLetters.length));
    report = now;
  }
  const { redriven, changed, skipped, stopped = null, next } = report;
  return { redriven, changed, skipped, skippedLetters, stopped, next: next ? encodeNext(next) : null };
}

async function trialAnswer(pages: ReturnType<typeof tryRedrive>): Promise<TrialAnswer> {
  const answer: TrialAnswer = {
    ...{ stored: 0, refused: 0, there: 0, otherKey: 0, groups: [] },
    ...{ skipped: 0, skippedLetters: [], stopped: null, next: null },
  };
  const groups = new Map<string, TrialGroup>();
  for await (const { tried, skipped, stopped, next } of pages) {
    for (const one of tried) count(answer, groups, one);
    answer.skipped += skipped.length;
    answer.skippedLetters.push(...named(skipped, answer.skippedLetters.length));
    answer.stopped = stopped ?? null;
    answer.next = next ? encodeNext(next) : null;
  }
  return { ...answer, groups: [...groups.values()].sort((a, b) => b.letters - a.letters) };
}

function count(answer: TrialAnswer, groups: Map<string, TrialGroup>, { letter, outcome }: TriedLetter): void {
  if (outcome.kind !== "refused") {
    answer[outcome.kind === "other-key" ? "otherKey" : outcome.kind] += 1;
    return;
  }
  answer.refused += 1;
  const { sqlstate = null, reason } = outcome;
  const key = JSON.stringify([letter.stream, sqlstate, reason]);
  const group = groups.get(key);
  if (group) group.letters += 1;
  else groups.set(key, { letters: 1, stream: letter.stream, sqlstate, reason, exampleId: letter.id });
}

const named = (skipped: readonly Skipped[], before: number): SkippedLetter[] =>
  skipped
    .slice(0, Math.max(0, SKIPPED_MAX - before))
    .map(({ letter, why }) => ({ stream: letter.stream, id: letter.id, why }));

async function answerPurge({ letters }: LettersDeps, req: IncomingMessage): Promise<LetterCount> {
  const { dryRun, limit, ...request } = await readJsonBody(req, purgeOf);
  const filter = filterOf(request);
  return dryRun ? letters.count(filter, limit) : letters.purge(filter, limit);
}

/** The paths under `/dead-letters`; a word of ours is found before an id. */
export const letterRoutes: readonly Route<LettersDeps>[] = [
  {
    path: supervisorPaths.deadLetters,
    methods: READ,
    answer: answering((deps, _, { query }) => list(deps, query)),
  },
  { path: supervisorPaths.redrive, methods: ["POST"], answer: answering(answerRedrive) },
  { path: supervisorPaths.purge, methods: ["POST"], answer: answering(answerPurge) },
  {
    path: supervisorPaths.deadLetter,
    methods: READ,
    answer: answering((deps, _, { words: [id = ""], query }) => show(deps, id, query)),
  },
];
