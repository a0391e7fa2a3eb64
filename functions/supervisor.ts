/**
 * The HTTP edge of the supervisor: the table of its routes, and `POST /drain`, `POST /drain/{stream}`, `GET /status` and `GET /doctor`. The
 * others are in answer-*.ts. It is private: who is known, and who may only drain, is for wire-callers.ts to say. A caller that is not known
 * learns whether the process runs, and nothing else.
 */
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import { PARTITION_COUNT } from "../lib/buffer/redis-keys.ts";
import type { DrainBody } from "../lib/contract/drain.ts";
import { supervisorPaths } from "../lib/contract/paths.ts";
import { type DrainOptions, drain } from "../lib/drain/drain.ts";
import type { DrainDeps } from "../lib/drain/drain-call.ts";
import type { StreamReport } from "../lib/drain/drain-report.ts";
import { withFields } from "../lib/log.ts";
import { type DoctorDeps, examine } from "../lib/operate/doctor.ts";
import type { KeyDeps } from "../lib/operate/keys.ts";
import type { LastTick } from "../lib/operate/last-tick.ts";
import type { Live } from "../lib/operate/live.ts";
import type { DrainKind, Metrics } from "../lib/operate/metrics.ts";
import { createStartCheck } from "../lib/operate/start-check.ts";
import { readStatus } from "../lib/operate/status.ts";
import { Problem, sendJson, tryAgain } from "./answer.ts";
import { keyRoutes } from "./answer-keys.ts";
import { type LettersDeps, letterRoutes } from "./answer-letters.ts";
import { liveRoutes } from "./answer-live.ts";
import { metricsRoutes } from "./answer-metrics.ts";
import { answerOwnDocument } from "./answer-own-document.ts";
import { type PauseDeps, pauseRoutes } from "./answer-pause.ts";
import { type RowDeps, rowRoutes } from "./answer-row.ts";
import { type UsageDeps, usageRoutes } from "./answer-usage.ts";
import { requestIdOf } from "./request-id.ts";
import { allow, type Handler, requestUrlOf, sayHealthy } from "./request-url.ts";
import { type Asked, findRoute, READ, type Route } from "./route.ts";

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
    /** Whether the caller is known; absent: each is. */
    isKnown?: (req: IncomingMessage) => boolean;
    /** Whether the caller may do more than `POST /drain`. */
    mayOperate: (req: IncomingMessage) => boolean;
    traceOf: (headers: IncomingHttpHeaders) => Record<string, string>;
    /** Shows what happens; absent: nobody can look on. */
    live?: Live;
    /** Counts what is drained; absent: nothing is counted. */
    metrics?: Metrics;
  };

/** With what a supervisor makes for itself. */
type ServedDeps = SupervisorDeps & { checkTables: () => Promise<void> };

/** Every route: nothing else is answered. The first that fits a path is meant. */
export const supervisorRoutes: readonly Route<ServedDeps>[] = [
  { path: supervisorPaths.health, methods: READ, answer: answerHealth },
  { path: supervisorPaths.drain, methods: ["POST"], answer: answerDrain },
  { path: supervisorPaths.drainStream, methods: ["POST"], answer: answerDrain },
  { path: supervisorPaths.status, methods: READ, answer: answerStatus },
  { path: supervisorPaths.doctor, methods: READ, answer: answerDoctor },
  { path: supervisorPaths.openApi, methods: READ, answer: answerOwnDocument },
  ...liveRoutes,
  ...metricsRoutes,
  ...keyRoutes,
  ...usageRoutes,
  ...pauseRoutes,
  ...rowRoutes,
  ...letterRoutes,
];

/** Makes the handler. It throws a Problem for each error; the front door answers it. */
export function createSupervisor(deps: SupervisorDeps): Handler {
  const served: ServedDeps = { ...deps, checkTables: createStartCheck(deps) };
  return async (req, res) => {
    const { path, query } = requestUrlOf(req);
    const found = findRoute(supervisorRoutes, path);
    if (found?.route.path !== supervisorPaths.health) checkCaller(deps, req, path);
    if (found === undefined)
      throw new Problem("unknown-path", `expected ${Object.values(supervisorPaths).join(", ")}`);
    allow(req, ...found.route.methods);
    await found.route.answer(served, req, res, { query, words: found.words });
  };
}

/** Throws a 401 if the caller is not known, and a 403 if it may not do this. */
function checkCaller({ isKnown, mayOperate }: SupervisorDeps, req: IncomingMessage, path: string[]): void {
  if (isKnown?.(req) === false)
    throw new Problem(
      "unknown-operator",
      "expected the operator token, in Authorization: Bearer TOKEN",
      {},
      { "www-authenticate": 'Bearer realm="spillway supervisor"' },
    );
  const isDrain = req.method === "POST" && path[0] === "drain";
  if (!isDrain && !mayOperate(req))
    throw new Problem("caller-not-allowed", "this caller may only POST /drain");
}

/** The answer waits for the check at start, but no event does: nothing may be left running after an answer. */
async function answerDrain(
  deps: ServedDeps,
  req: IncomingMessage,
  res: ServerResponse,
  { query, words: [stream] }: Asked,
): Promise<void> {
  req.resume(); // the body is not used
  if (stream !== undefined && !deps.streams.has(stream))
    throw new Problem("unknown-stream", `no stream is named "${stream.slice(0, 64)}"`);
  const request = { stream, partition: partitionOf(query, stream), wait: query.get("wait") === "1" };
  const log = withFields(deps.log, { ...requestIdOf(req), ...deps.traceOf(req.headers) });
  const [report] = await Promise.all([drain({ ...deps, log }, request), deps.checkTables()]);
  if (report.streams.some(hasReachedPostgres)) await deps.mendKeys();
  if (stream === undefined) deps.lastTick.note();
  deps.metrics?.note(kindOf(request), report);
  const isTick = request.partition === undefined;
  if (isTick && report.streams.some(({ stored }) => stored > 0)) await deps.pruneDaily();
  const isBad = report.streams.some(
    ({ outcome }) => outcome === "unavailable" || outcome === "misconfigured",
  );
  sendJson(res, isBad ? 503 : 200, report satisfies DrainBody);
}

const kindOf = ({ stream, partition }: DrainOptions): DrainKind =>
  partition !== undefined ? "flush" : stream === undefined ? "tick" : "stream";

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

async function answerHealth(_: unknown, __: IncomingMessage, res: ServerResponse): Promise<void> {
  sayHealthy(res);
}

async function answerStatus(deps: SupervisorDeps, _: IncomingMessage, res: ServerResponse): Promise<void> {
  const report = await readStatus(deps).catch(() => {
    throw tryAgain("buffer-away", "Redis does not answer");
  });
  sendJson(res, 200, report);
}

async function answerDoctor(deps: SupervisorDeps, _: IncomingMessage, res: ServerResponse): Promise<void> {
  const { lastTick, store } = deps;
  sendJson(res, 200, await examine(deps.doctor, { lastTick, insertTimes: store.times }));
}
