/**
 * The registry finds the streams: every file of `lib/streams/` declares one as its default export. Loaded
 * once, when the process starts; a file that declares none, or two of one name, stops the start.
 */
import { readdir } from "node:fs/promises";
import type { Stream } from "./stream.ts";

export type Registry = ReadonlyMap<string, Stream>;

/** Makes a registry of the given streams. Throws where two share a name. */
export function registryOf(streams: readonly Stream[]): Registry {
  const registry = new Map<string, Stream>();
  for (const stream of streams) {
    if (registry.has(stream.name)) throw new Error(`two streams are named "${stream.name}"`);
    registry.set(stream.name, stream);
  }
  return registry;
}

/** Loads every stream of the folder, in the order of their file names. */
export async function loadStreams(folder = new URL("../streams/", import.meta.url)): Promise<Registry> {
  const files = (await readdir(folder)).filter((file) => /\.[jt]s$/.test(file)).sort();
  const streams: Stream[] = [];
  for (const file of files) {
    const module = (await import(new URL(file, folder).href)) as { default?: Stream };
    if (module.default?.checkRow === undefined)
      throw new Error(`lib/streams/${file}: expected a default export made by defineStream`);
    streams.push(module.default);
  }
  return registryOf(streams);
}
