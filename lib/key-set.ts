/**
 * The set of keys that may be used, as Postgres had it at one moment. Redis holds it as a copy, and so does each ingest instance.
 *
 * A generation says how new a set is: the version of the table's last change, and Postgres's clock when it was read.
 */
import type { ApiKey } from "./config.ts";

export interface Generation {
  /** Of the last change of any key, in microseconds; 0: there never was a key. A later change has a greater one. */
  version: number;
  /** When the table was read, by Postgres's clock, in milliseconds. */
  readAtMs: number;
}

export interface KeySet {
  generation: Generation;
  keys: readonly ApiKey[];
}

/** The most keys that may be live at once: each instance holds all of them. */
export const KEYS_MAX = 5000;

export const textOfGeneration = ({ version, readAtMs }: Generation): string => `${version}@${readAtMs}`;

/** Reads the text of a generation; undefined: it is none. */
export function parseGeneration(text: string): Generation | undefined {
  const [, version, readAtMs] = /^(\d{1,16})@(\d{1,16})$/.exec(text) ?? [];
  return version === undefined ? undefined : { version: Number(version), readAtMs: Number(readAtMs) };
}

/**
 * Whether one set is newer than another. A Redis that was restored has an older set, by both. A Postgres that was restored has a
 * lower version at a later time, and one whose clock was set back has a greater version at an earlier time: both are newer.
 */
export const isNewer = (one: Generation, other: Generation): boolean =>
  one.version > other.version || one.readAtMs > other.readAtMs;
