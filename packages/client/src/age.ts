/**
 * How old an event is, by Spillway's clock alone: this device's may be wrong, and may be set. An answer's `Date` marks the events that
 * wait when it comes. An event's age is the time between its mark and a later answer's `Date`: never more than it really is.
 */
import type { StoredEvent } from "./store.ts";

export const isExpired = (event: Pick<StoredEvent, "seenAt">, dateMs: number, keepMs: number): boolean =>
  event.seenAt > 0 && dateMs - event.seenAt > keepMs;

/** Marks the events that no answer has marked before, and returns these. */
export function markSeen(events: readonly StoredEvent[], dateMs: number): StoredEvent[] {
  const unmarked = events.filter(({ seenAt }) => seenAt === 0);
  for (const event of unmarked) event.seenAt = dateMs;
  return unmarked;
}
