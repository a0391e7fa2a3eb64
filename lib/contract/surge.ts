/**
 * The lines that a traffic surge tells on this machine (dev/surge/), as plain values: types only, for the console's page. The console's own
 * server sends them at `GET /api/surge` as NDJSON, one JSON object a line: first `hello`, then the lines of the last surge or of the one
 * that runs, then what happens. `spillway surge` prints the same lines as a table.
 *
 *     hello · begun · step … · second (ramp) … · calibrated · step · second (load) … · second (settling) … · conserved · ended
 *
 * Times (`…At`) are RFC 3339; durations (`…Ms`) are milliseconds. A line may get further members, and there may be further kinds: a
 * reader ignores those that it does not know.
 */

export type SurgeTarget = "direct" | "buffer";
/** `both`: direct first, then the buffer, never at once. */
export type SurgeMode = SurgeTarget | "both";

/** The body of `POST /api/surge`. */
export interface SurgeRequest {
  /** Requests a second, each with one event. */
  rate: number;
  /** How long each target gets them, in seconds. */
  seconds: number;
  mode: SurgeMode;
}

/** The first line of each `GET /api/surge`. */
export interface SurgeHello {
  kind: "hello";
  isRunning: boolean;
  /** What may be asked for. */
  rateMin: number;
  rateMax: number;
  secondsMin: number;
  secondsMax: number;
  /** What this machine can do; null: it has not been measured since the start. */
  calibrated: SurgeCalibrated | null;
}

/** A surge begins. The lines of the one before are over. */
export interface SurgeBegun {
  kind: "begun";
  at: string;
  /** Null: only this machine is measured. */
  request: SurgeRequest | null;
}

/** The surge does something that takes a while. */
export interface SurgeStep {
  kind: "step";
  /** A sentence for people. */
  text: string;
}

/** What this machine can do, measured once in each start. */
export interface SurgeCalibrated {
  kind: "calibrated";
  /** Requests a second that the generator offers to a server that does nothing, each connection sending when it was answered. */
  generatorPerSecond: number;
  /** The highest rate of the ramp that direct inserts held; null: they held none. */
  heldPerSecond: number | null;
  /** The rate of the ramp at which they broke; null: they held all of it. */
  brokePerSecond: number | null;
  /** errors: requests failed. slow: p99 over a second. behind: fewer answered than offered. */
  why: "errors" | "slow" | "behind" | null;
  /** A sentence for people. */
  text: string;
}

/** One second of a load. */
export interface SurgeSecond {
  kind: "second";
  target: SurgeTarget;
  /** ramp: the search for the rate at which direct breaks. settling: nothing is offered any more, and the buffer is drained. */
  part: "ramp" | "load" | "settling";
  /** Seconds since the part began, from 1. */
  second: number;
  /** Requests a second that are meant to be offered; 0 while settling. */
  rate: number;
  /** In this second: requests that became due, answers of 2xx that came, and requests that failed or waited too long. */
  offered: number;
  answered: number;
  errors: number;
  /** Requests that are due and unanswered at this moment. */
  unanswered: number;
  /** The longest that the generator itself was late with a request: this machine could not offer more. */
  lateMs: number;
  /** From the moment a request was due until its answer, of the answers of this second; null: none came. */
  p50Ms: number | null;
  p99Ms: number | null;
  /** The same, of all answers since the part began. */
  allP50Ms: number | null;
  allP99Ms: number | null;
  /** Sessions of all clients of this Postgres, and the most that it takes. */
  connections: number;
  connectionsMax: number;
  /** Rows in the target's table. */
  stored: number;
  /** Events in the buffer; 0 for direct. */
  waiting: number;
}

/** Where the accepted events of one target are. All is counted by id. */
export interface SurgeConserved {
  kind: "conserved";
  target: SurgeTarget;
  /** Requests that became due, those that failed, and those that were never sent or never answered. */
  offered: number;
  errors: number;
  unanswered: number;
  /** Ids that were answered with 2xx. accepted = stored + dead + waiting + lost. */
  accepted: number;
  stored: number;
  dead: number;
  waiting: number;
  /** Accepted, and nowhere. */
  lost: number;
  /** Stored without having been accepted: their answers were never heard. */
  extra: number;
  /** Of the whole load, in milliseconds; null: nothing was answered. */
  p50Ms: number | null;
  p99Ms: number | null;
  /** Whether nothing is lost, no id was answered twice, and `extra` is within what was never heard. */
  isKept: boolean;
  /** A sentence for people. */
  text: string;
}

/** The last line of a surge. */
export interface SurgeEnded {
  kind: "ended";
  at: string;
  why: "finished" | "stopped" | "failed";
  /** A sentence for people. */
  text: string;
}

export type SurgeLine =
  | SurgeHello
  | SurgeBegun
  | SurgeStep
  | SurgeCalibrated
  | SurgeSecond
  | SurgeConserved
  | SurgeEnded;
