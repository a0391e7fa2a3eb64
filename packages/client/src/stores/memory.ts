/** Keeps events in the memory of this process: they are gone when it ends. */
import type { QueueBeat, Store, StoredEvent } from "../store.ts";

/** Makes a store in memory. Clients that are given the same one share it. */
export function memory(): Store {
  const queues = new Map<string, Map<string, StoredEvent>>();
  const beats = new Map<string, string>();
  const queueOf = (queue: string) => {
    const found = queues.get(queue) ?? new Map<string, StoredEvent>();
    queues.set(queue, found);
    return found;
  };
  const remove = (queue: string, keys: readonly string[]) => {
    const events = queueOf(queue);
    for (const key of keys) events.delete(key);
    if (events.size === 0) queues.delete(queue);
  };
  return {
    put(queue, events) {
      const own = queueOf(queue);
      for (const event of events) own.set(event.key, event);
    },
    remove,
    beat: (queue, beat) => void beats.set(queue, beat),
    queues: () =>
      [...new Set([...queues.keys(), ...beats.keys()])].map((queue): QueueBeat => [queue, beats.get(queue)]),
    take(from, beat, to) {
      if (beats.get(from) !== beat || from === to) return [];
      const events = [...(queues.get(from)?.values() ?? [])];
      for (const event of events) queueOf(to).set(event.key, event);
      queues.delete(from);
      beats.delete(from);
      return events;
    },
    clear() {
      queues.clear();
      beats.clear();
    },
  };
}
