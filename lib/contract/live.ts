/**
 * `GET /live` of the supervisor: one response of lines, each a JSON object (NDJSON), for a page that shows what happens. The types of the
 * lines and their bounds; lib/operate/live-*.ts makes them.
 *
 *     GET /live                              hello, the history of up to 15 minutes, then what happens
 *     GET /live?after=RING:CURSOR            goes on behind the line of that cursor, if the history is still the same
 *     GET /live?panels=letters,stored:leads  with lines that ask Postgres every few seconds; without it Postgres is never asked
 *
 * Times (`…At`) are RFC 3339 by the supervisor's wall clock; durations (`…Ms`) are milliseconds. A line may get further members, and
 * there may be further kinds: a page ignores those that it does not know. No line holds data of an event but its id.
 */

/** The media type of the response. Each line ends with a newline. */
export const LIVE_MEDIA_TYPE = "application/x-ndjson";

/** How far the history goes back, in milliseconds. */
export const LIVE_HISTORY_MS = 900_000;
/** The length of a quarter of an hour, and how far back stored events are counted, in milliseconds: the longest day has 25 hours. */
export const LIVE_QUARTER_MS = 900_000;
export const LIVE_COUNTED_MS = 93_600_000;
/** The most ids in one line of a batch, of its first events. */
export const LIVE_IDS_MAX = 20;
/** The most rows in one line of a table. */
export const LIVE_ROWS_MAX = 20;
/** The most responses at once; one more is refused with instance-busy. */
export const LIVE_VIEWERS_MAX = 20;
/** If nothing changes for so long, the response ends as idle, in milliseconds. */
export const LIVE_IDLE_MS = 600_000;
/** The longest that a response lasts, in milliseconds: Cloud Run ends a request after an hour. */
export const LIVE_LONGEST_MS = 3_300_000;
/** The longest pause between two lines, in milliseconds: longer silence means that the connection is lost. */
export const LIVE_SILENCE_MS = 15_000;

/** The names of panels; `stored:STREAM` names a stream. */
export type LivePanel = "letters" | `stored:${string}`;

/** The first line of each response. */
export interface LiveHello {
  kind: "hello";
  /** Names this history: another one means that the supervisor was restarted, or that another instance answers. */
  ring: string;
  /** When the history begins: 15 minutes ago at most, or when the instance started. */
  sinceAt: string;
  /** The cursor of the newest line that the history holds at this moment; lines up to it are history. */
  cursor: number;
  /** True: the lines go on behind `after`, and none is missing. False: the page forgets what it has, and the whole history comes. */
  isContinued: boolean;
  /** The supervisor's clock, from which a page takes ages. */
  nowAt: string;
  /** How often Redis is asked, in milliseconds, while nothing changes. */
  pollMs: number;
  /** The streams of the release, without Spillway's own. */
  streams: readonly string[];
  /** Those of DRAIN_PAUSED: they stay paused until the next deployment. */
  paused: readonly string[];
  /** The panels that this response has. */
  panels: readonly LivePanel[];
  /** What the drain stored since its process began, up to the line of `cursor`: a page adds the lines behind it. Absent: an older release. */
  storedSoFar?: LiveStoredSoFar;
  /** How much the buffer takes, in bytes: BUFFER_MAX_BYTES of each partition to which ingest pushes. Absent: it is not known. */
  capacityBytes?: number;
}

/** How many events the drain newly stored, of all streams together, without Spillway's own. */
export interface LiveStoredSoFar {
  /** Since when there is a count: when the process began, or LIVE_COUNTED_MS ago at most. */
  sinceAt: string;
  /** Quarters of an hour in which something was stored, by their beginning: in each time zone a day begins with one. */
  quarters: readonly { at: string; stored: number }[];
}

/** One second of the history in sums: the batches that are too old to be kept one by one. They come oldest first, before any batch. */
export interface LiveSecond {
  kind: "second";
  /** The second's beginning. */
  at: string;
  streams: readonly LiveSums[];
  /** What waited, as the last line of the second said it; absent: nothing was said, so it had not changed or nobody looked. */
  waiting?: readonly LiveWaiting[];
}

/**
 * The batches of one stream in one second: as in a batch, added up. Of the times, the longest. Letters that were tried again are in `stored`
 * and `dead`, and in nothing else.
 */
export interface LiveSums
  extends Omit<LiveBatch, keyof InHistory | "kind" | "partition" | "ids" | "newestLagMs"> {
  batches: number;
}

/** A line of the history that is kept as it is. A page goes on behind it by `after=RING:CURSOR`. */
interface InHistory {
  /** Rises by 1 from line to line. A gap is told by a line `behind`. */
  cursor: number;
  at: string;
}

/** A batch was settled: each of its events is stored or set aside. */
export interface LiveBatch extends InHistory {
  kind: "batch";
  stream: string;
  partition: number;
  /** Events of the batch: stored + duplicates + superseded + held + dead. */
  rows: number;
  /** The envelopes' length together, in UTF-16 code units: bytes, if all of it is ASCII. */
  bytes: number;
  /** Newly stored. */
  stored: number;
  /** Their id was stored before. */
  duplicates: number;
  /** A newer event of their key is stored. */
  superseded: number;
  /** Set aside without proof that they are at fault; they are tried again. */
  held: number;
  dead: number;
  /** Row ids of its first events, LIVE_IDS_MAX at most, without those that were set aside. */
  ids: readonly string[];
  /** How long its oldest and its newest event waited, from receipt until the insert had ended. 0: none of it became a row. */
  oldestLagMs: number;
  newestLagMs: number;
  /** How long its insert took, with all tries. */
  insertMs: number;
}

/** Held letters were tried again, and some of them settled. */
export interface LiveRetried extends InHistory {
  kind: "retried";
  stream: string;
  /** Newly stored. */
  stored: number;
  /** Dead from now on. */
  dead: number;
}

/** A batch was handed back: something stopped its insert, and it is tried again. */
export interface LiveStopped extends InHistory {
  kind: "stopped";
  stream: string;
  partition: number;
  /** unreachable, busy: Postgres; misconfigured: somebody has to mend something; abandoned: time was up or the lease lost. */
  outcome: "unreachable" | "busy" | "misconfigured" | "abandoned";
  sqlstate: string | null;
  /** Without data of an event. */
  reason: string | null;
}

/** What waits in Redis. It comes at first, and when it changes. */
export interface LiveCounts extends InHistory {
  kind: "counts";
  /** The streams for which something waits; a stream that is not named has nothing. Null: Redis does not answer. */
  streams: readonly LiveWaiting[] | null;
}

export interface LiveWaiting {
  stream: string;
  pending: number;
  sealed: number;
  claimed: number;
  /** When the oldest of them was received; null if that can't be read. */
  oldestReceivedAt: string | null;
  /** Partitions that a drain call holds. */
  heldPartitions: number;
  /** Since when the longest of them is held; null if none is. */
  heldSinceAt: string | null;
}

/** A stream was paused or resumed at run time, by whatever instance. It comes again for a page that can't have seen its first line. */
export interface LivePause extends InHistory {
  kind: "pause";
  stream: string;
  isPaused: boolean;
  /** When the pause ends by itself; null if it is not paused. */
  untilAt: string | null;
  /** Who paused or resumed it, as far as is known. */
  by: string | null;
  /** Since when it is paused, and why; absent: as from `at`, and no reason is known. */
  sinceAt?: string | null;
  why?: string | null;
}

/** A drain call begins. A tick that finds no work has no line. */
export interface LiveDrainBegun extends InHistory {
  kind: "drain-begun";
  /** Names the call; its end has the same. */
  call: string;
  /** True: an eager flush of one partition; false: a tick, or a call by hand. */
  isFlush: boolean;
  /** The streams of which something waits. */
  streams: readonly string[];
}

/** The end of a drain call that has a beginning. */
export interface LiveDrainEnded extends InHistory {
  kind: "drain-ended";
  call: string;
  durationMs: number;
  /** Events newly stored. */
  stored: number;
  /** The worst of its streams', as `POST /drain` reports it. */
  outcome: "empty" | "short" | "deadline" | "held" | "unavailable" | "misconfigured";
}

/** The panel `letters`: dead and held letters that wait for a person or for their next try. It comes at first, and when it changes. */
export interface LiveLetters {
  kind: "letters";
  at: string;
  /** The streams that have any; null: Postgres does not answer. */
  streams: readonly { stream: string; dead: number; held: number; heldReason: string | null }[] | null;
}

/** The panel `stored:STREAM`: the newest rows of the table, however they came there. It comes at first, and when it changes. */
export interface LiveStored {
  kind: "stored";
  at: string;
  stream: string;
  /**
   * Newest first, LIVE_ROWS_MAX at most, of the last 15 minutes; a page knows by the id which are new. Rows whose id was not made by
   * Spillway are not found. Null: Postgres does not answer.
   */
  rows: readonly { id: string; receivedAt: string }[] | null;
}

/** The reader was too slow: lines are missing before the next one. */
export interface LiveBehind {
  kind: "behind";
  at: string;
  /** How many lines of the history were left out. */
  missed: number;
}

/** Nothing has happened for LIVE_SILENCE_MS; the connection lives. */
export interface LiveAlive {
  kind: "alive";
  at: string;
}

/**
 * The last line. `idle`: nothing has changed for LIVE_IDLE_MS; come again when somebody looks. `renew`: after LIVE_LONGEST_MS; come again
 * at once with `after`. `ending`: the instance ends; come again after a second. `behind`: the reader took nothing for a minute.
 */
export interface LiveEnd {
  kind: "end";
  at: string;
  reason: "idle" | "renew" | "ending" | "behind";
}

/** The lines that have a cursor. */
export type LiveEntry =
  | LiveBatch
  | LiveRetried
  | LiveStopped
  | LiveCounts
  | LivePause
  | LiveDrainBegun
  | LiveDrainEnded;

/** One line. */
export type LiveLine =
  | LiveHello
  | LiveSecond
  | LiveEntry
  | LiveLetters
  | LiveStored
  | LiveBehind
  | LiveAlive
  | LiveEnd;

/** An entry without the members that the history gives it. */
export type LiveHappening = LiveEntry extends infer Entry
  ? Entry extends LiveEntry
    ? Omit<Entry, keyof InHistory>
    : never
  : never;
