/** The events that wait: each stream's in a lane of its own, in the order in which they were sent. Knows how much they are, and picks batches. */
import { Chain, type Link } from "./chain.ts";
import type { BatchLimits } from "./options.ts";
import type { Outcome } from "./outcome.ts";
import type { StoredEvent } from "./store.ts";

export interface WaitingEvent {
  stored: StoredEvent;
  /** Of its JSON with the comma that parts it from the next: at most. */
  bytes: number;
  /** Its place in the order of all events. */
  seq: number;
  /** When it began to wait in this process, by the monotonic clock. */
  sinceMs: number;
  isInFlight?: boolean;
  /** It is sent in a request of its own, because a batch with it was refused as a whole. */
  isSingle?: boolean;
  /** Hears its end. */
  onEnd?: (outcome: Outcome) => void;
  /** Where it stands in its lane, while it waits. */
  link?: Link<WaitingEvent> | undefined;
}

/** One stream's events. It has at most one request in flight, unless the page is about to go. */
export interface Lane {
  readonly chain: Chain<WaitingEvent>;
  events: number;
  bytes: number;
  requests: number;
  /** No request before this moment of the monotonic clock, because Spillway refuses this stream to the key. */
  heldUntilMs: number;
}

/** Picks the next batch: the oldest events that may share a request; none if all are in flight. */
export function pickBatch({ chain }: Lane, most: Pick<BatchLimits, "events" | "bytes">): WaitingEvent[] {
  const batch: WaitingEvent[] = [];
  let bytes = 1; // the brackets, less the last comma
  for (const event of chain) {
    if (event.isInFlight) continue;
    const first = batch[0] ?? event;
    const isApart = first.isSingle || event.isSingle || event.stored.ack !== first.stored.ack;
    const isOver = batch.length >= most.events || bytes + event.bytes > most.bytes;
    if (event !== first && (isApart || isOver)) break;
    batch.push(event);
    bytes += event.bytes;
  }
  return batch;
}

export interface Waiting {
  readonly lanes: ReadonlyMap<string, Lane>;
  add(event: WaitingEvent): void;
  /** Takes an event out. Returns false if it was out before. */
  take(event: WaitingEvent): boolean;
  sum(of: "events" | "bytes"): number;
  /** The oldest event; or the oldest that is not in flight: one in flight may be stored at this moment. */
  oldest(isIdle?: boolean): WaitingEvent | undefined;
  all(): WaitingEvent[];
}

export function createWaiting(): Waiting {
  const lanes = new Map<string, Lane>();

  function laneOf({ stored: { stream } }: WaitingEvent): Lane {
    const lane = lanes.get(stream) ?? {
      chain: new Chain(),
      events: 0,
      bytes: 0,
      requests: 0,
      heldUntilMs: 0,
    };
    lanes.set(stream, lane);
    return lane;
  }

  return {
    lanes,
    add(event) {
      const lane = laneOf(event);
      event.link = lane.chain.add(event);
      lane.events++;
      lane.bytes += event.bytes;
    },
    take(event) {
      if (!event.link) return false;
      const lane = laneOf(event);
      lane.chain.remove(event.link);
      event.link = undefined;
      lane.events--;
      lane.bytes -= event.bytes;
      return true;
    },
    sum(of) {
      let sum = 0;
      for (const lane of lanes.values()) sum += lane[of];
      return sum;
    },
    oldest(isIdle) {
      let oldest: WaitingEvent | undefined;
      for (const { chain } of lanes.values())
        for (const event of chain) {
          if (isIdle && event.isInFlight) continue;
          if (!oldest || event.seq < oldest.seq) oldest = event;
          break;
        }
      return oldest;
    },
    all: () => [...lanes.values()].flatMap(({ chain }) => [...chain]),
  };
}
