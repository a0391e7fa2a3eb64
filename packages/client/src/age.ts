/**
 * How old an event is, by Spillway's clock alone: this device's may be wrong, and may be set. An answer's `Date` marks the events that
 * wait when it comes. An event's age is the time between its mark and a later answer's `Date`: never more than it really is.
 */
import type { StoredEvent } from "./store.ts";

/** Whether an event that was marked is too old. */
export const isExpired = ({ seenAt }: StoredEvent, dateMs: number, keepMs: number): boolean =>
  dateMs - seenAt > keepMs;

/** Marks the events that no answer has marked before, and returns these. */
export function markSeen(events: readonly { stored: StoredEvent }[], dateMs: number): StoredEvent[] {
  const unmarked = events.map(({ stored }) => stored).filter(({ seenAt }) => !seenAt);
  for (const event of unmarked) event.seenAt = dateMs;
  return unmarked;
}
