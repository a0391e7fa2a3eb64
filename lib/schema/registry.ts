/**
 * The registry finds the streams: every .ts or .js file of your folder of streams declares one as its default export. It is loaded
 * once, when the process starts. The process does not start if a file declares no stream, if two streams share a name or a
 * table, or if a table has a name that is reserved for ours. An empty or missing folder gives a registry without streams.
 */
import { readdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { getTableConfig } from "drizzle-orm/pg-core";
import { otherDrizzle } from "./one-copy.ts";
import type { Stream } from "./stream.ts";

export type Registry = ReadonlyMap<string, Stream>;

/** Names that are reserved for Spillway's own tables and indexes, now and later, in the schema in which they are. */
const OUR_NAMES = /^(?:(?:api_keys|dead_letters|spillway)(?:_|$)|pg_)/;

/** The names of Spillway's own streams (lib/store/usage-stream.ts and rollout-stream.ts). */
const INTERNAL = new Set(["spillway_usage", "spillway_rollouts"]);

/** Whether a stream of this name is Spillway's own: senders don't know it, and operators see it only if something of it waits or failed. */
export const isInternal = (name: string): boolean => INTERNAL.has(name);

/** The streams of a release together with Spillway's own, which are drained like any other. */
export const withInternal = (streams: Registry, own: readonly Stream[]): Registry =>
  new Map([...streams, ...own.map((stream) => [stream.name, stream] as const)]);

/**
 * Makes a registry of the given streams. Throws if two share a name; if two share a table, unless it is somebody else's to both; or if a
 * stream or a table has a reserved name.
 */
export function registryOf(streams: readonly Stream[]): Registry {
  const registry = new Map<string, Stream>();
  const byTable = new Map<string, Stream>();
  for (const stream of streams) {
    const other = otherDrizzle(stream.table);
    if (other !== undefined) throw new Error(`stream "${stream.name}": ${other}`);
    const { schema, name } = getTableConfig(stream.table);
    if (isInternal(stream.name))
      throw new Error(
        `stream "${stream.name}": expected another name, because Spillway has a stream of its own of this name`,
      );
    if (schema === undefined && OUR_NAMES.test(name))
      throw new Error(
        `stream "${stream.name}": expected a table whose name does not begin with api_keys, dead_letters or spillway, as Spillway's own tables do, or with pg_, as Postgres's do, got ${name}`,
      );
    if (registry.has(stream.name)) throw new Error(`two streams are named "${stream.name}"`);
    const table = JSON.stringify([schema, name]);
    const before = byTable.get(table);
    if (before !== undefined && !(before.existing && stream.existing))
      throw new Error(
        `streams "${before.name}" and "${stream.name}" share the table ${name}: expected a table for each, or existing: true in both`,
      );
    byTable.set(table, stream);
    registry.set(stream.name, stream);
  }
  return registry;
}

/** Loads every stream of the folder, in the order of the file names. */
export async function loadStreams(folder: URL): Promise<Registry> {
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
