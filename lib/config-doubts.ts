/**
 * Finds settings that are usable, but probably not meant. They are said in the log at start, and nothing else follows: a setting
 * may be newer than the release that reads it, for example a key that names a stream to come.
 */
import type { Config } from "./config.ts";

export interface Doubt {
  setting: string;
  reason: string;
}

type Doubtful = Pick<Config, "apiKeys" | "drainPaused" | "flushTrigger" | "flushThreshold" | "batchMaxRows">;

/** Finds the doubtful settings of a release with these streams. */
export function doubtsOf(config: Doubtful, streams: Pick<ReadonlyMap<string, unknown>, "has">): Doubt[] {
  const unknown = (names: Iterable<string>) => [...names].filter((name) => !streams.has(name));
  const doubts: Doubt[] = unknown(config.drainPaused).map((name) => ({
    setting: "DRAIN_PAUSED",
    reason: `this release has no stream "${name}"`,
  }));
  for (const key of config.apiKeys)
    for (const name of unknown(key.streams ?? []))
      doubts.push({
        setting: "INGEST_API_KEYS",
        reason: `the key "${key.name}" may use the stream "${name}", which this release does not have`,
      });
  if (config.flushTrigger !== "off" && config.flushThreshold < config.batchMaxRows)
    doubts.push({
      setting: "FLUSH_THRESHOLD",
      reason: `it is less than BATCH_MAX_ROWS (${config.batchMaxRows}), so the first eager flushes find no full batch`,
    });
  return doubts;
}
