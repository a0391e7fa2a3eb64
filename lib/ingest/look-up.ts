/**
 * Looks events up in Postgres, for many requests at once. One query of this instance runs at a time, over all streams: requests
 * that come meanwhile share the next query of their stream, and the streams take turns. So look-ups never take the connections
 * that write-through needs, however many come.
 *
 * Each request is answered within a time limit, and the number of ids that wait is bounded.
 */
import { GroupCommit, Overloaded } from "../flow/group-commit.ts";
import { oneAtATime } from "../flow/one-at-a-time.ts";
import type { Stream } from "../schema/stream.ts";
import type { Found, Store } from "../store/store.ts";
import { stoppedBy } from "../store/written.ts";

/** Postgres gave no answer in time, or too many ids wait for it. */
export class LookUpUnavailable extends Error {
  override name = "LookUpUnavailable";
}

export type LookUp = ReturnType<typeof createLookUp>;

/** Ids in one query. */
const QUERY_MAX_IDS = 1000;
/** Ids of one stream that may wait in one instance. */
const WAITING_MAX_IDS = 2000;

interface Asked {
  id: string;
  /** When its request gives up, by the monotonic clock. */
  untilMs: number;
}

/** Makes the one way in which this instance looks events up. A request waits for `timeoutMs` at most. */
export function createLookUp(store: Pick<Store, "find">, timeoutMs: number) {
  const inTurn = oneAtATime();
  const groups = new Map<string, GroupCommit<Asked, Found>>();

  async function find(stream: Stream, asked: readonly Asked[]): Promise<Found> {
    const nowMs = performance.now();
    const ids = new Set(asked.filter(({ untilMs }) => untilMs > nowMs).map(({ id }) => id));
    if (ids.size === 0) return new Map();
    try {
      return await store.find(stream, [...ids]);
    } catch (error) {
      throw new LookUpUnavailable(stoppedBy(error, stream.name).reason);
    }
  }

  function groupOf(stream: Stream): GroupCommit<Asked, Found> {
    const known = groups.get(stream.name);
    if (known) return known;
    const group = new GroupCommit((asked: Asked[]) => find(stream, asked), {
      ...{ maxCount: QUERY_MAX_IDS, maxBytes: QUERY_MAX_IDS, maxWaitingBytes: WAITING_MAX_IDS },
      ...{ concurrency: 1, inTurn },
    });
    groups.set(stream.name, group);
    return group;
  }

  /** Finds the events under these row ids. Throws LookUpUnavailable. */
  return async function lookUp(stream: Stream, ids: readonly string[]): Promise<Found> {
    const untilMs = performance.now() + timeoutMs;
    const asked = ids.map((id) => ({ id, untilMs }));
    const late = waitFor(timeoutMs);
    try {
      const answer = groupOf(stream).add(asked, asked.length); // an id counts as a byte
      return (await Promise.race([answer, late.reached])).result;
    } catch (error) {
      throw error instanceof Overloaded ? new LookUpUnavailable("too many look-ups wait") : error;
    } finally {
      late.cancel();
    }
  };
}

/** A time limit that rejects when it is reached, unless it is cancelled. */
function waitFor(timeoutMs: number) {
  let timer: NodeJS.Timeout | undefined;
  const reached = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new LookUpUnavailable(`expected an answer within ${timeoutMs} ms, got none`)),
      timeoutMs,
    );
  });
  return { reached, cancel: () => clearTimeout(timer) };
}
