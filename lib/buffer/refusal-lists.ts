/**
 * The last refusals of each stream, for people: one list a stream, and one for requests that named no known stream or showed no known key.
 * A list holds 100 at most and expires a week after the last one, so that no sender can fill Redis with refusals.
 */
import type { Redis } from "@upstash/redis";
import { readScript } from "./lua-scripts.ts";
import { refusalsKey } from "./redis-keys.ts";

/** How many refusals of a stream are kept. */
export const REFUSALS_MAX = 100;
const KEPT_MS = 7 * 86_400_000;

/** A refusal as people read it: a list holds it as JSON. */
export interface Refusal {
  /** RFC 3339, by the clock of the instance. */
  at: string;
  /** null: there was no known key. */
  key: string | null;
  code: string;
  /** Names that the stream's schema does not declare are `*`. */
  path: string;
  message: string;
  requestId: string;
}

export type RefusalLists = ReturnType<typeof createRefusalLists>;

/** Makes the moves of the lists. Errors of the client pass through. */
export function createRefusalLists(redis: Pick<Redis, "createScript" | "lrange">) {
  const script = redis.createScript<number>(readScript("note-refusals"));

  /** Adds texts, the oldest first, in one atomic step. `undefined` as a stream: no known one. */
  async function note(byStream: ReadonlyMap<string | undefined, readonly string[]>): Promise<void> {
    const lists = [...byStream].filter(([, texts]) => texts.length > 0);
    const args = lists.flatMap(([, texts]) => [String(texts.length), ...texts]);
    const keys = lists.map(([stream]) => refusalsKey(stream));
    await script.exec(keys, [String(REFUSALS_MAX), String(KEPT_MS), ...args]);
  }

  /** Reads a stream's texts, the newest first. */
  const read = (stream: string | undefined): Promise<string[]> =>
    redis.lrange(refusalsKey(stream), 0, REFUSALS_MAX - 1);

  return { note, read };
}
