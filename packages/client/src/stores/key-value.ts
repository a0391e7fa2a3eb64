/**
 * Keeps events in a key-value storage such as React Native's AsyncStorage: each event under a key of its own. One app uses it at a time, so what
 * another run left behind is free at once.
 */
import type { QueueBeat, Store, StoredEvent } from "../store.ts";

/** What is needed of a storage. Its methods may be synchronous. */
export interface KeyValueStorage {
  getItem(key: string): Promise<string | null | undefined> | string | null | undefined;
  setItem(key: string, value: string): unknown;
  removeItem(key: string): unknown;
  getAllKeys(): Promise<readonly string[]> | readonly string[];
}

/** Makes a store of the keys that begin with `prefix`. */
export function keyValue(storage: KeyValueStorage, prefix = "spillway"): Store {
  const own = new Map<string, string | undefined>();
  const beingTaken = new Set<string>();
  const writes = new Map<string, Promise<unknown>>();
  const keyOf = (queue: string, key: string) => `${prefix}:${queue}:${key}`;

  function write(key: string, event: StoredEvent): Promise<unknown> {
    const writing = Promise.resolve(storage.setItem(key, JSON.stringify(event)));
    const end = () => {
      if (writes.get(key) === writing) writes.delete(key);
    };
    writing.then(end, end);
    writes.set(key, writing);
    return writing;
  }

  /** Removes a key once what is being written under it is written. */
  async function removeKey(key: string): Promise<void> {
    await writes.get(key)?.catch(() => {});
    await storage.removeItem(key);
  }

  /** The queue and the key of each event. */
  async function listed(): Promise<[queue: string, key: string][]> {
    const keys = (await storage.getAllKeys()).filter((key) => key.startsWith(`${prefix}:`));
    return keys.sort().map((key) => key.slice(prefix.length + 1).split(":") as [string, string]);
  }

  async function read(queue: string, key: string): Promise<StoredEvent | undefined> {
    try {
      return JSON.parse((await storage.getItem(keyOf(queue, key))) ?? "") as StoredEvent;
    } catch {
      return undefined; // it is gone, or no event
    }
  }

  return {
    async put(queue, events) {
      if (!own.has(queue)) own.set(queue, undefined);
      await Promise.all(events.map((event) => write(keyOf(queue, event.key), event)));
    },
    async remove(queue, keys) {
      await Promise.all(keys.map((key) => removeKey(keyOf(queue, key))));
    },
    beat: (queue, beat) => void own.set(queue, beat),
    async queues() {
      const queues = new Set([...(await listed()).map(([queue]) => queue), ...own.keys()]);
      return [...queues].map((queue): QueueBeat => [queue, own.has(queue) ? own.get(queue) : ""]);
    },
    async take(from, beat, to) {
      const isChanged = beat !== (own.has(from) ? own.get(from) : "");
      if (from === to || isChanged || beingTaken.has(from)) return [];
      own.delete(from);
      beingTaken.add(from);
      const taken: StoredEvent[] = [];
      for (const [queue, key] of await listed()) {
        const event = queue === from ? await read(queue, key) : undefined;
        if (!event) continue;
        await write(keyOf(to, key), event);
        await removeKey(keyOf(from, key));
        taken.push(event);
      }
      beingTaken.delete(from);
      return taken;
    },
    async clear() {
      await Promise.all((await listed()).map(([queue, key]) => removeKey(keyOf(queue, key))));
      own.clear();
    },
  };
}
