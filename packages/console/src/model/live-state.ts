/**
 * What the page knows from the lines of `GET /live`: a value, and a function that makes the next one of some lines. It knows no network, no
 * clock and no page, so that it is tested line by line.
 */
import type { LiveHello, LiveLetters, LiveLine, LiveStored } from "../../../../lib/contract/live.ts";
import type {
  LiveBatch,
  LivePause,
  LiveStopped,
  LiveWaiting,
} from "../../../../lib/contract/live-history.ts";
import { type Buckets, withLines } from "./seconds.ts";
import { NOTHING_SET_ASIDE, type SetAside, withCount, withSetAside } from "./set-aside.ts";
import { type StoredSoFar, storedAt, withStoredAt } from "./stored-so-far.ts";

/** How many of the newest batches are kept for the live view. */
export const BATCHES_MAX = 60;

export interface LiveState {
  /** The first line of the history; undefined: none has come yet. */
  hello: LiveHello | undefined;
  /** The cursor of the newest line. */
  cursor: number;
  /** The supervisor's clock minus this page's, in milliseconds. */
  clockAheadMs: number;
  /** Null: Redis does not answer; undefined: nothing was said yet. */
  waiting: readonly LiveWaiting[] | null | undefined;
  /** The last word on each stream that was paused or resumed at run time. */
  pauses: ReadonlyMap<string, LivePause>;
  /** Streams of which the last batch was handed back. */
  stopped: ReadonlyMap<string, LiveStopped>;
  /** Events newly stored by the drain since the history begins, by stream. */
  stored: ReadonlyMap<string, number>;
  /** The same of all streams together, since the supervisor's process began; undefined: it does not tell. */
  storedSoFar: StoredSoFar | undefined;
  /** Newest first. */
  batches: readonly LiveBatch[];
  /** Null: Postgres does not answer; undefined: the panel is shut. */
  letters: LiveLetters["streams"] | undefined;
  /** What is known of letters while the panel is shut. */
  setAside: SetAside;
  /** The newest rows of tables, by stream. */
  rows: ReadonlyMap<string, LiveStored["rows"]>;
  buckets: Buckets;
  /** Lines that were left out because this page was too slow; and those of them since the response began. */
  missed: number;
  missedNow: number;
}

export const NOTHING_SEEN: LiveState = {
  hello: undefined,
  cursor: 0,
  clockAheadMs: 0,
  waiting: undefined,
  pauses: new Map(),
  stopped: new Map(),
  stored: new Map(),
  storedSoFar: undefined,
  batches: [],
  letters: undefined,
  setAside: NOTHING_SET_ASIDE,
  rows: new Map(),
  buckets: new Map(),
  missed: 0,
  missedNow: 0,
};

/** The state after some lines. `nowMs`: this page's clock. */
export function withLiveLines(state: LiveState, lines: readonly LiveLine[], nowMs: number): LiveState {
  const next = lines.reduce((so, line) => withLine(so, line, nowMs), state);
  const begun = lines.findLastIndex((line) => line.kind === "hello" && !line.isContinued);
  const [before, since] = begun < 0 ? [state.buckets, lines] : [NOTHING_SEEN.buckets, lines.slice(begun)];
  return { ...next, buckets: withLines(before, since, nowMs + next.clockAheadMs) };
}

function withLine(state: LiveState, line: LiveLine, nowMs: number): LiveState {
  if (line.kind === "hello") return withHello(state, line, nowMs);
  const seen = "cursor" in line ? { ...state, cursor: line.cursor } : state;
  switch (line.kind) {
    case "second":
      return line.streams.reduce((so, sums) => withSettled(so, { ...sums, at: line.at }, true), seen);
    case "batch":
      return withBatch(seen, line);
    case "retried":
      return withSettled(seen, line, isHistory(seen, line));
    case "stopped":
      return withStopped(seen, line);
    case "counts":
      return withWaiting(seen, line.streams);
    case "pause":
      return { ...seen, pauses: new Map(seen.pauses).set(line.stream, line) };
    case "letters":
      return withLetters(seen, line.streams, nowMs);
    case "stored":
      return { ...seen, rows: new Map(seen.rows).set(line.stream, line.rows) };
    case "behind":
      return { ...seen, missed: seen.missed + line.missed, missedNow: seen.missedNow + line.missed };
    case "alive":
      return withClock(seen, line.at, nowMs);
    default:
      return seen; // end, the drain calls, and kinds of a later release
  }
}

/** Whether a line is older than the response, so that `hello` took it into account. */
const isHistory = ({ hello }: LiveState, { cursor }: { cursor: number }): boolean =>
  hello !== undefined && cursor <= hello.cursor;

/** A history that does not go on begins anew. Panels are not part of it. */
function withHello(state: LiveState, hello: LiveHello, nowMs: number): LiveState {
  const letters = hello.panels.includes("letters") ? state.letters : undefined;
  const clockAheadMs = Date.parse(hello.nowAt) - nowMs;
  const begun = { hello, clockAheadMs, letters, storedSoFar: storedAt(hello), missedNow: 0 };
  if (hello.isContinued) return { ...state, ...begun };
  const { rows, setAside } = state;
  return { ...NOTHING_SEEN, ...begun, rows, setAside: { ...setAside, since: new Map() } };
}

/** How far the clocks may drift apart before a line corrects it, in milliseconds: it takes its time from there to here. */
const DRIFT_MAX_MS = 5000;

/** A line that was written just now tells the supervisor's clock: this machine's may have been set since the response began. */
function withClock(state: LiveState, at: string, nowMs: number): LiveState {
  const clockAheadMs = Date.parse(at) - nowMs;
  return Math.abs(clockAheadMs - state.clockAheadMs) > DRIFT_MAX_MS ? { ...state, clockAheadMs } : state;
}

function withBatch(state: LiveState, batch: LiveBatch): LiveState {
  const stopped = new Map(state.stopped);
  stopped.delete(batch.stream);
  const batches = [batch, ...state.batches].slice(0, BATCHES_MAX);
  return withSettled({ ...state, stopped, batches }, batch, isHistory(state, batch));
}

/** Nobody knows what an abandoned batch met: its time was up, or its lease was lost. */
const withStopped = (state: LiveState, line: LiveStopped): LiveState =>
  line.outcome === "abandoned" ? state : { ...state, stopped: new Map(state.stopped).set(line.stream, line) };

/** Adds what became of events. What is history is in the supervisor's own count, and may be in Postgres' last count. */
function withSettled(
  state: LiveState,
  settled: { stream: string; at: string; stored: number; dead: number; held?: number },
  isOld: boolean,
): LiveState {
  const { stream, at, stored } = settled;
  const isCounted = isOld && Date.parse(at) <= (state.setAside.counted?.atMs ?? 0);
  return {
    ...state,
    stored: new Map(state.stored).set(stream, (state.stored.get(stream) ?? 0) + stored),
    storedSoFar:
      isOld || !state.hello?.streams.includes(stream)
        ? state.storedSoFar
        : withStoredAt(state.storedSoFar, at, stored),
    setAside: isCounted ? state.setAside : withSetAside(state.setAside, settled),
  };
}

const withLetters = (state: LiveState, letters: LiveLetters["streams"], nowMs: number): LiveState => ({
  ...state,
  letters,
  setAside: withCount(state.setAside, letters, nowMs + state.clockAheadMs),
});

/** A stream of which nothing waits any more is not stopped, whoever drained it. */
function withWaiting(state: LiveState, waiting: LiveState["waiting"]): LiveState {
  if (!waiting) return { ...state, waiting };
  const names = new Set(waiting.map(({ stream }) => stream));
  const stopped = new Map([...state.stopped].filter(([stream]) => names.has(stream)));
  return { ...state, waiting, stopped };
}

/** A paused stream, and since when, until when and by whom, as far as is known. */
export interface Paused {
  stream: string;
  isInEnvironment: boolean;
  sinceAt: string | null;
  untilAt: string | null;
  by: string | null;
  why: string | null;
}

/** The streams that are paused at this moment of the supervisor's clock. */
export function pausedIn({ hello, pauses }: LiveState, nowMs: number): Paused[] {
  const inEnvironment = (hello?.paused ?? []).map((stream): Paused => {
    return { stream, isInEnvironment: true, sinceAt: null, untilAt: null, by: null, why: null };
  });
  const atRunTime = [...pauses.values()]
    .filter(({ isPaused, untilAt }) => isPaused && (untilAt === null || Date.parse(untilAt) > nowMs))
    .filter(({ stream }) => !hello?.paused.includes(stream))
    .map(({ stream, at, untilAt, by, sinceAt, why }): Paused => {
      return { stream, isInEnvironment: false, sinceAt: sinceAt ?? at, untilAt, by, why: why ?? null };
    });
  return [...inEnvironment, ...atRunTime];
}

/** How many events of a stream wait. */
export const waitingOf = ({ waiting }: LiveState, stream: string): number => {
  const one = waiting?.find((each) => each.stream === stream);
  return one === undefined ? 0 : one.pending + one.sealed + one.claimed;
};
