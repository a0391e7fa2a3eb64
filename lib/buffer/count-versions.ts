/** Counts the versions of the data that waits in partitions: one script each, which sends numbers and no envelopes. */
import type { Redis } from "@upstash/redis";
import { readScript } from "./lua-scripts.ts";
import { listKeys, type Partition } from "./redis-keys.ts";

/** The versions of what waits in some partitions. */
export interface BufferedVersions {
  waiting: number;
  /** How many of them were looked at. */
  lookedAt: number;
  /** How many of these have which version. A text that is not an envelope has none. */
  counts: ReadonlyMap<number, number>;
}

/** Envelopes of each end of a long list that are looked at. */
const END_MAX = 500;
/** Redis copies what a script reads, and serves nobody meanwhile. In bytes, for each end. */
const READ_MAX_BYTES = 2_000_000;

const script = readScript("versions");

/**
 * Looks at what waits in the given partitions, stream by stream: at a list of up to 1,000 envelopes whole, else at 500 of each end, and
 * at fewer if they are large. One round trip; Redis bills 4 commands for a partition, and 1 to 4 for each list that holds something.
 */
export async function countVersions(
  redis: Pick<Redis, "pipeline">,
  partitions: readonly Partition[],
): Promise<ReadonlyMap<string, BufferedVersions>> {
  const all = new Map<string, BufferedVersions>();
  if (partitions.length === 0) return all;
  const pipeline = redis.pipeline();
  for (const one of partitions)
    pipeline.eval(script, listKeys(one), [String(END_MAX), String(READ_MAX_BYTES)]);
  const replies = await pipeline.exec<(number | string)[][]>();
  for (const [i, { stream }] of partitions.entries())
    all.set(stream, add(all.get(stream), (replies[i] ?? []).map(Number)));
  return all;
}

function add(sum: BufferedVersions | undefined, [waiting = 0, lookedAt = 0, ...pairs]: readonly number[]) {
  const counts = new Map(sum?.counts);
  for (let i = 0; i < pairs.length; i += 2) {
    const v = pairs[i] as number;
    counts.set(v, (counts.get(v) ?? 0) + (pairs[i + 1] as number));
  }
  return {
    waiting: (sum?.waiting ?? 0) + waiting,
    lookedAt: (sum?.lookedAt ?? 0) + lookedAt,
    counts,
  };
}
