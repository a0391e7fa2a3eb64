/** The results of writing rows: the values that write-rows.ts and verdicts.ts return. */
import type { Row } from "../schema/json-row.ts";
import { type Failure, failureOf } from "./postgres-errors.ts";

/** A row that Postgres refused, and why. */
export interface Refused<R extends Row = Row> {
  row: R;
  sqlstate: string | undefined;
  reason: string;
  /** Whether the refusal's code judges the row's data. */
  judgesData: boolean;
  /** Whether its code speaks of the table or the server even while other rows are stored. */
  speaksOfTable?: boolean;
  /** Whether there is a witness (proof.ts), or its own size is its fault. */
  isWitnessed: boolean;
}

/** Why nothing more is written now: no row is blamed, and everything is kept. */
export interface Stopped {
  /** `unreachable`: no statement of any stream would get an answer. `busy`: this stream has to wait. */
  outcome: "unreachable" | "busy" | "misconfigured";
  sqlstate: string | undefined;
  reason: string;
  /** Whether the connection broke in the middle of an insert, which a row of it may have done. */
  isSuspicious?: boolean;
}

/** true: the stream's table is locked or has no room. false: it took rows. undefined: the end of the write says nothing of it. */
export function isBlockedBy(stopped: Stopped | "abandoned" | undefined): boolean | undefined {
  if (stopped === undefined) return false;
  return stopped !== "abandoned" && stopped.outcome === "busy" && !stopped.isSuspicious ? true : undefined;
}

/** The result of writing a batch. If `stopped` is set, rows not counted are undecided: write them again. */
export interface Written<R extends Row = Row> {
  stored: number;
  duplicates: number;
  /** The rows among which the duplicates are: these alone, if the insert names what is new. After a lost reply there are none. */
  there: R[];
  /** The rows over which a newer event of their key won. */
  superseded: R[];
  refused: Refused<R>[];
  stopped: Stopped | "abandoned" | undefined;
}

/** Rows that are written together, and how often that was tried. */
export interface Part<R> {
  rows: readonly R[];
  tries: number;
}

/** The result of one try of a part. */
export interface Step<R extends Row> {
  stored?: number;
  duplicates?: number;
  there?: R[];
  superseded?: R[];
  refused?: Refused<R>[];
  /** Parts to write instead, in their order. */
  next?: Part<R>[];
  stopped?: Stopped;
}

/** A step that stops the write. */
export const stop = (outcome: Stopped["outcome"], { sqlstate, reason }: Failure): { stopped: Stopped } => ({
  stopped: { outcome, sqlstate, reason },
});

/**
 * Reads an error of a statement that no row's data can make fail: the fault is the server's, the table's or the moment's.
 * Rethrows an error that is neither Postgres's nor the network's. `ofTable`: the table of the statement.
 */
export function stoppedBy(thrown: unknown, ofTable?: string): Stopped {
  const { kind, sqlstate, reason } = failureOf(thrown, ofTable);
  if (kind === "no-answer") return { outcome: "unreachable", sqlstate, reason };
  const isOfTheTable = kind === "refused" || kind === "misconfigured";
  return { outcome: isOfTheTable ? "misconfigured" : "busy", sqlstate, reason };
}
