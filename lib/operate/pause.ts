/**
 * Pauses a stream at run time, and ends a pause. From the answer on, no supervisor claims a batch of it. A batch that was claimed before
 * is finished, and its acknowledgement taken.
 */
import type { HeldNotes } from "../buffer/held-note.ts";
import type { Pause, Pauses } from "../buffer/pauses.ts";
import type { PauseAnswer, PauseReport, ResumeAnswer } from "../contract/pause.ts";
import type { Log } from "../log.ts";
import type { Live } from "./live.ts";
import { reportPause } from "./pause-report.ts";

export interface PausingDeps {
  pauses: Pauses;
  heldNotes: Pick<HeldNotes, "note">;
  /** Streams in DRAIN_PAUSED. */
  paused: ReadonlySet<string>;
  /** The history that a page looks on at. */
  live?: Pick<Live, "note">;
  log: Log;
  now: () => number;
}

/** Who wants what. */
export interface PauseRequest {
  seconds: number;
  by: string | undefined;
  why: string | undefined;
}

const STOPS =
  "This stops the drain, and nothing else: ingest accepts events; those that are stored before the answer (ack=stored), and write-through while Redis is away, still reach Postgres; a batch that was claimed before is finished.";
const IN_ENVIRONMENT = "It is in DRAIN_PAUSED, too, so it is not drained before that is changed.";
const STAYS = "It is not drained before DRAIN_PAUSED is changed, and deployed.";
const GOES_ON = "The next tick drains it.";
const WAS_DRAINED = "It was not paused, and nothing changed.";
const UNKNOWN: Pause = { sinceMs: undefined, endsInMs: undefined, by: undefined, why: undefined };

/** Pauses a stream from now on; one that is paused ends at the new time from now on. Throws what Redis's client throws. */
export async function pauseStream(
  deps: PausingDeps,
  stream: string,
  { seconds, by, why }: PauseRequest,
): Promise<PauseAnswer> {
  const { pause, replaced } = await deps.pauses.pause(stream, { forMs: seconds * 1000, by, why });
  const isReplaced = replaced !== undefined;
  deps.log.info("stream.paused", { stream, seconds, by, why, isReplaced });
  notePause(deps, stream, true, by, pause.endsInMs, why);
  return {
    stream,
    paused: reportPause(deps, stream, pause),
    replaced: isReplaced ? reportRun(deps, stream, replaced) : null,
    note: deps.paused.has(stream) ? `${STOPS} ${IN_ENVIRONMENT}` : STOPS,
  };
}

/**
 * Ends a stream's pause. Its held letters are looked at soon, because meanwhile they were not. May be repeated. Throws what Redis's
 * client throws.
 */
export async function resumeStream(
  deps: PausingDeps,
  stream: string,
  by: string | undefined,
): Promise<ResumeAnswer> {
  const found = (await deps.pauses.find([stream])).get(stream);
  if (found) await deps.heldNotes.note(); // before, so that whoever repeats a call that failed does not miss it
  const wasPaused = await deps.pauses.resume(stream);
  if (wasPaused) {
    deps.log.info("stream.resumed", { stream, by });
    notePause(deps, stream, false, by, undefined);
  }
  const isInEnvironment = deps.paused.has(stream);
  return {
    stream,
    ended: wasPaused ? reportRun(deps, stream, found ?? UNKNOWN) : null,
    paused: reportPause(deps, stream, undefined),
    note: isInEnvironment ? STAYS : wasPaused ? GOES_ON : WAS_DRAINED,
  };
}

/** The report of a pause that is over, whatever DRAIN_PAUSED says. */
const reportRun = ({ now }: PausingDeps, stream: string, pause: Pause): PauseReport | null =>
  reportPause({ paused: new Set(), now }, stream, pause);

/** `endsInMs` undefined: it has no end of its own. */
function notePause(
  { live, now }: PausingDeps,
  stream: string,
  isPaused: boolean,
  by: string | undefined,
  endsInMs: number | undefined,
  why?: string,
): void {
  const untilAt = endsInMs === undefined ? null : new Date(now() + endsInMs).toISOString();
  live?.note({ kind: "pause", stream, isPaused, untilAt, by: by ?? null, why: why ?? null });
}
