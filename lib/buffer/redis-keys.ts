/**
 * The Redis keys of one buffer, one partition of one stream. `{spillway}` is a hash tag: all keys share one
 * cluster slot, so that a script may touch them together.
 *
 * | key                      | type       | meaning                                            |
 * |--------------------------|------------|----------------------------------------------------|
 * | `{spillway}:S:pending:P` | list       | LPUSH target, newest first                         |
 * | `{spillway}:S:sealed:P`  | list       | the generation being drained, newest first         |
 * | `{spillway}:S:claimed:P` | list       | the one batch in hand, oldest first                |
 * | `{spillway}:S:lease:P`   | string, PX | token of the drain call that holds the partition   |
 * | `{spillway}:S:claim:P`   | hash       | attempts and last outcome of the batch in hand     |
 */

/** Partitions that exist, whatever PARTITIONS says: the supervisor looks at all of them. */
export const PARTITION_COUNT = 16;

/** One list-sized part of a stream's buffer. */
export interface Partition {
  stream: string;
  partition: number;
}

const key = (kind: string) => (p: Partition) => `{spillway}:${p.stream}:${kind}:${p.partition}`;

export const pendingKey = key("pending");
export const sealedKey = key("sealed");
export const claimedKey = key("claimed");
export const leaseKey = key("lease");
export const claimKey = key("claim");

/** The three lists that hold events: a partition is empty when none of them exists. */
export const listKeys = (p: Partition): [string, string, string] => [
  pendingKey(p),
  sealedKey(p),
  claimedKey(p),
];

/** Every partition of the given streams, stream by stream. */
export function allPartitions(streams: readonly string[]): Partition[] {
  return streams.flatMap((stream) =>
    Array.from({ length: PARTITION_COUNT }, (_, partition) => ({ stream, partition })),
  );
}
