/**
 * The port of a store: where events wait until they are settled. A store is shared by tabs or processes. Each has a queue of its own
 * in it, and may take over the queue of one that is gone.
 *
 * A method may throw or reject: the client then keeps the events in memory. It may return nothing if it is done when it returns.
 */

/** An event as it waits. */
export interface StoredEvent {
  /** Unique in the store; keys of one queue sort in the order in which the events were sent. */
  key: string;
  stream: string;
  id: string;
  /** Its JSON, fixed when it was sent. */
  body: string;
  /** Absent: the stream's own. */
  ack?: "stored" | undefined;
  /** The earliest `Date` of an answer that came while it waited, in milliseconds; 0: none has come. */
  seenAt: number;
}

export interface Store {
  /** Adds events to a queue, or replaces those of the same key: each whole or not at all. The write begins before this returns. */
  put(queue: string, events: readonly StoredEvent[]): unknown;
  /** Takes events out of a queue. Those that are not there are ignored. */
  remove(queue: string, keys: readonly string[]): unknown;
  /** Sets a queue's beat: a value that it did not have before says that its owner lives; "" says that anyone may take it over. */
  beat(queue: string, beat: string): unknown;
  /** Returns the queues that hold events or have a beat. */
  queues(): Promise<readonly QueueBeat[]> | readonly QueueBeat[];
  /**
   * Moves the events of a queue to another if the first one's beat is still `beat`, returns them in their order, and forgets the first
   * queue's beat. If several do so at the same time, each event goes to one of them.
   */
  take(from: string, beat: string | undefined, to: string): Promise<StoredEvent[]> | StoredEvent[];
  /** Takes all events out of all queues. */
  clear(): unknown;
}

export type QueueBeat = readonly [queue: string, beat: string | undefined];
