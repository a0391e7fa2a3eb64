/** Measures the lists of a few partitions by samples, for the doctor: one round trip, and 2 to 5 commands for each list. */
import type { Redis } from "@upstash/redis";
import { readScript } from "./lua-scripts.ts";
import { type Partition, pendingKey, sealedKey } from "./redis-keys.ts";

/** One list; `bytes` is exact for a short one, else an estimate by a sample. */
export interface ListSize extends Partition {
  list: "pending" | "sealed";
  depth: number;
  bytes: number;
}

const RUN_LENGTH = 64;
const script = readScript("measure");

/** Measures pending and sealed of each partition. */
export async function measureLists(
  redis: Pick<Redis, "pipeline">,
  partitions: readonly Partition[],
): Promise<ListSize[]> {
  if (partitions.length === 0) return [];
  const lists = partitions.flatMap((one) => [
    { ...one, list: "pending" as const, key: pendingKey(one) },
    { ...one, list: "sealed" as const, key: sealedKey(one) },
  ]);
  const pipeline = redis.pipeline();
  for (const { key } of lists) pipeline.eval(script, [key], [String(RUN_LENGTH)]);
  const replies = await pipeline.exec<[number, number, number][]>();
  return lists.map(({ key: _, ...one }, i) => {
    const [depth, count, bytes] = replies[i] ?? [0, 0, 0];
    return { ...one, depth, bytes: count === 0 ? 0 : Math.round((depth * bytes) / count) };
  });
}
