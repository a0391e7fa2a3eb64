/**
 * The Redis keys of one partition P of one stream S. `{spillway}` is a hash tag: it puts all keys into one cluster slot, so
 * that a script may use several of them.
 *
 * | key                      | type       | meaning                                            |
 * |--------------------------|------------|----------------------------------------------------|
 * | `{spillway}:S:pending:P` | list       | LPUSH target, newest first                         |
 * | `{spillway}:S:sealed:P`  | list       | the generation being drained, newest first         |
 * | `{spillway}:S:claimed:P` | list       | the one batch in hand, oldest first                |
 * | `{spillway}:S:lease:P`   | string, PX | token of the drain call that holds the partition   |
 * | `{spillway}:S:claim:P`   | hash       | crashes, suspicions, last outcome of the batch     |
 * | `{spillway}:S:paused`    | string, PX | exists while the stream is paused (pauses.ts)      |
 * | `{spillway}:S:refusals`  | list, PX   | the last refusals of the stream (refusal-lists.ts) |
 *
 * Some keys belong to no stream:
 *
 * | key                       | type       | meaning                                                             |
 * |---------------------------|------------|---------------------------------------------------------------------|
 * | `{spillway}:held`         | hash       | exists while `dead_letters` has held letters (held-note.ts)         |
 * | `{spillway}:webhooks`     | hash       | counts webhooks by stream and source (webhook-counts.ts)            |
 * | `{spillway}:keys`         | hash       | the copy of the table `api_keys`, with its generation (key-copy.ts) |
 * | `{spillway}:keys:rebuild` | string, PX | exists while an instance makes that copy anew                       |
 * | `{spillway}:refusals`     | list, PX   | the last refusals without a known stream or key (refusal-lists.ts)  |
 * | `{spillway}:key-rate:N`   | string, PX | how the rate of the API key named N is shared (limit-shares.ts)     |
 * | `{spillway}:pruned`       | string, PX | exists for a day after old rows were pruned (prune-turn.ts)         |
 */

/** The number of partitions that exist, for any value of PARTITIONS. The supervisor looks at all of them. */
export const PARTITION_COUNT = 16;

/** One part of a stream's buffer, with lists of its own. */
export interface Partition {
  stream: string;
  /** 0 to PARTITION_COUNT − 1. */
  index: number;
}

/** Returns the fields that name a partition in log entries. */
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

/** Exists while `dead_letters` has held letters. No stream can be named so that a key of it is this one. */
export const HELD_KEY = "{spillway}:held";

/** Counts webhooks. No stream can be named so that a key of it is this one. */
export const WEBHOOKS_KEY = "{spillway}:webhooks";

/** The copy of the API keys, and the lock of whoever makes it anew. */
export const KEYS_KEY = "{spillway}:keys";
export const KEYS_REBUILD_KEY = "{spillway}:keys:rebuild";
/** The last refusals of a stream; undefined: those of requests without a known stream or key. */
export const refusalsKey = (stream: string | undefined): string =>
  stream === undefined ? "{spillway}:refusals" : `{spillway}:${stream}:refusals`;

/** Exists while the stream is paused, for all its partitions. It is none of the keys that a tick looks for. */
export const pausedKey = (stream: string): string => `{spillway}:${stream}:paused`;

/** Exists for a day after old rows were pruned. */
export const PRUNED_KEY = "{spillway}:pruned";

/** How the rate of an API key is shared out. No stream has a hyphen in its name, so no key of a stream is this one. */
export const keyRateKey = (keyName: string): string => `{spillway}:key-rate:${keyName}`;

/** The three lists that hold envelopes. A partition is empty if none of them exists. */
export const listKeys = (partition: Partition): [string, string, string] => [
  pendingKey(partition),
  sealedKey(partition),
  claimedKey(partition),
];

/** Lists every partition of the given streams, stream by stream. */
export function allPartitions(streams: readonly string[]): Partition[] {
  return streams.flatMap((stream) =>
    Array.from({ length: PARTITION_COUNT }, (_, index) => ({ stream, index })),
  );
}
