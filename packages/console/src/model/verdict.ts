/**
 * The verdict: what is wrong, in sentences, the worst first, each with the button that mends it. If nothing is, one sentence says so with its
 * numbers.
 */
import { clockOf, countOf, spanOf } from "../phrases.ts";
import { sayLetters } from "./letters-verdict.ts";
import { type LiveState, type Paused, pausedIn, waitingOf } from "./live-state.ts";
import { sumOf } from "./seconds.ts";
import { storedToday } from "./stored-so-far.ts";

/** What the button of a finding does. `playbook`: opens the section of docs/operations.md. `show`: opens a panel. */
export type Remedy =
  | { kind: "resume"; stream: string }
  | { kind: "drain"; stream: string | null }
  | { kind: "show"; panel: "letters" | "doctor" }
  | { kind: "playbook"; section: string };

export interface Finding {
  level: "bad" | "warn" | "good" | "unknown";
  sentence: string;
  remedy: Remedy | null;
}

/** Whether the page hears of the supervisor, and if not, why. */
export type Connection =
  | { kind: "waiting" }
  | { kind: "following" }
  | { kind: "resting"; why: string }
  /** `isOfSupervisor`: this console answered, and the supervisor did not. */
  | { kind: "lost"; why: string; isOfSupervisor: boolean };

/** An event that waits longer is too old: three ticks of a minute were missed, or the drain can't keep pace. */
const OLDEST_MAX_MS = 180_000;
/** A drain call ends after 50 s and its lease 20 s later, so a partition that is held for longer is stuck. */
const HELD_MAX_MS = 120_000;

/**
 * Says how it is, or how it was when something was heard last. `nowMs`: that moment, by this page's clock. There is always one finding at
 * least.
 */
export function verdict(state: LiveState, connection: Connection, nowMs: number): [Finding, ...Finding[]] {
  if (connection.kind === "lost")
    return [bad(connection.why, connection.isOfSupervisor ? playbook("no-successful-drain") : null)];
  if (state.hello === undefined || state.waiting === undefined)
    return [{ level: "unknown", sentence: "Asking the supervisor …", remedy: null }];
  const atMs = nowMs + state.clockAheadMs;
  const [first, ...others] = [
    ...redisAway(state),
    ...stoppedStreams(state),
    ...pausedStreams(state, atMs, true),
    ...stuckStreams(state, atMs),
    ...tooOld(state, atMs),
    ...waitingLetters(state),
    ...pausedStreams(state, atMs, false),
  ];
  return first === undefined ? [allIsWell(state, atMs)] : [first, ...others];
}

const bad = (sentence: string, remedy: Remedy | null): Finding => ({ level: "bad", sentence, remedy });
const warn = (sentence: string, remedy: Remedy | null): Finding => ({ level: "warn", sentence, remedy });

const redisAway = ({ waiting }: LiveState): Finding[] =>
  waiting === null
    ? [
        bad("Redis does not answer: ingest stores events while answering, as far as Postgres keeps pace.", {
          kind: "playbook",
          section: "upstash-is-down",
        }),
      ]
    : [];

function stoppedStreams(state: LiveState): Finding[] {
  return [...state.stopped.values()].flatMap(({ stream, outcome, reason, sqlstate }) => {
    const said = [reason, sqlstate === null || reason?.includes(sqlstate) ? null : `(${sqlstate})`]
      .filter((text) => text !== null)
      .join(" ");
    const tail = `${said === "" ? "" : `: ${said}`}; ${countOf(waitingOf(state, stream), "event")} of ${stream} ${waitingOf(state, stream) === 1 ? "waits" : "wait"}.`;
    if (outcome === "misconfigured")
      return [bad(`Postgres refuses ${stream}${tail}`, playbook("oldest-event-is-old"))];
    if (outcome === "unreachable") return [bad(`Postgres does not answer${tail}`, playbook("neon-is-down"))];
    if (outcome === "busy")
      return [warn(`Postgres is busy with ${stream}${tail}`, playbook("oldest-event-is-old"))];
    return [];
  });
}

const playbook = (section: string): Remedy => ({ kind: "playbook", section });

/** `hasWaiting`: those for which something waits, or the others, which do no harm yet. */
const pausedStreams = (state: LiveState, atMs: number, hasWaiting: boolean): Finding[] =>
  pausedIn(state, atMs).flatMap((paused) => {
    const waiting = state.waiting ? waitingOf(state, paused.stream) : undefined; // undefined: it is not known
    if ((waiting !== 0) !== hasWaiting) return [];
    const count =
      waiting === undefined ? "" : `: ${countOf(waiting, "event")} ${waiting === 1 ? "waits" : "wait"}`;
    const sentence = `${sayPaused(paused)}${count}.`;
    return warn(
      sentence,
      paused.isInEnvironment ? playbook("pausing-a-stream") : { kind: "resume", stream: paused.stream },
    );
  });

/** `orders is paused since 02:24 until 03:24 by ann@example.org (a new column)` */
export function sayPaused({ stream, isInEnvironment, sinceAt, untilAt, by, why }: Paused): string {
  if (isInEnvironment) return `${stream} is in DRAIN_PAUSED`;
  const parts = [
    sinceAt !== null && ` since ${clockOf(sinceAt)}`,
    untilAt !== null && ` until ${clockOf(untilAt)}`,
    by !== null && ` by ${by}`,
    why !== null && ` (${why})`,
  ];
  return `${stream} is paused${parts.filter((part) => part !== false).join("")}`;
}

const stuckStreams = ({ waiting }: LiveState, atMs: number): Finding[] =>
  (waiting ?? []).flatMap(({ stream, heldSinceAt, heldPartitions }) => {
    const heldMs = heldSinceAt === null ? 0 : atMs - Date.parse(heldSinceAt);
    if (heldMs <= HELD_MAX_MS) return [];
    const sentence = `${stream} is stuck: a drain call holds ${countOf(heldPartitions, "partition")} for ${spanOf(heldMs)}.`;
    return [bad(sentence, { kind: "show", panel: "doctor" })];
  });

function tooOld(state: LiveState, atMs: number): Finding[] {
  const paused = new Set(pausedIn(state, atMs).map(({ stream }) => stream));
  return (state.waiting ?? []).flatMap(({ stream, oldestReceivedAt }) => {
    const ageMs = oldestReceivedAt === null ? 0 : atMs - Date.parse(oldestReceivedAt);
    if (ageMs <= OLDEST_MAX_MS || paused.has(stream) || state.stopped.has(stream)) return [];
    const sentence = `The oldest event of ${stream} waits for ${spanOf(ageMs)}; ${countOf(waitingOf(state, stream), "event")} in all.`;
    return [warn(sentence, { kind: "drain", stream })];
  });
}

function waitingLetters(state: LiveState): Finding[] {
  if (state.letters === null)
    return [bad("Postgres does not answer: dead letters can't be counted.", playbook("neon-is-down"))];
  return sayLetters(state).map((sentence) => warn(sentence, { kind: "show", panel: "letters" }));
}

function allIsWell(state: LiveState, atMs: number): Finding {
  const { waiting, oldestAtMs } = sumOf(state.waiting ?? []);
  const rest =
    waiting === 0
      ? "nothing waits"
      : oldestAtMs === null
        ? `${countOf(waiting, "event")} ${waiting === 1 ? "waits" : "wait"}`
        : `nothing waits longer than ${spanOf(Math.max(1000, atMs - oldestAtMs))}`;
  return { level: "good", sentence: `All is well: ${sayStored(state, atMs)}${rest}.`, remedy: null };
}

/** `the drain stored 3,412 events today, `, by the day of whoever looks; "" if nobody counts. */
function sayStored({ storedSoFar, missedNow }: LiveState, atMs: number): string {
  if (storedSoFar === undefined) return "";
  const { stored, sinceMs } = storedToday(storedSoFar, atMs);
  const least = missedNow > 0 ? "at least " : "";
  const when = sinceMs === undefined ? "today" : `since ${clockOf(sinceMs)}`;
  return `the drain stored ${least}${countOf(stored, "event")} ${when}, `;
}
