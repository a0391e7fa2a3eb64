/**
 * Keeps events in IndexedDB: they outlive the page, the browser and a crash. Tabs of an origin share the store by its transactions.
 *
 * What one task writes is one transaction. It begins in that task, and is committed explicitly when the task ends: a page that is
 * closed at once would lose a transaction that waits for the event loop, or behind one that does. So no transaction writes what it has
 * read: a takeover reads in one and moves in the next. The move adds the number after the last one that was read, as a key of its own;
 * so of two that read the same, the second is aborted.
 */
import type { QueueBeat, Store, StoredEvent } from "../store.ts";
import { later } from "../timer.ts";

/** How long a database may take to open: a browser may never answer. */
const OPEN_MAX_MS = 10_000;
/** The one object store: a queue's events under [queue, key], its beat under [queue, ""], and numbers of the last moves. */
const EVENTS = "events";

/** How many events one transaction moves. A write of a page that goes is lost if it waits long behind another. */
const PIECE_EVENTS = 25;

type Put = (events: IDBObjectStore) => void;

/** Makes a store in the database of this name, which it creates. */
export function indexedDb(name = "spillway"): Store {
  let opening: Promise<void> | undefined;
  let db: IDBDatabase | undefined;
  /** The transaction of the task that runs now. */
  let current: { events: IDBObjectStore; done: Promise<unknown> } | undefined;

  const opened = (): Promise<unknown> => {
    opening ??= open(name).then((found) => {
      db = found;
      db.onversionchange = () => found.close(); // a newer release in another tab
    });
    return opening;
  };

  /** Does the work in the transaction of this task; if the database is not open yet, as soon as it is. */
  function write(work: Put): Promise<unknown> {
    const put = () => {
      current ??= begin();
      work(current.events);
      return current.done;
    };
    return db ? put() : opened().then(put);
  }

  /** Begins a transaction of this task's requests: it ends without another word of the page. */
  function begin(mode: IDBTransactionMode = "readwrite") {
    const tx = (db as IDBDatabase).transaction(EVENTS, mode);
    const done = new Promise<unknown>((resolve, reject) => {
      tx.oncomplete = resolve;
      tx.onabort = reject;
    });
    done.catch(() => {}); // whoever waits hears it; it is no unhandled rejection of the page
    queueMicrotask(() => {
      current = undefined;
      tx.commit?.(); // browsers before 2021 commit by themselves
    });
    return { events: tx.objectStore(EVENTS), done };
  }

  /** Asks in a transaction of its own, and resolves to the answers. */
  async function read<Results>(ask: (events: IDBObjectStore) => IDBRequest[]): Promise<Results> {
    await opened();
    return Promise.all(ask(begin("readonly").events).map(resultOf)) as Promise<Results>;
  }

  /** Moves a piece of a queue, and then the next. */
  async function take(from: string, beat: string | undefined, to: string): Promise<StoredEvent[]> {
    const rest = IDBKeyRange.bound([from, ""], [from, []], true); // an array sorts after each text
    const [foundBeat, found, takes] = await read<[string | undefined, StoredEvent[], number[]]>((events) => [
      events.get([from, ""]),
      events.getAll(rest, PIECE_EVENTS),
      events.getAllKeys(IDBKeyRange.upperBound([])), // a number sorts before each array
    ]);
    if (foundBeat !== beat) return [];
    const isLast = found.length < PIECE_EVENTS;
    const last = takes.pop() ?? 0;
    const { events, done } = begin();
    events.add(0, last + 1);
    events.delete(last - 9); // not the last: whoever read before it would not be aborted
    for (const event of found) {
      events.delete([from, event.key]);
      events.put(event, [to, event.key]);
    }
    if (isLast) events.delete([from, ""]);
    return done.then(
      async () => (isLast ? found : found.concat(await take(from, beat, to))),
      () => [], // another was faster
    );
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
      const queues: QueueBeat[] = [];
      for (let after: IDBValidKey = []; ; ) {
        const range = IDBKeyRange.lowerBound(after);
        const [[key], [first]] = await read<[[string, string][], (string | StoredEvent)[]]>((events) => [
          events.getAllKeys(range, 1),
          events.getAll(range, 1),
        ]);
        if (!key) return queues;
        queues.push([key[0], typeof first === "string" ? first : undefined]);
        after = [key[0], []];
      }
    },
    take,
  };
}

function open(name: string): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    later(OPEN_MAX_MS, reject);
    const request = indexedDB.open(name, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(EVENTS);
    resultOf(request).then(resolve, reject);
  });
}

const resultOf = <T>(request: IDBRequest<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = reject;
  });
