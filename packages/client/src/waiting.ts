/** The events that wait: each stream's in a lane of its own, in the order in which they were sent. Knows how much they are, and picks batches. */
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
  /** Where it waits; undefined: it waits no more. */
  lane?: Lane | undefined;
  /** Its neighbours in the lane. */
  before?: WaitingEvent | undefined;
  after?: WaitingEvent | undefined;
}

/**
 * One stream's events, as a list that may lose any of them in constant time. It has at most one request in flight, unless the page is about to
 * go.
 */
export interface Lane {
  first?: WaitingEvent | undefined;
  last?: WaitingEvent | undefined;
  events: number;
  bytes: number;
  requests: number;
  /** No request before this moment of the monotonic clock, because Spillway refuses this stream to the key. */
  heldUntilMs: number;
}

/** An event that is reached may be taken out meanwhile. */
function* eventsOf({ first }: Lane): Generator<WaitingEvent> {
  for (let event = first; event; event = event.after) yield event;
}

/** Picks the next batch: the oldest events that may share a request; none if all are in flight. */
export function pickBatch(lane: Lane, most: Pick<BatchLimits, "events" | "bytes">): WaitingEvent[] {
  const batch: WaitingEvent[] = [];
  let bytes = 1; // the brackets, less the last comma
  for (const event of eventsOf(lane)) {
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

  return {
    lanes,
    add(event) {
      const { stream } = event.stored;
      const lane: Lane = lanes.get(stream) ?? { events: 0, bytes: 0, requests: 0, heldUntilMs: 0 };
      const { last } = lane;
      lanes.set(stream, lane);
      event.lane = lane;
      event.before = last;
      if (last) last.after = event;
      else lane.first = event;
      lane.last = event;
      lane.events++;
      lane.bytes += event.bytes;
    },
    take(event) {
      const { lane, before, after } = event;
      if (!lane) return false;
      if (before) before.after = after;
      else lane.first = after;
      if (after) after.before = before;
      else lane.last = before;
      event.lane = undefined;
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
      for (const lane of lanes.values())
        for (const event of eventsOf(lane)) {
          if (isIdle && event.isInFlight) continue;
          if (!oldest || event.seq < oldest.seq) oldest = event;
          break;
        }
      return oldest;
    },
    all: () => [...lanes.values()].flatMap((lane) => [...eventsOf(lane)]),
  };
}
