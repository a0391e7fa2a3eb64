/**
 * Keeps events in the files of a folder, for Node: they outlive the process, and a SIGKILL. An event is written before `send` returns; it is
 * not flushed to the disk, so a power cut may lose the last seconds.
 *
 * `OWNER~SEGMENT.log` has up to about a hundred events of the queue OWNER: a line of JSON each, and a line `-KEY` for one that has ended. A
 * line that a kill cut short counts for nothing. A segment is taken over by `rename`, so one process gets it; an owner that still lives
 * sees that the path is gone, and writes the event again. `OWNER.beat` has the queue's beat. Processes share nothing else.
 */
import {
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import type { QueueBeat, Store, StoredEvent } from "../store.ts";

const SEGMENT_MAX_EVENTS = 100;
const SEGMENT_MAX_BYTES = 60_000;

/** Makes a store in this folder, which it creates. One process may have several clients, and several processes one folder. */
export function files(dir: string): Store {
  return new FileStore(dir);
}

/** A file that events are added to. */
interface OpenSegment {
  path: string;
  fd: number;
  events: number;
  bytes: number;
}

/** What this process knows of a queue of its own. */
interface OwnQueue {
  segments: number;
  open: OpenSegment | undefined;
  /** Where each event is. */
  pathOf: Map<string, string>;
  /** How many events each file has. */
  eventsIn: Map<string, number>;
}

class FileStore implements Store {
  readonly #dir: string;
  readonly #own = new Map<string, OwnQueue>();

  constructor(dir: string) {
    this.#dir = dir;
  }

  put(queue: string, events: readonly StoredEvent[]): void {
    const own = this.#ownQueue(queue);
    const path = this.#append(queue, own, events);
    const old = events.filter(({ key }) => own.pathOf.has(key)).map(({ key }) => key);
    this.#forget(own, old, path);
    for (const { key } of events) own.pathOf.set(key, path);
    own.eventsIn.set(path, (own.eventsIn.get(path) ?? 0) + events.length);
  }

  remove(queue: string, keys: readonly string[]): void {
    this.#forget(this.#ownQueue(queue), keys);
  }

  beat(queue: string, beat: string): void {
    mkdirSync(this.#dir, { recursive: true });
    const path = this.#beatPath(queue);
    writeFileSync(`${path}.new`, beat);
    renameSync(`${path}.new`, path);
  }

  queues(): QueueBeat[] {
    const queues = new Set<string>();
    for (const name of this.#names()) {
      const queue = /^([^~]+)~.*\.log$/.exec(name)?.[1] ?? /^([^~]+)\.beat$/.exec(name)?.[1];
      if (queue) queues.add(queue);
    }
    return [...queues].map((queue) => [queue, this.#beatOf(queue)]);
  }

  take(from: string, beat: string | undefined, to: string): StoredEvent[] {
    if (from === to || this.#beatOf(from) !== beat) return [];
    const own = this.#ownQueue(to);
    const taken = new Map<string, StoredEvent>(); // of two lines with one key the later counts
    const names = this.#names().filter((name) => name.startsWith(`${from}~`) && name.endsWith(".log"));
    for (const name of names.sort()) {
      const path = join(this.#dir, `${to}${name.slice(from.length)}`);
      if (!rename(join(this.#dir, name), path)) continue;
      for (const event of takeSegment(own, path)) taken.set(event.key, event);
    }
    rmSync(this.#beatPath(from), { force: true });
    return [...taken.values()];
  }

  clear(): void {
    for (const name of this.#names())
      if (/\.(log|beat)$/.test(name)) rmSync(join(this.#dir, name), { force: true });
    for (const own of this.#own.values()) close(own);
    this.#own.clear();
  }

  #names(): string[] {
    return existsSync(this.#dir) ? readdirSync(this.#dir) : [];
  }

  #beatPath(queue: string): string {
    return join(this.#dir, `${queue}.beat`);
  }

  #beatOf(queue: string): string | undefined {
    try {
      return readFileSync(this.#beatPath(queue), "utf8");
    } catch {
      return undefined;
    }
  }

  #ownQueue(queue: string): OwnQueue {
    const found = this.#own.get(queue);
    if (found) return found;
    const made: OwnQueue = { segments: 0, open: undefined, pathOf: new Map(), eventsIn: new Map() };
    this.#own.set(queue, made);
    return made;
  }

  /** Writes events to the open segment, and returns its path. Where another process took it meanwhile, writes them again. */
  #append(queue: string, own: OwnQueue, events: readonly StoredEvent[]): string {
    const lines = Buffer.from(events.map((event) => `${JSON.stringify(event)}\n`).join(""));
    for (;;) {
      own.open ??= this.#openSegment(queue, own);
      const { open } = own;
      try {
        writeAll(open.fd, lines);
      } catch (error) {
        close(own); // the segment may end with half a line: the next event goes to another
        throw error;
      }
      open.events += events.length;
      open.bytes += lines.length;
      const isOurs = existsSync(open.path);
      if (!isOurs || open.events >= SEGMENT_MAX_EVENTS || open.bytes >= SEGMENT_MAX_BYTES) close(own);
      if (isOurs) return open.path;
    }
  }

  #openSegment(queue: string, own: OwnQueue): OpenSegment {
    mkdirSync(this.#dir, { recursive: true });
    const name = `${queue}~${queue}.${String(++own.segments).padStart(8, "0")}.log`;
    const path = join(this.#dir, name);
    return { path, fd: openSync(path, "ax"), events: 0, bytes: 0 };
  }

  /**
   * Removes a file whose events have all ended; notes the end of one in a file that has others, save in the file to which it was just
   * written again.
   */
  #forget(own: OwnQueue, keys: readonly string[], again?: string): void {
    const ended = new Map<string, string[]>();
    for (const key of keys) {
      const path = own.pathOf.get(key);
      if (path === undefined) continue;
      own.pathOf.delete(key);
      ended.set(path, [...(ended.get(path) ?? []), key]);
    }
    for (const [path, ends] of ended) {
      const left = (own.eventsIn.get(path) ?? 0) - ends.length;
      own.eventsIn.set(path, left);
      if (left > 0 || path === again) {
        if (path !== again) note(path, ends);
      } else {
        if (own.open?.path === path) close(own);
        own.eventsIn.delete(path);
        rmSync(path, { force: true });
      }
    }
  }
}

/** Reads a segment that was just taken over, and returns its events. */
function takeSegment(own: OwnQueue, path: string): StoredEvent[] {
  const events = eventsOf(readFileSync(path, "utf8"));
  for (const { key } of events) own.pathOf.set(key, path);
  if (events.length > 0) own.eventsIn.set(path, events.length);
  else rmSync(path, { force: true });
  return events;
}

function eventsOf(text: string): StoredEvent[] {
  const events = new Map<string, StoredEvent>();
  for (const line of text.split("\n")) {
    if (line.startsWith("-")) events.delete(line.slice(1));
    else if (line !== "") readLine(line, events);
  }
  return [...events.values()];
}

function readLine(line: string, events: Map<string, StoredEvent>): void {
  try {
    const event = JSON.parse(line) as StoredEvent;
    events.set(event.key, event);
  } catch {
    // A kill cut it short, so its `kept` had not resolved.
  }
}

function close(own: OwnQueue): void {
  if (own.open) closeSync(own.open.fd);
  own.open = undefined;
}

function writeAll(fd: number, bytes: Buffer): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done);
}

/** Notes ends in a file, behind a line that a kill may have cut short. If the file is gone, so is what it is noted for. */
function note(path: string, keys: readonly string[]): void {
  try {
    const fd = openSync(path, constants.O_WRONLY | constants.O_APPEND);
    writeAll(fd, Buffer.from(`\n${keys.map((key) => `-${key}\n`).join("")}`));
    closeSync(fd);
  } catch {
    // Then its events are sent again under their ids.
  }
}

function rename(from: string, to: string): boolean {
  try {
    renameSync(from, to);
    return true;
  } catch {
    return false; // another process was faster
  }
}
