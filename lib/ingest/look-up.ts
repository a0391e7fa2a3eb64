/**
 * Looks events up in Postgres, for many requests at once. One query of this instance runs at a time, over all streams: requests
 * that come meanwhile share the next query of their stream, and the streams take turns. So look-ups never take the connections
 * that write-through needs, however many come.
 *
 * Each request is answered within a time limit, and the number of ids that wait is bounded.
 */
import { deadlineIn, TooLate, waitUntil } from "../flow/deadline.ts";
import { GroupCommit, Overloaded, type Take } from "../flow/group-commit.ts";
import { oneAtATime } from "../flow/one-at-a-time.ts";
import type { Stream } from "../schema/stream.ts";
import type { Found, Store } from "../store/store.ts";
import { tableNameOf } from "../store/stream-table.ts";
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

/** Makes the one way in which this instance looks events up. A request waits for `timeoutMs` at most. */
export function createLookUp(store: Pick<Store, "find">, timeoutMs: number) {
  const inTurn = oneAtATime();
  const groups = new Map<string, GroupCommit<string, Found>>();

  async function find(stream: Stream, ids: readonly string[]): Promise<Found> {
    try {
      return await store.find(stream, [...new Set(ids)]);
    } catch (error) {
      throw new LookUpUnavailable(stoppedBy(error, tableNameOf(stream)).reason);
    }
  }

  function groupOf(stream: Stream): GroupCommit<string, Found> {
    const known = groups.get(stream.name);
    if (known) return known;
    const group = new GroupCommit((take: Take<string>) => find(stream, take()), {
      ...{ maxCount: QUERY_MAX_IDS, maxBytes: QUERY_MAX_IDS, maxWaitingBytes: WAITING_MAX_IDS },
      ...{ concurrency: 1, inTurn },
    });
    groups.set(stream.name, group);
    return group;
  }

  /** Finds the events under these row ids. Throws LookUpUnavailable. */
  return async function lookUp(stream: Stream, ids: readonly string[]): Promise<Found> {
    const deadlineAtMs = deadlineIn(timeoutMs);
    try {
      const adding = groupOf(stream).add(ids, ids.length, deadlineAtMs); // an id counts as a byte
      const answer = await waitUntil(deadlineAtMs, adding);
      if (answer === "late") throw new TooLate();
      return answer.result;
    } catch (error) {
      if (error instanceof Overloaded) throw new LookUpUnavailable("too many look-ups wait");
      if (error instanceof TooLate)
        throw new LookUpUnavailable(`expected an answer within ${timeoutMs} ms, got none`);
      throw error;
    }
  };
}
