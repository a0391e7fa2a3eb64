/**
 * The buffer: the Redis side of Spillway, one client and the moves of the state machine.
 *
 *     push ─▶ pending ─seal▶ sealed ─claim▶ claimed ─acknowledge▶ (stored)
 *                                              └─ hand back / lease runs out ─▶ claimed again
 *
 * It promises that an event pushed is in one of the three lists until the batch that holds it is acknowledged.
 * Every move may be repeated. When to drain, what to insert and what to bury is left to others.
 */
import type { Redis } from "@upstash/redis";
import { countVersions } from "./count-versions.ts";
import { BROKEN_NOTE, HELD_FIELDS, type HeldNote, parseHeldNote } from "./held-note.ts";
import { readScript } from "./lua-scripts.ts";
import { measurePending } from "./measure.ts";
import { inspectPartitions, type PartitionStatus } from "./partition-status.ts";
import { redisFailureOf } from "./redis-errors.ts";
import {
  allPartitions,
  claimedKey,
  claimKey,
  HELD_KEY,
  leaseKey,
  listKeys,
  type Partition,
  pausedKey,
  pendingKey,
} from "./redis-keys.ts";

/** What the buffer uses of the client: any client with these will do. */
type Client = Pick<Redis, "createScript" | "eval" | "exists" | "hmget" | "lpush" | "pipeline">;

/** Bounds of one LPUSH, for those who split. Upstash takes 10 MB a request; JSON in JSON grows by up to a half. */
export const PUSH_LIMITS = { maxCount: 5000, maxBytes: 4_000_000 };

/**
 * Bound of the envelopes of one claim together, in bytes. Upstash refuses a command whose reply is over 10 MB
 * (upstash.com/docs/redis/troubleshooting/max_request_size_exceeded), and text doubles in JSON at most: a quote or a
 * backslash becomes two characters.
 */
const CLAIM_MAX_BYTES = 5_000_000;

/** Who claims, and how much. */
export interface Claimant {
  /** `instance:call`: a new one for each drain call; the instance is the living process. */
  token: string;
  leaseMs: number;
  /** Envelopes wanted in one batch. Fewer come if they are too large together for one reply of Redis. */
  count: number;
  /** Claims nothing while less than `count` waits. */
  fullBatchesOnly: boolean;
  /** When the drain call began, in milliseconds. */
  startedAtMs: number;
}

/** A batch in hand. */
export interface Batch {
  kind: "batch";
  name: string;
  /** False if the claim took all that was in the partition; true if more is there, or may be. */
  hasMore: boolean;
  /** Drain calls that died with this batch in hand. */
  crashes: number;
  /**
   * Drain calls that died with this envelope alone, or were suspected to break the connection by it; undefined unless
   * envelopes are handed out one at a time.
   */
  crashesAlone: number | undefined;
  /** How many times it was handed back as suspected; see `handBack`. */
  suspicions: number;
  /** Oldest first. */
  envelopes: string[];
}

/** Why a batch is handed back. `reason` is without data of an event. */
export interface WhyHandedBack {
  sqlstate?: string;
  reason?: string;
  oneAtATime?: boolean;
  isSuspected?: boolean;
}

/** A claim's answer. `depth` is undefined if it was not counted. */
export type ClaimReply =
  | Batch
  | { kind: "none"; depth: number | undefined }
  | { kind: "held"; expiresInMs: number }
  /** The stream is paused (pauses.ts). */
  | { kind: "paused" };

/** Redis answered an LPUSH with something other than a number: nothing is promised. */
export class PushUnconfirmed extends Error {
  override name = "PushUnconfirmed";
}

export type Buffer = ReturnType<typeof createBuffer>;

/** What waits: the partitions that hold something, and the note of held letters. */
export interface Work {
  busy: Partition[];
  held: HeldNote | undefined;
}

/** Makes a buffer on an Upstash client. Errors of the client pass through (redis-errors.ts reads them). */
export function createBuffer(
  redis: Client,
  now: () => number = Date.now,
  { claimMaxBytes = CLAIM_MAX_BYTES }: { claimMaxBytes?: number } = {},
) {
  const claimScript = redis.createScript<unknown[]>(readScript("claim"));
  const handBackScript = redis.createScript<number>(readScript("hand-back"));
  const renewScript = redis.createScript<number>(readScript("renew"));

  const keysOf = (p: Partition) => [...listKeys(p), leaseKey(p), claimKey(p), pausedKey(p.stream)];

  /**
   * Pushes envelopes onto a partition with one LPUSH, all or nothing, and returns the depth of pending after it.
   * May be repeated: the primary key absorbs a second copy. Throws PushUnconfirmed unless Redis answered
   * with a number.
   */
  async function push(partition: Partition, envelopes: readonly string[]): Promise<number> {
    const depth: unknown = await redis.lpush(pendingKey(partition), ...envelopes);
    if (typeof depth !== "number")
      throw new PushUnconfirmed(`expected a number in reply to LPUSH, got ${typeof depth}`);
    return depth;
  }

  /** Acknowledges the batch named `settled` ("": none) and claims the next batch, in one atomic step. */
  async function claim(partition: Partition, by: Claimant, settled = ""): Promise<ClaimReply> {
    const reply = await claimScript.exec(keysOf(partition), [
      by.token,
      settled,
      String(by.leaseMs),
      String(by.count),
      by.fullBatchesOnly ? "1" : "0",
      String(by.startedAtMs),
      String(now()),
      String(claimMaxBytes),
    ]);
    return parseClaimReply(reply);
  }

  /** Acknowledges the batch named `settled` and gives the lease up, claiming nothing. */
  async function release(partition: Partition, by: Claimant, settled: string): Promise<void> {
    await claim(partition, { ...by, count: 0 }, settled);
  }

  /**
   * Gives the lease up with the batch still in hand; says why, for people. No crash is counted. May be repeated.
   * `oneAtATime`: from now on its envelopes are handed out one at a time. `isSuspected`: its insert broke the connection to
   * Postgres, and one of its events may be why. Suspicions within 60 s count once; after two the same as `oneAtATime`.
   */
  async function handBack(partition: Partition, token: string, why: WhyHandedBack = {}): Promise<void> {
    const { sqlstate = "", reason = "", oneAtATime = false, isSuspected = false } = why;
    const keys = [claimedKey(partition), leaseKey(partition), claimKey(partition)];
    const flag = (isSo: boolean) => (isSo ? "1" : "0");
    const args = [token, sqlstate, reason, flag(oneAtATime), flag(isSuspected), String(now())];
    await handBackScript.exec(keys, args);
  }

  /** Extends the lease; false when another drain call has taken the batch up. */
  async function renew(partition: Partition, by: Claimant): Promise<boolean> {
    const keys = [leaseKey(partition), claimKey(partition)];
    return (await renewScript.exec(keys, [by.token, String(by.leaseMs)])) === 1;
  }

  /**
   * Finds the partitions that hold something, and the note of held letters. One EXISTS when there is neither; else both halves of
   * what holds something are asked, and so on: one busy partition among 64 costs twelve more, in six round trips. Neither
   * half's count can be inferred from the other's: keys come and go meanwhile. The note is read if there was a key more than
   * the lists; in a race it is missed, and the next call finds it.
   */
  async function findWork(streams: readonly string[]): Promise<Work> {
    const all = allPartitions(streams);
    if (all.length === 0) return { busy: [], held: undefined };
    const total = await redis.exists(...all.flatMap(listKeys), HELD_KEY);
    if (total === 0) return { busy: [], held: undefined };
    const { groups: halves, count } = await narrow([all]);
    const held = count < total ? await readHeldNote() : undefined;
    let groups = halves;
    while (groups.some((group) => group.length > 1)) groups = (await narrow(groups)).groups;
    return { busy: groups.flat(), held };
  }

  /** The client gives HMGET as a list, because its deserialisation is off. */
  async function readHeldNote(): Promise<HeldNote | undefined> {
    try {
      return parseHeldNote((await redis.hmget(HELD_KEY, ...HELD_FIELDS)) as unknown as (string | null)[]);
    } catch (error) {
      if (redisFailureOf(error) === "misconfigured") return BROKEN_NOTE; // a key of another type
      throw error;
    }
  }

  /** Whether no list of these streams holds anything: one EXISTS. */
  const isEmpty = async (streams: readonly string[]): Promise<boolean> =>
    (await redis.exists(...allPartitions(streams).flatMap(listKeys))) === 0;

  /** Halves each group, and leaves out what holds nothing. `count`: keys that exist in all. */
  async function narrow(groups: Partition[][]): Promise<{ groups: Partition[][]; count: number }> {
    const halves = halvesOf(groups);
    const pipeline = redis.pipeline();
    for (const half of halves) pipeline.exists(...half.flatMap(listKeys));
    const counts = await pipeline.exec<number[]>();
    return {
      groups: halves.filter((_, i) => (counts[i] ?? 0) > 0),
      count: counts.reduce((sum, n) => sum + n, 0),
    };
  }

  /** See `measurePending`. */
  const measure = (partition: Partition) => measurePending(redis, partition);

  /** Everything that `GET /status` says of the given partitions, in one round trip. */
  async function inspect(partitions: readonly Partition[]): Promise<PartitionStatus[]> {
    return inspectPartitions(redis, partitions, now());
  }

  /** See `countVersions`. */
  const versions = (partitions: readonly Partition[]) => countVersions(redis, partitions);

  return { push, claim, release, handBack, renew, findWork, isEmpty, measure, inspect, versions };
}

const halvesOf = (groups: Partition[][]): Partition[][] =>
  groups.flatMap((group) => {
    const middle = Math.ceil(group.length / 2);
    return group.length === 1 ? [group] : [group.slice(0, middle), group.slice(middle)];
  });

function parseClaimReply(reply: unknown[]): ClaimReply {
  const [kind, ...rest] = reply;
  if (kind === "held") return { kind, expiresInMs: Number(rest[0]) };
  if (kind === "paused") return { kind };
  if (kind === "none") return { kind, depth: Number(rest[0]) < 0 ? undefined : Number(rest[0]) };
  if (kind !== "batch")
    throw new Error(`expected batch, none, held or paused from claim.lua, got ${typeof kind}`);
  const [name, , more, crashes, alone, suspicions, ...envelopes] = rest as [string, ...unknown[]];
  return {
    kind,
    name,
    hasMore: Number(more) === 1,
    crashes: Number(crashes),
    crashesAlone: Number(alone) < 0 ? undefined : Number(alone),
    suspicions: Number(suspicions),
    envelopes: envelopes as string[],
  };
}
