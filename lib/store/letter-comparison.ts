/**
 * Letters are compared with the tables of their streams, because a letter whose event is stored waits for nobody. One table that can't be
 * read must not hide the letters of other streams. So if Postgres refuses a statement that compares letters, each table is tried alone,
 * and the statement runs again without the tables at fault: their letters count as live.
 */
import { and, isNull, notInArray, or, type SQL, sql } from "drizzle-orm";
import type { Stream } from "../schema/stream.ts";
import { type Database, statementBound } from "./database.ts";
import { deadLetters } from "./dead-letters-table.ts";
import { type Failure, failureOf } from "./postgres-errors.ts";
import { tableNameOf } from "./stream-table.ts";
import { createTableCheck } from "./table-check.ts";

/** How long a table is left alone that is locked or slow, in milliseconds: it costs a wait each time. */
const LEFT_ALONE_MS = 60_000;
/** How long a table may take that is tried alone, in milliseconds. */
const TRIAL_MAX_MS = 5000;
/** Tables that are tried at the same time; each takes a connection. */
const TRIALS_AT_ONCE = 8;

/** A stream whose letters were not compared with its table, and why. */
export interface NotCompared {
  stream: string;
  why: string;
}

/** What a statement on letters knows of their tables. */
export interface Comparison {
  /** A letter is live: not redriven and not stored. Where its table is not asked: not redriven. */
  isLive: SQL;
  /** Why the letters of a stream are not compared with its table; null if they are. */
  whyNot: (stream: string) => string | null;
  notCompared: NotCompared[];
}

interface Options {
  db: Database;
  /** When the database's client gives up. */
  timeoutMs: number;
  /** The condition that a letter is one of the stream's, and live. It reads the stream's table. */
  isLiveOf: (stream: Stream) => SQL | undefined;
  monotonicMs?: () => number;
}

/** Makes the comparison. It remembers for a minute which tables are locked or slow. */
export function createLetterComparison({
  db,
  timeoutMs,
  isLiveOf,
  monotonicMs = () => performance.now(),
}: Options) {
  const trialMs = Math.min(timeoutMs, TRIAL_MAX_MS);
  const tables = createTableCheck(db, trialMs, monotonicMs);
  const leftAlone = new Map<Stream, { why: string; untilMs: number }>();

  function whyLeftAlone(stream: Stream): string | undefined {
    const known = leftAlone.get(stream);
    return known !== undefined && monotonicMs() < known.untilMs ? known.why : undefined;
  }

  /** Says what is wrong with a table. Postgres names no column that is missing, so the table's differences are asked for. */
  async function describe(stream: Stream, { kind, reason }: Failure): Promise<string> {
    const [difference] = kind === "refused" ? await tables.differencesOf(stream) : [];
    const why = difference === undefined ? reason : `${reason}; ${difference}`;
    if (kind !== "refused") leftAlone.set(stream, { why, untilMs: monotonicMs() + LEFT_ALONE_MS });
    return why;
  }

  /** Compares all letters of a stream, as the statement that failed would have done. Returns why it can't be done. */
  async function tryAlone(stream: Stream): Promise<string | undefined> {
    try {
      await db.batch([
        statementBound(db, trialMs),
        db.select({ n: sql`count(*)` }).from(deadLetters).where(isLiveOf(stream)),
      ]);
      return undefined;
    } catch (error) {
      const failure = failureOf(error, tableNameOf(stream));
      if (failure.kind === "no-answer") throw error;
      return describe(stream, failure);
    }
  }

  /** Returns the streams whose tables are at fault, and why. */
  async function findFaults(streams: readonly Stream[], thrown: unknown): Promise<[Stream, string][]> {
    const [only, ...others] = streams;
    // If it was the only table, it is tried by leaving it out.
    if (only && others.length === 0)
      return [[only, await describe(only, failureOf(thrown, tableNameOf(only)))]];
    const found: [Stream, string][] = [];
    for (let i = 0; i < streams.length; i += TRIALS_AT_ONCE) {
      const part = streams.slice(i, i + TRIALS_AT_ONCE);
      const whys = await Promise.all(part.map(tryAlone));
      found.push(...part.flatMap((stream, j): [Stream, string][] => (whys[j] ? [[stream, whys[j]]] : [])));
    }
    return found;
  }

  /**
   * Runs a statement that compares the letters of these streams; letters of other streams count as live, unless they are redriven. If
   * Postgres refuses it, runs it again without the tables at fault. Throws what `run` throws if none is, or if there is no answer.
   */
  async function compared<T>(
    streams: readonly Stream[],
    run: (comparison: Comparison) => Promise<T>,
  ): Promise<T> {
    const faults = new Map(
      streams.flatMap((stream): [Stream, string][] => {
        const why = whyLeftAlone(stream);
        return why === undefined ? [] : [[stream, why]];
      }),
    );
    for (;;) {
      const asked = streams.filter((stream) => !faults.has(stream));
      try {
        return await run(comparisonOf(asked, faults));
      } catch (error) {
        const { kind, sqlstate } = failureOf(error);
        if (kind === "no-answer" || sqlstate === undefined) throw error;
        const found = await findFaults(asked, error);
        if (found.length === 0) throw error;
        for (const [stream, why] of found) faults.set(stream, why);
      }
    }
  }

  function comparisonOf(asked: readonly Stream[], faults: ReadonlyMap<Stream, string>): Comparison {
    const names = asked.map(({ name }) => name);
    const isNotRedriven = and(isNull(deadLetters.redrivenAt), notInArray(deadLetters.stream, names));
    const notCompared = [...faults].map(([stream, why]) => ({ stream: stream.name, why }));
    return {
      isLive: or(...asked.map(isLiveOf), isNotRedriven) as SQL,
      whyNot: (name) => notCompared.find(({ stream }) => stream === name)?.why ?? null,
      notCompared,
    };
  }

  return compared;
}
