/**
 * Collects the last refusals of one instance, for people who ask why a sender is refused, and writes them to Redis at most every ten
 * seconds, in the time of a refused request. A flood of refused requests costs a few steps each, and one script in ten seconds.
 *
 * No value of an event is in them: a path keeps the names that the schema declares, and messages come without what they quote.
 */
import { redisFailureOf } from "../buffer/redis-errors.ts";
import { REFUSALS_MAX, type Refusal, type RefusalLists } from "../buffer/refusal-lists.ts";
import type { Log } from "../log.ts";
import { declaredPath } from "../schema/declared-path.ts";
import type { Stream } from "../schema/stream.ts";

const EVERY_MS = 10_000;

/** A refusal as an instance saw it. */
export interface Refused {
  /** undefined: there is no known key. */
  key: string | undefined;
  code: string;
  /** The field, as its sender wrote it; "" for the event or the request itself. */
  path: string;
  /** Without a value of the event. */
  message: string;
  requestId: string;
}

interface Deps {
  lists: Pick<RefusalLists, "note">;
  now: () => number;
  /** A clock that is never set back. */
  monotonicMs: () => number;
  log: Log;
}

type Noted = Refused & { atMs: number };

/** The last refusals of one stream. The next one stands at `count % REFUSALS_MAX`. */
interface Ring {
  last: Noted[];
  count: number;
}

export class Refusals {
  readonly #deps: Deps;
  #rings = new Map<Stream | undefined, Ring>();
  #dueAtMs = Number.NEGATIVE_INFINITY;
  #isWriting = false;

  constructor(deps: Deps) {
    this.#deps = deps;
  }

  /** Notes a refusal. `stream` undefined: the request named no known stream, or showed no known key. */
  note(stream: Stream | undefined, { key, code, path, message, requestId }: Refused): void {
    const ring = this.#rings.get(stream) ?? ringOf([]);
    this.#rings.set(stream, ring);
    const atMs = this.#deps.now();
    ring.last[ring.count % REFUSALS_MAX] = { atMs, key, code, path, message, requestId };
    ring.count += 1;
  }

  /** Writes what was noted, if that is due; undefined: it is not. The caller waits for it before it answers. Never rejects. */
  writeIfDue(): Promise<void> | undefined {
    if (this.#rings.size === 0 || this.#isWriting || this.#deps.monotonicMs() < this.#dueAtMs)
      return undefined;
    return this.#write();
  }

  /** What could not be written is written next time. If Redis had it and only the answer was lost, the reader finds it twice. */
  async #write(): Promise<void> {
    const { lists, monotonicMs, log } = this.#deps;
    this.#isWriting = true;
    const rings = this.#rings;
    this.#rings = new Map();
    try {
      await lists.note(new Map([...rings].map(([stream, ring]) => [stream?.name, textsOf(stream, ring)])));
    } catch (error) {
      for (const [stream, ring] of rings)
        this.#rings.set(stream, ringOf([...inOrder(ring), ...inOrder(this.#rings.get(stream))]));
      log.warn("refusals.not-written", { reason: redisFailureOf(error) });
    } finally {
      this.#dueAtMs = monotonicMs() + EVERY_MS;
      this.#isWriting = false;
    }
  }
}

function ringOf(refusals: readonly Noted[]): Ring {
  const last = refusals.slice(-REFUSALS_MAX);
  return { last, count: last.length };
}

/** The oldest first. */
function inOrder(ring: Ring | undefined): Noted[] {
  if (ring === undefined) return [];
  const first = ring.count % ring.last.length;
  return [...ring.last.slice(first), ...ring.last.slice(0, first)];
}

const textsOf = (stream: Stream | undefined, ring: Ring): string[] =>
  inOrder(ring).map(({ atMs, key = null, path, ...rest }) => {
    const at = new Date(atMs).toISOString();
    const declared = stream === undefined ? path : declaredPath(stream.schema, path);
    return JSON.stringify({ at, key, path: declared, ...rest } satisfies Refusal);
  });
