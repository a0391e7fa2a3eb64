/**
 * The registry finds the streams: every .ts or .js file of `lib/streams/` declares one as its default export. It is loaded
 * once, when the process starts. The process does not start if a file declares no stream, if two streams share a name, or if
 * a stream has a name that is reserved for our tables. An empty or missing folder gives a registry without streams.
 */
import { readdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { Stream } from "./stream.ts";

export type Registry = ReadonlyMap<string, Stream>;

/** Names that are reserved for Spillway's own tables and indexes, now and later. A stream's table may not take one. */
const OUR_NAMES = /^(?:(?:dead_letters|spillway)(?:_|$)|pg_)/;

/** Makes a registry of the given streams. Throws if two share a name, or if one has a reserved name. */
export function registryOf(streams: readonly Stream[]): Registry {
  const registry = new Map<string, Stream>();
  for (const stream of streams) {
    if (OUR_NAMES.test(stream.name))
      throw new Error(
        `stream "${stream.name}": expected a name that does not begin with dead_letters or spillway, as Spillway's own tables do, or with pg_, as Postgres's do`,
      );
    if (registry.has(stream.name)) throw new Error(`two streams are named "${stream.name}"`);
    registry.set(stream.name, stream);
  }
  return registry;
}

/** Loads every stream of the folder, in the order of the file names. */
export async function loadStreams(folder = new URL("../streams/", import.meta.url)): Promise<Registry> {
  const files = (await filesOf(folder)).filter((file) => /\.[jt]s$/.test(file)).sort();
  const streams: Stream[] = [];
  for (const file of files) {
    const module = (await import(new URL(file, folder).href)) as { default?: Stream };
    if (module.default?.checkRow === undefined)
      throw new Error(
        `${fileURLToPath(new URL(file, folder))}: expected a default export made by defineStream`,
      );
    streams.push(module.default);
  }
  return registryOf(streams);
}

async function filesOf(folder: URL): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}
