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
const EVENTS = "events";
const BEATS = "beats";

/** Makes a store in the database of this name, which it creates. */
export function indexedDb(name = "spillway"): Store {
  return new IndexedDbStore(name);
}

class IndexedDbStore implements Store {
  readonly #name: string;
  #opening: Promise<IDBDatabase> | undefined;
  #db: IDBDatabase | undefined;
  /** The transaction of the task that runs now. */
  #write: { tx: IDBTransaction; done: Promise<void> } | undefined;

  constructor(name: string) {
    this.#name = name;
  }

  put(queue: string, events: readonly StoredEvent[]): Promise<void> {
    return this.#writing((tx) => {
      for (const event of events) tx.objectStore(EVENTS).put(event, [queue, event.key]);
    });
  }

  remove(queue: string, keys: readonly string[]): Promise<void> {
    return this.#writing((tx) => {
      for (const key of keys) tx.objectStore(EVENTS).delete([queue, key]);
    });
  }

  beat(queue: string, beat: string): Promise<void> {
    return this.#writing((tx) => void tx.objectStore(BEATS).put(beat, queue));
  }

  clear(): Promise<void> {
    return this.#writing((tx) => {
      for (const name of [EVENTS, BEATS]) tx.objectStore(name).clear();
    });
  }

  async queues(): Promise<QueueBeat[]> {
    const tx = (await this.#open()).transaction([EVENTS, BEATS]);
    const [keys, queues, beats] = await Promise.all([
      resultOf(tx.objectStore(EVENTS).getAllKeys()),
      resultOf(tx.objectStore(BEATS).getAllKeys()),
      resultOf<string[]>(tx.objectStore(BEATS).getAll()),
    ]);
    const beatOf = new Map(queues.map((queue, place) => [String(queue), beats[place]]));
    const all = new Set([...keys.map((key) => (key as [string, string])[0]), ...beatOf.keys()]);
    return [...all].map((queue) => [queue, beatOf.get(queue)]);
  }

  async take(from: string, beat: string | undefined, to: string): Promise<StoredEvent[]> {
    const tx = (await this.#open()).transaction([EVENTS, BEATS], "readwrite");
    const done = doneOf(tx);
    const events = tx.objectStore(EVENTS);
    const beats = tx.objectStore(BEATS);
    const range = IDBKeyRange.bound([from], [from, []]); // an array sorts after each text
    const [found, taken] = await Promise.all([
      resultOf<string | undefined>(beats.get(from)),
      resultOf<StoredEvent[]>(events.getAll(range)),
    ]);
    const isTaken = found === beat && from !== to;
    if (isTaken) {
      events.delete(range);
      beats.delete(from);
      for (const event of taken) events.put(event, [to, event.key]);
    }
    commit(tx);
    await done;
    return isTaken ? taken : [];
  }

  /** Does the work in the transaction of this task; if the database is not open yet, as soon as it is. */
  #writing(work: (tx: IDBTransaction) => void): Promise<void> {
    return this.#db ? this.#inWrite(this.#db, work) : this.#open().then((db) => this.#inWrite(db, work));
  }

  #inWrite(db: IDBDatabase, work: (tx: IDBTransaction) => void): Promise<void> {
    this.#write ??= this.#begin(db);
    work(this.#write.tx);
    return this.#write.done;
  }

  #begin(db: IDBDatabase) {
    const tx = db.transaction([EVENTS, BEATS], "readwrite");
    queueMicrotask(() => {
      this.#write = undefined;
      commit(tx);
    });
    return { tx, done: doneOf(tx) };
  }

  #open(): Promise<IDBDatabase> {
    this.#opening ??= open(this.#name).then((db) => {
      const forget = () => {
        this.#db = this.#opening = undefined;
      };
      db.onclose = forget;
      db.onversionchange = () => {
        db.close();
        forget();
      };
      this.#db = db;
      return db;
    });
    return this.#opening;
  }
}

function open(name: string): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    later(OPEN_MAX_MS, () => reject(new Error("IndexedDB does not open")));
    const request = indexedDB.open(name, 1);
    request.onupgradeneeded = () => {
      for (const store of [EVENTS, BEATS]) request.result.createObjectStore(store);
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

const resultOf = <T>(request: IDBRequest<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

const doneOf = (tx: IDBTransaction): Promise<void> =>
  new Promise((resolve, reject) => {
    tx.oncomplete = () => resolve();
    tx.onabort = () => reject(tx.error);
  });

/** Does not wait for the event loop. Browsers before 2021 commit by themselves. */
function commit(tx: IDBTransaction): void {
  try {
    tx.commit?.();
  } catch {
    // It was aborted, and has said so.
  }
}
