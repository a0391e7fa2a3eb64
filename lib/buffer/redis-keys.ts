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
 * | `{spillway}:S:claim:P`   | hash       | crashes and last outcome of the batch in hand      |
 */

/** Partitions that exist, whatever PARTITIONS says: the supervisor looks at all of them. */
export const PARTITION_COUNT = 16;

/** One list-sized part of a stream's buffer. */
export interface Partition {
  stream: string;
  /** 0 to PARTITION_COUNT − 1. */
  index: number;
}

/** A partition's name in log entries. */
export const fieldsOfPartition = ({ stream, index }: Partition) => ({ stream, partition: index });

const key =
  (kind: string) =>
  ({ stream, index }: Partition) =>
    `{spillway}:${stream}:${kind}:${index}`;

export const pendingKey = key("pending");
export const sealedKey = key("sealed");
export const claimedKey = key("claimed");
export const leaseKey = key("lease");
export const claimKey = key("claim");

/** The three lists that hold events: a partition is empty when none of them exists. */
export const listKeys = (partition: Partition): [string, string, string] => [
  pendingKey(partition),
  sealedKey(partition),
  claimedKey(partition),
];

/** Every partition of the given streams, stream by stream. */
export function allPartitions(streams: readonly string[]): Partition[] {
  return streams.flatMap((stream) =>
    Array.from({ length: PARTITION_COUNT }, (_, index) => ({ stream, index })),
  );
}
