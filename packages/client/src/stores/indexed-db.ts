/**
 * Keeps events in IndexedDB: they outlive the page, the browser and a crash. Tabs of an origin share the store by its transactions.
 *
 * What one task writes is one transaction. It begins in that task, and is committed explicitly when the task ends: a page that is
 * closed at once would lose a transaction that waits for the event loop.
 */
import type { QueueBeat, Store, StoredEvent } from "../store.ts";
import { later } from "../timer.ts";

/** How long a database may take to open: a browser may never answer. */
const OPEN_MAX_MS = 10_000;
/** The one object store: a queue's events under [queue, key], its beat under [queue, ""]. */
const EVENTS = "events";

type Put = (events: IDBObjectStore) => void;

/** Makes a store in the database of this name, which it creates. */
export function indexedDb(name = "spillway"): Store {
  let opening: Promise<IDBDatabase> | undefined;
  let db: IDBDatabase | undefined;
  /** The transaction of the task that runs now. */
  let current: { events: IDBObjectStore; done: Promise<void> } | undefined;

  const opened = (): Promise<IDBDatabase> => {
    opening ??= open(name).then((found) => {
      db = found;
      return found;
    });
    return opening;
  };

  /** Does the work in the transaction of this task; if the database is not open yet, as soon as it is. */
  const write = (work: Put): Promise<void> =>
    db ? inTransaction(db, work) : opened().then((found) => inTransaction(found, work));

  function inTransaction(found: IDBDatabase, work: Put): Promise<void> {
    current ??= begin(found);
    work(current.events);
    return current.done;
  }

  function begin(found: IDBDatabase) {
    const begun = transactionOf(found);
    queueMicrotask(() => {
      current = undefined;
      begun.commit();
    });
    return begun;
  }

  return {
    put: (queue, stored) =>
      write((events) => {
        for (const event of stored) events.put(event, [queue, event.key]);
      }),
    remove: (queue, keys) =>
      write((events) => {
        for (const key of keys) events.delete([queue, key]);
      }),
    beat: (queue, beat) => write((events) => void events.put(beat, [queue, ""])),
    clear: () => write((events) => void events.clear()),

    async queues() {
      const { events } = transactionOf(await opened(), "readonly");
      const keys = (await resultOf(events.getAllKeys())) as [string, string][];
      const queues = [...new Set(keys.map(([queue]) => queue))];
      return Promise.all(
        queues.map(async (one): Promise<QueueBeat> => [one, await resultOf(events.get([one, ""]))]),
      );
    },

    async take(from, beat, to) {
      const { events, done, commit } = transactionOf(await opened());
      const range = IDBKeyRange.bound([from], [from, []]); // an array sorts after each text
      const found: unknown[] = await resultOf(events.getAll(range));
      const foundBeat = typeof found[0] === "string" ? found.shift() : undefined;
      if (foundBeat !== beat || from === to) return [];
      const taken = found as StoredEvent[];
      events.delete(range);
      for (const event of taken) events.put(event, [to, event.key]);
      commit();
      await done;
      return taken;
    },
  };
}

function open(name: string): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    later(OPEN_MAX_MS, reject);
    const request = indexedDB.open(name, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(EVENTS);
    request.onsuccess = () => {
      const db = request.result;
      db.onversionchange = () => db.close(); // a newer release in another tab
      resolve(db);
    };
    request.onerror = reject;
  });
}

const resultOf = <T>(request: IDBRequest<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = reject;
  });

function transactionOf(db: IDBDatabase, mode: IDBTransactionMode = "readwrite") {
  const tx = db.transaction(EVENTS, mode);
  const done = new Promise<void>((resolve, reject) => {
    tx.oncomplete = () => resolve();
    tx.onabort = reject;
  });
  done.catch(() => {}); // whoever waits hears it; it is no unhandled rejection of the page
  /** Does not wait for the event loop. Browsers before 2021 commit by themselves. */
  const commit = () => {
    try {
      tx.commit?.();
    } catch {
      // It was aborted, and has said so.
    }
  };
  return { events: tx.objectStore(EVENTS), done, commit };
}
