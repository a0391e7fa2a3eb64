/** Measures lists by samples: one script reads a few runs of a list, and sends back three numbers. */
import type { Redis } from "@upstash/redis";
import { readScript } from "./lua-scripts.ts";
import { type Partition, pendingKey, sealedKey } from "./redis-keys.ts";

/** How much waits in a list. `bytes` is exact for a short list, else an estimate by a sample. */
export interface Measured {
  depth: number;
  bytes: number;
}

/** One list of a partition. */
export interface ListSize extends Partition, Measured {
  list: "pending" | "sealed";
}

type Reply = [depth: number, count: number, bytes: number];

/** Envelopes of each of the three runs by which a long list is measured. */
const RUN_LENGTH = 64;
const ARGS = [String(RUN_LENGTH)];

const script = readScript("measure");

/** Measures what waits in pending. EVAL, and not a kept script: it is rare, so it would be sent again as often as not. */
export async function measurePending(redis: Pick<Redis, "eval">, partition: Partition): Promise<Measured> {
  return measuredOf(await redis.eval<string[], Reply>(script, [pendingKey(partition)], ARGS));
}

/** Measures pending and sealed of each partition: one round trip, and 2 to 5 commands for each list. */
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
  for (const { key } of lists) pipeline.eval(script, [key], ARGS);
  const replies = await pipeline.exec<Reply[]>();
  return lists.map(({ key: _, ...one }, i) => ({ ...one, ...measuredOf(replies[i] ?? [0, 0, 0]) }));
}

const measuredOf = ([depth, count, bytes]: Reply): Measured => ({
  depth,
  bytes: count === 0 ? 0 : Math.round((depth * bytes) / count),
});
