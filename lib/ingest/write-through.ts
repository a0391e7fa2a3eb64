/**
 * Write-through: inserts while the sender waits, for `ack=stored` and while the buffer is away. Callers share
 * inserts by group commit; at most `concurrency` inserts of this instance run at once, over all streams, and one for each
 * stream whose table is locked.
 */
import { FairSlots } from "../flow/fair-slots.ts";
import { GroupCommit, Overloaded, type Take } from "../flow/group-commit.ts";
import { split } from "../flow/split-by-size.ts";
import type { Row } from "../schema/json-row.ts";
import type { Stream } from "../schema/stream.ts";
import { FIRST, isProven } from "../store/proof.ts";
import { type WritingStore, writeRows } from "../store/write-rows.ts";
import { isBlockedBy, type Refused, type Written } from "../store/written.ts";
import type { createSayRefused } from "./say-refused.ts";

/** Postgres gave no answer, or too much waits for it: some of it may have been stored. */
export class StoreUnavailable extends Error {
  override name = "StoreUnavailable";
}

/** Rows in one insert: a request's, as a rule; few enough for a parameter each. */
const ONE_INSERT = { maxCount: 1000, maxBytes: 4_000_000 };
/** Bytes of one stream that may wait for Postgres in one instance. */
const WAITING_MAX_BYTES = 32_000_000;

/** Time limit for finding the bad rows of a group, in milliseconds. The insert that is running when it ends is the last. */
const GROUP_TIMEOUT_MS = 15_000;

/** The rows of one request that Postgres refused. */
export interface WrittenThrough {
  /** They are at fault themselves. */
  proven: Refused[];
  /** Nothing proves it: their sender can't be told that they are bad. */
  unproven: Refused[];
  /** The ids that were there before: another request's event is stored under them. */
  duplicates: string[];
  /** The ids of events over which a newer one of their key won. */
  superseded: string[];
}

interface Item {
  row: Row;
  bytes: number;
}

/** Makes the one way in which this instance writes through. */
export function createWriteThrough(
  store: WritingStore,
  concurrency: number,
  monotonicMs: () => number = () => performance.now(),
  sayRefused: ReturnType<typeof createSayRefused> = async () => {},
) {
  const slots = new FairSlots(concurrency);
  const groups = new Map<string, GroupCommit<Item, Written>>();

  /** Senders wait: a group whose rows take too long to tell apart is given up, and they send it again. */
  async function write(stream: Stream, items: Item[]) {
    const untilMs = monotonicMs() + GROUP_TIMEOUT_MS;
    const canContinue = async () => monotonicMs() < untilMs;
    const rows = items.map(({ row }) => row);
    const written = await writeRows({ stream, store, rows, canContinue, isNaming: true });
    return { ...written, isBlocked: isBlockedBy(written.stopped) };
  }

  async function writeInTurn(stream: Stream, take: Take<Item>): Promise<Written> {
    const written = await slots.run(stream.name, async () => write(stream, take()));
    if (written === "blocked")
      throw new StoreUnavailable("its table is locked, or Postgres has no room for it");
    await sayRefused(stream, written.stopped);
    return written;
  }

  function groupOf(stream: Stream): GroupCommit<Item, Written> {
    const known = groups.get(stream.name);
    if (known) return known;
    const commit = (take: Take<Item>) => writeInTurn(stream, take);
    const group = new GroupCommit(commit, {
      ...ONE_INSERT,
      maxWaitingBytes: WAITING_MAX_BYTES,
      concurrency,
    });
    groups.set(stream.name, group);
    return group;
  }

  /** Stores one request's rows. Throws StoreUnavailable when some are undecided, TooLate at the deadline. May be repeated. */
  return async function writeThrough(
    stream: Stream,
    items: readonly Item[],
    deadlineAtMs: number,
  ): Promise<WrittenThrough> {
    const own = new Set(items.map(({ row }) => row));
    const refused: Refused[] = [];
    const there: Row[] = [];
    const superseded: string[] = [];
    for (const part of split(items, ({ bytes }) => bytes, ONE_INSERT)) {
      const { result } = await groupOf(stream).add(part.items, part.bytes, deadlineAtMs).catch(asUnavailable);
      const { stopped } = result;
      if (stopped) throw new StoreUnavailable(typeof stopped === "object" ? stopped.reason : stopped);
      refused.push(...result.refused.filter(({ row }) => own.has(row)));
      there.push(...result.there.filter((row) => own.has(row)));
      superseded.push(...result.superseded.filter((row) => own.has(row)).map(({ id }) => id));
    }
    const proven = refused.filter((one) => isProven(one, FIRST));
    const unproven = refused.filter((one) => !proven.includes(one));
    return { proven, unproven, duplicates: idsStoredBefore(own, there, refused), superseded };
  };
}

/** Of two events of one request with one id, the first may be the stored one: then nothing was there before. */
function idsStoredBefore(own: Iterable<Row>, there: readonly Row[], refused: readonly Refused[]): string[] {
  if (there.length === 0) return [];
  const notStored = new Set([...there, ...refused.map(({ row }) => row)]);
  const stored = new Set([...own].filter((row) => !notStored.has(row)).map(({ id }) => id));
  return [...new Set(there.map(({ id }) => id))].filter((id) => !stored.has(id));
}

const asUnavailable = (error: unknown): never => {
  throw error instanceof Overloaded ? new StoreUnavailable("too much waits for Postgres") : error;
};
