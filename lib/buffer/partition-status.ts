/**
 * Reads one partition as `GET /status` shows it. A key that holds another type (somebody wrote it by hand) makes its own
 * partition unreadable and hides no other.
 */
import { errors, type Redis } from "@upstash/redis";
import {
  claimedKey,
  claimKey,
  leaseKey,
  listKeys,
  type Partition,
  pendingKey,
  sealedKey,
} from "./redis-keys.ts";

/** One partition as `GET /status` shows it. */
export interface PartitionStatus extends Partition {
  pending: number;
  sealed: number;
  claimed: number;
  /** The oldest envelope of each list that holds any: up to three. */
  oldest: string[];
  heldForMs: number | undefined;
  batchAgeMs: number | undefined;
  /** Drain calls that died with the batch in hand; 0 if there is none. */
  crashes: number;
  lastSqlstate: string | undefined;
  /** Why the last try ended, or that a key of the partition holds another type: what that key would say is left out. */
  lastReason: string | undefined;
}

/** The fields of the claim hash that people are shown. */
const CLAIM_FIELDS = ["heldSinceMs", "firstMs", "crashes", "sqlstate", "reason"] as const;

/** A command's answer in a pipeline that keeps errors: the result, or why Redis refused the command. */
interface Answer {
  result?: unknown;
  error?: string | undefined;
}

/** The keys that are asked, in the order of the commands. */
const askedKeys = (one: Partition) => [
  ...listKeys(one),
  ...[pendingKey(one), sealedKey(one), claimedKey(one)],
  ...[leaseKey(one), claimKey(one)],
];

/** Reads the given partitions in one round trip. Throws if Redis refuses a command for another reason than its key's type. */
export async function inspectPartitions(
  redis: Pick<Redis, "pipeline">,
  partitions: readonly Partition[],
  nowMs: number,
): Promise<PartitionStatus[]> {
  if (partitions.length === 0) return [];
  const pipeline = redis.pipeline();
  for (const one of partitions) {
    for (const list of listKeys(one)) pipeline.llen(list);
    pipeline.lindex(pendingKey(one), -1).lindex(sealedKey(one), -1).lindex(claimedKey(one), 0);
    pipeline.get(leaseKey(one));
    pipeline.hmget(claimKey(one), ...CLAIM_FIELDS);
  }
  const answers: Answer[] = await pipeline.exec<unknown[]>({ keepErrors: true });
  return partitions.map((one, i) => parseStatus(one, answers.slice(i * 8, i * 8 + 8), nowMs));
}

/** The client gives HMGET as a list, because its deserialisation is off. */
function parseStatus(partition: Partition, answers: Answer[], nowMs: number): PartitionStatus {
  const foreign = foreignKeyOf(partition, answers);
  const replies = answers.map(({ error, result }) => (error ? undefined : result));
  const count = (reply: unknown) => Number(reply ?? 0);
  const claimed = count(replies[2]);
  const [heldSinceMs, firstMs, crashes, sqlstate, reason] = (replies[7] ?? []) as (string | null)[];
  const since = (ms: string | null | undefined) => (ms ? Math.max(0, nowMs - Number(ms)) : undefined);
  return {
    ...partition,
    pending: count(replies[0]),
    sealed: count(replies[1]),
    claimed,
    oldest: replies.slice(3, 6).filter((text): text is string => typeof text === "string"),
    heldForMs: typeof replies[6] === "string" ? since(heldSinceMs) : undefined,
    batchAgeMs: claimed > 0 ? since(firstMs) : undefined,
    crashes: claimed > 0 ? Number(crashes ?? 0) : 0,
    lastSqlstate: foreign === undefined ? sqlstate || undefined : undefined,
    lastReason:
      foreign === undefined ? reason || undefined : `a key of this partition holds another type: ${foreign}`,
  };
}

/** The first key whose type Redis refuses; undefined if every command was answered. */
function foreignKeyOf(partition: Partition, answers: Answer[]): string | undefined {
  for (const { error } of answers)
    if (error && !/^(ERR )?WRONGTYPE/.test(error)) throw new errors.UpstashError(error);
  return askedKeys(partition)[answers.findIndex(({ error }) => error)];
}
