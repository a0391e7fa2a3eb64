/**
 * The HTTP edge of the supervisor: `POST /drain`, `POST /drain/{stream}`, `GET /status`, `GET /live` (answer-live.ts), `GET /doctor`, and
 * the commands on keys (answer-keys.ts), dead letters (answer-letters.ts), pauses (answer-pause.ts) and one stored event (answer-row.ts). It is private and checks no key itself: Cloud Run checks the caller's token
 * before a request comes here, and who may only drain is known by the e-mail in that token.
 */
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import { PARTITION_COUNT } from "../lib/buffer/redis-keys.ts";
import type { DrainBody } from "../lib/contract/drain.ts";
import { supervisorPaths } from "../lib/contract/paths.ts";
import { drain } from "../lib/drain/drain.ts";
import type { DrainDeps } from "../lib/drain/drain-call.ts";
import type { StreamReport } from "../lib/drain/drain-report.ts";
import { withFields } from "../lib/log.ts";
import { type DoctorDeps, examine } from "../lib/operate/doctor.ts";
import type { KeyDeps } from "../lib/operate/keys.ts";
import type { LastTick } from "../lib/operate/last-tick.ts";
import type { Live } from "../lib/operate/live.ts";
import { createStartCheck } from "../lib/operate/start-check.ts";
import { readStatus } from "../lib/operate/status.ts";
import { Problem, sendJson, tryAgain } from "./answer.ts";
import { answerKeys } from "./answer-keys.ts";
import { answerLetters, type LettersDeps } from "./answer-letters.ts";
import { answerLive } from "./answer-live.ts";
import { answerPause, type PauseDeps } from "./answer-pause.ts";
import { answerRow, type RowDeps } from "./answer-row.ts";
import { answerUsage, type UsageDeps } from "./answer-usage.ts";
import { requestIdOf } from "./request-id.ts";
import { allow, answerHealth, type Handler, type RequestUrl, requestUrlOf } from "./request-url.ts";

/** The ports of the drain, of the status and of the commands, and the function that gives the log field of a request's trace. */
export type SupervisorDeps = DrainDeps &
  Parameters<typeof readStatus>[0] &
  LettersDeps &
  PauseDeps &
  RowDeps &
  UsageDeps & {
    doctor: DoctorDeps;
    lastTick: LastTick;
    keyCommands: KeyDeps;
    /** Mends the copy of the keys in Redis, if it is time. Never rejects. */
    mendKeys(): Promise<void>;
    /** Deletes what is old, if that is due. Never rejects. */
    pruneDaily: () => Promise<void>;
    /** Whether the caller may do more than `POST /drain`. */
    mayOperate: (req: IncomingMessage) => boolean;
    traceOf: (headers: IncomingHttpHeaders) => Record<string, string>;
    /** Shows what happens; absent: nobody can look on. */
    live?: Live;
  };

/** What has one path and no more. */
const COMMANDS = new Map<
  string,
  (deps: SupervisorDeps, req: IncomingMessage, res: ServerResponse, url: RequestUrl) => Promise<void>
>([
  ["status", answerStatus],
  ["doctor", answerDoctor],
  ["live", answerLookOn],
  ["keys", ({ keyCommands }, req, res) => answerKeys(keyCommands, req, res)],
]);

/** Makes the handler. It throws a Problem for each error; the front door answers it. */
export function createSupervisor(deps: SupervisorDeps): Handler {
  const checkTables = createStartCheck(deps);
  return async (req, res) => {
    const url = requestUrlOf(req);
    if (answerHealth(req, res, url)) return;
    const [what, name, ...rest] = url.path;
    const command = name === undefined ? COMMANDS.get(what ?? "") : undefined;
    if (!(req.method === "POST" && what === "drain") && !deps.mayOperate(req))
      throw new Problem("caller-not-allowed", "this caller may only POST /drain");
    if (what === "drain" && rest.length === 0)
      await answerDrain({ ...deps, checkTables }, req, res, url, name);
    else if (command !== undefined) await command(deps, req, res, url);
    else if (!(await answerMore(deps, req, res, url)))
      throw new Problem("unknown-path", `expected ${Object.values(supervisorPaths).join(", ")}`);
  };
}

/** Answers the paths that are told apart in files of their own. Returns false for any other. */
const answerMore = async (deps: SupervisorDeps, req: IncomingMessage, res: ServerResponse, url: RequestUrl) =>
  (await answerLetters(deps, req, res, url)) ||
  (await answerUsage(deps, req, res, url)) ||
  (await answerRow(deps, req, res, url)) ||
  (await answerPause(deps, req, res, url));

/** The answer waits for the check at start, but no event does: nothing may be left running after an answer. */
async function answerDrain(
  deps: SupervisorDeps & { checkTables: () => Promise<void> },
  req: IncomingMessage,
  res: ServerResponse,
  { query }: RequestUrl,
  stream: string | undefined,
): Promise<void> {
  allow(req, "POST");
  req.resume(); // the body is not used
  if (stream !== undefined && !deps.streams.has(stream))
    throw new Problem("unknown-stream", `no stream is named "${stream.slice(0, 64)}"`);
  const request = { stream, partition: partitionOf(query, stream), wait: query.get("wait") === "1" };
  const log = withFields(deps.log, { ...requestIdOf(req), ...deps.traceOf(req.headers) });
  const [report] = await Promise.all([drain({ ...deps, log }, request), deps.checkTables()]);
  if (report.streams.some(hasReachedPostgres)) await deps.mendKeys();
  if (stream === undefined) deps.lastTick.note();
  const isTick = request.partition === undefined;
  if (isTick && report.streams.some(({ stored }) => stored > 0)) await deps.pruneDaily();
  const isBad = report.streams.some(
    ({ outcome }) => outcome === "unavailable" || outcome === "misconfigured",
  );
  sendJson(res, isBad ? 503 : 200, report satisfies DrainBody);
}

const hasReachedPostgres = (report: StreamReport): boolean =>
  report.stored + report.duplicates + report.superseded + report.held + report.dead > 0;

function partitionOf(query: URLSearchParams, stream: string | undefined): number | undefined {
  const text = query.get("partition");
  if (text === null) return undefined;
  const partition = Number(text);
  if (stream === undefined) throw new Problem("invalid-query", "expected a stream with the partition");
  if (!/^\d{1,2}$/.test(text) || partition >= PARTITION_COUNT)
    throw new Problem("invalid-query", `expected a partition from 0 to ${PARTITION_COUNT - 1}`);
  return partition;
}

async function answerStatus(deps: SupervisorDeps, req: IncomingMessage, res: ServerResponse): Promise<void> {
  allow(req, "GET", "HEAD");
  const report = await readStatus(deps).catch(() => {
    throw tryAgain("buffer-away", "Redis does not answer");
  });
  sendJson(res, 200, report);
}

async function answerLookOn(
  { live, streams }: SupervisorDeps,
  req: IncomingMessage,
  res: ServerResponse,
  url: RequestUrl,
): Promise<void> {
  if (live === undefined) throw new Problem("unknown-path", "this supervisor keeps no history");
  await answerLive({ live, streams }, req, res, url);
}

async function answerDoctor(deps: SupervisorDeps, req: IncomingMessage, res: ServerResponse): Promise<void> {
  allow(req, "GET", "HEAD");
  const { lastTick, store } = deps;
  sendJson(res, 200, await examine(deps.doctor, { lastTick, insertTimes: store.times }));
}
