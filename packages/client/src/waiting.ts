/**
 * The events that wait, in the order in which they were sent: all of them, and each stream's in a lane of its own. Knows how much they are,
 * and picks batches.
 */
import { Chain, type Link } from "./chain.ts";
import type { StoredEvent } from "./store.ts";

export interface WaitingEvent extends StoredEvent {
  /** Of `body` in UTF-8, with the comma that parts it from the next. */
  bytes: number;
  /** Its place in the order. */
  seq: number;
  /** When it began to wait in this process, by the monotonic clock. */
  sinceMs: number;
  isInFlight: boolean;
  /** It is sent in a request of its own, because a batch with it was refused as a whole. */
  isSingle: boolean;
  /** Where it stands, while it waits: among all, and among its stream's. */
  links: [Link<WaitingEvent>, Link<WaitingEvent>] | undefined;
}

const isIdle = (event: WaitingEvent) => !event.isInFlight;

/** One stream's events. It has at most one request in flight, unless the page is about to go. */
export class Lane {
  readonly stream: string;
  readonly events = new Chain<WaitingEvent>();
  /** How many are not in flight, and their bytes. */
  idle = 0;
  idleBytes = 0;
  requests = 0;
  /** No request before this moment of the monotonic clock, because Spillway refuses this stream to the key. */
  heldUntilMs = 0;

  constructor(stream: string) {
    this.stream = stream;
  }

  /** The oldest event that is not in flight. */
  next(): WaitingEvent | undefined {
    return this.events.find(isIdle);
  }

  /** Picks the next batch: the oldest events that may share a request; none if all are in flight. */
  pick(mostEvents: number, mostBytes: number): WaitingEvent[] {
    const batch: WaitingEvent[] = [];
    let bytes = 1; // the brackets, less the last comma
    for (const event of this.events) {
      if (event.isInFlight) continue;
      const first = batch[0] ?? event;
      const isApart = event !== first && (first.isSingle || event.isSingle || event.ack !== first.ack);
      const isOver = batch.length >= mostEvents || (batch.length > 0 && bytes + event.bytes > mostBytes);
      if (isApart || isOver) break;
      batch.push(event);
      bytes += event.bytes;
    }
    return batch;
  }

  count(event: WaitingEvent, sign: 1 | -1): void {
    this.idle += sign;
    this.idleBytes += sign * event.bytes;
  }
}

export class Waiting {
  readonly lanes = new Map<string, Lane>();
  readonly all = new Chain<WaitingEvent>();
  events = 0;
  bytes = 0;

  laneOf(stream: string): Lane {
    const lane = this.lanes.get(stream) ?? new Lane(stream);
    this.lanes.set(stream, lane);
    return lane;
  }

  add(event: WaitingEvent): void {
    const lane = this.laneOf(event.stream);
    event.links = [this.all.add(event), lane.events.add(event)];
    lane.count(event, 1);
    this.events++;
    this.bytes += event.bytes;
  }

  /** Takes an event out. Returns false if it was out before. */
  take(event: WaitingEvent): boolean {
    if (!event.links) return false;
    const lane = this.laneOf(event.stream);
    this.all.remove(event.links[0]);
    lane.events.remove(event.links[1]);
    event.links = undefined;
    if (!event.isInFlight) lane.count(event, -1);
    this.events--;
    this.bytes -= event.bytes;
    return true;
  }

  /** A request with this batch begins. */
  depart(lane: Lane, batch: readonly WaitingEvent[]): void {
    lane.requests++;
    for (const event of batch) {
      event.isInFlight = true;
      lane.count(event, -1);
    }
  }

  /** The request of a batch has ended: those of it that still wait may be picked again. */
  arrive(lane: Lane, batch: readonly WaitingEvent[]): void {
    lane.requests--;
    for (const event of batch) {
      event.isInFlight = false;
      if (event.links) lane.count(event, 1);
    }
  }

  /** The oldest event that may be given up: one in flight may be stored at this moment. */
  oldestIdle(): WaitingEvent | undefined {
    return this.all.find(isIdle);
  }
}
