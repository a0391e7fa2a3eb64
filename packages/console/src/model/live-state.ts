/**
 * What the page knows from the lines of `GET /live`: a value, and a function that makes the next one of some lines. It knows no network, no
 * clock and no page, so that it is tested line by line.
 */
import type {
  LiveBatch,
  LiveHello,
  LiveLetters,
  LiveLine,
  LivePause,
  LiveStopped,
  LiveStored,
  LiveWaiting,
} from "../../../../lib/contract/live.ts";
import { type Buckets, withLines } from "./seconds.ts";

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
  /** Newest first. */
  batches: readonly LiveBatch[];
  /** Null: Postgres does not answer; undefined: the panel is shut. */
  letters: LiveLetters["streams"] | undefined;
  /** The newest rows of tables, by stream. */
  rows: ReadonlyMap<string, LiveStored["rows"]>;
  buckets: Buckets;
  /** Lines that were left out because this page was too slow. */
  missed: number;
}

export const NOTHING_SEEN: LiveState = {
  hello: undefined,
  cursor: 0,
  clockAheadMs: 0,
  waiting: undefined,
  pauses: new Map(),
  stopped: new Map(),
  stored: new Map(),
  batches: [],
  letters: undefined,
  rows: new Map(),
  buckets: new Map(),
  missed: 0,
};

/** The state after some lines. `nowMs`: this page's clock. */
export function withLiveLines(state: LiveState, lines: readonly LiveLine[], nowMs: number): LiveState {
  const next = lines.reduce((so, line) => withLine(so, line, nowMs), state);
  const begun = lines.findLastIndex((line) => line.kind === "hello" && !line.isContinued);
  const [before, since] = begun < 0 ? [state.buckets, lines] : [NOTHING_SEEN.buckets, lines.slice(begun)];
  return { ...next, buckets: withLines(before, since, nowMs + next.clockAheadMs) };
}

function withLine(state: LiveState, line: LiveLine, nowMs: number): LiveState {
  const seen = "cursor" in line && line.kind !== "hello" ? { ...state, cursor: line.cursor } : state;
  switch (line.kind) {
    case "hello":
      return withHello(state, line, nowMs);
    case "second":
      return line.streams.reduce((so, { stream, stored }) => withStored(so, stream, stored), seen);
    case "batch":
      return withBatch(seen, line);
    case "stopped":
      return { ...seen, stopped: new Map(seen.stopped).set(line.stream, line) };
    case "counts":
      return withWaiting(seen, line.streams);
    case "pause":
      return { ...seen, pauses: new Map(seen.pauses).set(line.stream, line) };
    case "letters":
      return { ...seen, letters: line.streams };
    case "stored":
      return { ...seen, rows: new Map(seen.rows).set(line.stream, line.rows) };
    case "behind":
      return { ...seen, missed: seen.missed + line.missed };
    default:
      return seen; // alive, end, the drain calls, and kinds of a later release
  }
}

/** A history that does not go on begins anew. Panels are not part of it. */
function withHello(state: LiveState, hello: LiveHello, nowMs: number): LiveState {
  const clockAheadMs = Date.parse(hello.nowAt) - nowMs;
  if (hello.isContinued) return { ...state, hello, clockAheadMs };
  const { letters, rows } = state;
  return { ...NOTHING_SEEN, hello, clockAheadMs, letters, rows };
}

function withBatch(state: LiveState, batch: LiveBatch): LiveState {
  const stopped = new Map(state.stopped);
  stopped.delete(batch.stream);
  const batches = [batch, ...state.batches].slice(0, BATCHES_MAX);
  return withStored({ ...state, stopped, batches }, batch.stream, batch.stored);
}

const withStored = (state: LiveState, stream: string, count: number): LiveState => ({
  ...state,
  stored: new Map(state.stored).set(stream, (state.stored.get(stream) ?? 0) + count),
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
