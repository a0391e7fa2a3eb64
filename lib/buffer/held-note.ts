/**
 * The note in Redis that `dead_letters` has held letters, and when the next of them is due. The tick's one EXISTS covers it, and
 * Postgres is asked only if it exists and is due.
 */
import { randomUUID } from "node:crypto";
import type { Redis } from "@upstash/redis";
import { readScript } from "./lua-scripts.ts";
import { HELD_KEY } from "./redis-keys.ts";

/** The pause before a letter's first retry, in milliseconds (lib/store/pause.ts has the same in SQL). */
const FIRST_PAUSE_MS = 60_000;

/** The note as it was read. */
export interface HeldNote {
  /** When the next held letter is due, by the clock of whoever wrote it. */
  dueAtMs: number;
  /** The release that last tried the letters that were due; undefined: none has yet. */
  release: string | undefined;
  /** Names what was read: `settle` changes nothing if somebody has held a letter since. */
  name: string;
}

/** The fields of the note, in the order in which `parseHeldNote` wants them. */
export const HELD_FIELDS = ["dueAtMs", "name", "release"] as const;

/** Stands for a note that is no note of ours: it counts as due, and `settle` makes it anew. */
export const BROKEN_NOTE: HeldNote = { dueAtMs: 0, name: "", release: undefined };

/** Reads the note; undefined if there is none. */
export function parseHeldNote(reply: readonly (string | null)[]): HeldNote | undefined {
  if (reply.every((field) => field === null)) return undefined;
  const [dueAtMs, name, release] = reply;
  if (!dueAtMs || !name || Number.isNaN(Number(dueAtMs))) return BROKEN_NOTE;
  return { dueAtMs: Number(dueAtMs), name, release: release ?? undefined };
}

export type HeldNotes = ReturnType<typeof createHeldNotes>;

/** Makes the moves of the note. Errors of the client pass through. */
export function createHeldNotes(redis: Pick<Redis, "createScript">, now: () => number = Date.now) {
  const noteScript = redis.createScript<number>(readScript("note-held"));
  const settleScript = redis.createScript<number>(readScript("settle-held"));

  /** Says that a letter is held from now on. May be repeated. */
  async function note(): Promise<void> {
    await noteScript.exec([HELD_KEY], [String(now() + FIRST_PAUSE_MS), randomUUID()]);
  }

  /**
   * Says when the next letter is due, or with undefined that none is held, and that `release` has tried those that were due.
   * Changes nothing if a letter was held since `read` was read.
   */
  async function settle(read: HeldNote, dueInMs: number | undefined, release: string): Promise<void> {
    if (read === BROKEN_NOTE) return note();
    const dueAtMs = dueInMs === undefined ? "" : String(Math.ceil(now() + dueInMs));
    await settleScript.exec([HELD_KEY], [read.name, dueAtMs, randomUUID(), release]);
  }

  return { note, settle };
}
