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
/** The same where many lists are measured each few seconds. */
const SHORT_RUN_LENGTH = 8;

const script = readScript("measure");

/** Measures what waits in pending. EVAL, and not a kept script: it is rare, so it would be sent again as often as not. */
export async function measurePending(redis: Pick<Redis, "eval">, partition: Partition): Promise<Measured> {
  return measuredOf(await redis.eval<string[], Reply>(script, [pendingKey(partition)], [String(RUN_LENGTH)]));
}

/** Measures pending and sealed of each partition: one round trip, and 2 to 5 commands for each list. */
export async function measureLists(
  redis: Pick<Redis, "pipeline">,
  partitions: readonly Partition[],
): Promise<ListSize[]> {
  const lists = partitions.flatMap((one) => [
    { ...one, list: "pending" as const, key: pendingKey(one) },
    { ...one, list: "sealed" as const, key: sealedKey(one) },
  ]);
  const measured = await measureKeys(
    redis,
    lists.map(({ key }) => key),
    RUN_LENGTH,
  );
  return lists.map(({ key: _, ...one }, i) => ({ ...one, ...(measured[i] as Measured) }));
}

/** How many bytes wait in each of these lists, roughly: one round trip, and 2 to 4 commands for each. */
export async function measureRoughly(
  redis: Pick<Redis, "pipeline">,
  keys: readonly string[],
): Promise<number[]> {
  const measured = await measureKeys(redis, keys, SHORT_RUN_LENGTH);
  return measured.map(({ bytes }) => bytes);
}

async function measureKeys(
  redis: Pick<Redis, "pipeline">,
  keys: readonly string[],
  runLength: number,
): Promise<Measured[]> {
  if (keys.length === 0) return [];
  const pipeline = redis.pipeline();
  for (const key of keys) pipeline.eval(script, [key], [String(runLength)]);
  const replies = await pipeline.exec<Reply[]>();
  return keys.map((_, i) => measuredOf(replies[i] ?? [0, 0, 0]));
}

const measuredOf = ([depth, count, bytes]: Reply): Measured => ({
  depth,
  bytes: count === 0 ? 0 : Math.round((depth * bytes) / count),
});
