/** Measures a partition's pending list by a sample: one script reads a few runs of it, and sends back three numbers. */
import type { Redis } from "@upstash/redis";
import { readScript } from "./lua-scripts.ts";
import { type Partition, pendingKey } from "./redis-keys.ts";

/** How much waits in a partition's pending list. `bytes` is exact for a short list, else an estimate by a sample. */
export interface Measured {
  depth: number;
  bytes: number;
}

/** Envelopes of each of the three runs by which a long list is measured. */
const RUN_LENGTH = 64;

const script = readScript("measure");

/** Measures what waits in pending. EVAL, and not a kept script: it is rare, so it would be sent again as often as not. */
export async function measurePending(redis: Pick<Redis, "eval">, partition: Partition): Promise<Measured> {
  const [depth, count, bytes] = await redis.eval<string[], [number, number, number]>(
    script,
    [pendingKey(partition)],
    [String(RUN_LENGTH)],
  );
  return { depth, bytes: count === 0 ? 0 : Math.round((depth * bytes) / count) };
}
