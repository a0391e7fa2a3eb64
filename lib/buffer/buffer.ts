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
import { readScript } from "./lua-scripts.ts";
import {
  allPartitions,
  claimedKey,
  claimKey,
  leaseKey,
  listKeys,
  type Partition,
  pendingKey,
  sealedKey,
} from "./redis-keys.ts";

/** What the buffer uses of the client: any client with these will do. */
type Client = Pick<
  Redis,
  "createScript" | "exists" | "hmget" | "lindex" | "llen" | "lpush" | "pipeline" | "pttl"
>;

/** Who claims, and on which terms. */
export interface Claimant {
  /** `instance:call`: a new one for each drain call; the instance is the living process. */
  token: string;
  leaseMs: number;
  count: number;
  /** Claim only full batches. */
  full: boolean;
  /** When the drain call began, in milliseconds. */
  startedAtMs: number;
}

/** A batch in hand. `deaths` is set for a row handed out alone: drain calls that died with it alone. */
export interface Batch {
  kind: "batch";
  name: string;
  /** False for a batch that was in hand already. */
  isFresh: boolean;
  attempts: number;
  deaths: number | undefined;
  /** Oldest first. */
  envelopes: string[];
}

/** A claim's answer. `depth` is undefined where it was not counted. */
export type Claim =
  | Batch
  | { kind: "none"; depth: number | undefined }
  | { kind: "held"; expiresInMs: number };

/** One partition as `GET /status` shows it. */
export interface PartitionStatus extends Partition {
  pending: number;
  sealed: number;
  claimed: number;
  /** The envelope received first, undefined where there is none. */
  oldest: string[];
  heldForMs: number | undefined;
  batchAgeMs: number | undefined;
  attempts: number;
  lastSqlstate: string | undefined;
  lastReason: string | undefined;
}

/** Redis answered an LPUSH with something that is no number: nothing is promised. */
export class PushUnconfirmed extends Error {
  override name = "PushUnconfirmed";
}

export type Buffer = ReturnType<typeof createBuffer>;

/** Makes a buffer on an Upstash client. Errors of the client pass through (see redis-errors.ts). */
export function createBuffer(redis: Client, now: () => number = Date.now) {
  const claimScript = redis.createScript<unknown[]>(readScript("claim"));
  const handBackScript = redis.createScript<number>(readScript("hand-back"));
  const renewScript = redis.createScript<number>(readScript("renew"));

  const keysOf = (p: Partition) => [...listKeys(p), leaseKey(p), claimKey(p)];

  /**
   * Pushes envelopes onto a partition with one LPUSH, all or nothing, and returns the depth of pending after it.
   * May be repeated: the primary key absorbs what arrives twice. Throws PushUnconfirmed unless Redis answered
   * with a number.
   */
  async function push(p: Partition, envelopes: readonly string[]): Promise<number> {
    const depth: unknown = await redis.lpush(pendingKey(p), ...envelopes);
    if (typeof depth !== "number")
      throw new PushUnconfirmed(`expected a number in reply to LPUSH, got ${typeof depth}`);
    return depth;
  }

  /** Acknowledges `acked` (a batch's name, or "") and claims the next batch, in one atomic step. */
  async function claim(p: Partition, by: Claimant, acked = ""): Promise<Claim> {
    const reply = await claimScript.exec(keysOf(p), [
      by.token,
      acked,
      String(by.leaseMs),
      String(by.count),
      by.full ? "1" : "0",
      String(by.startedAtMs),
      String(now()),
    ]);
    return parseClaim(reply);
  }

  /** Acknowledges `acked` and gives the lease up, claiming nothing. */
  async function release(p: Partition, by: Claimant, acked: string): Promise<void> {
    await claim(p, { ...by, count: 0 }, acked);
  }

  /**
   * Gives the lease up with the batch still in hand; says why, for people. No attempt is counted. `alone`: from now
   * on its rows are handed out one at a time.
   */
  async function handBack(
    p: Partition,
    token: string,
    why: { sqlstate?: string; reason?: string; alone?: boolean } = {},
  ): Promise<void> {
    const { sqlstate = "", reason = "", alone = false } = why;
    await handBackScript.exec([leaseKey(p), claimKey(p)], [token, sqlstate, reason, alone ? "1" : "0"]);
  }

  /** Extends the lease; false when another drain call has taken the batch up. */
  async function renew(p: Partition, by: Claimant): Promise<boolean> {
    return (await renewScript.exec([leaseKey(p), claimKey(p)], [by.token, String(by.leaseMs)])) === 1;
  }

  /**
   * Finds the partitions that hold something. One EXISTS when nothing does; else both halves of what holds something
   * are asked, and so on: one busy partition among 64 costs twelve more, in six round trips. Neither half's count
   * can be inferred from the other's: keys come and go meanwhile.
   */
  async function findBusy(streams: readonly string[]): Promise<Partition[]> {
    const all = allPartitions(streams);
    if (all.length === 0) return [];
    const total = await redis.exists(...all.flatMap(listKeys));
    let groups = total > 0 ? [all] : [];
    while (groups.some((group) => group.length > 1)) groups = await narrow(groups);
    return groups.flat();
  }

  /** Halves each group, and leaves out what holds nothing. */
  async function narrow(groups: Partition[][]): Promise<Partition[][]> {
    const halves = groups.flatMap((group) => {
      const middle = Math.ceil(group.length / 2);
      return group.length === 1 ? [group] : [group.slice(0, middle), group.slice(middle)];
    });
    const pipeline = redis.pipeline();
    for (const half of halves) pipeline.exists(...half.flatMap(listKeys));
    const counts = await pipeline.exec<number[]>();
    return halves.filter((_, i) => (counts[i] ?? 0) > 0);
  }

  /** How many events wait in pending. */
  const depth = (p: Partition): Promise<number> => redis.llen(pendingKey(p));

  /** Everything that `GET /status` says of the given partitions, in one round trip. */
  async function inspect(partitions: readonly Partition[]): Promise<PartitionStatus[]> {
    if (partitions.length === 0) return [];
    const pipeline = redis.pipeline();
    for (const p of partitions) {
      for (const list of listKeys(p)) pipeline.llen(list);
      pipeline.lindex(pendingKey(p), -1).lindex(sealedKey(p), -1).lindex(claimedKey(p), 0);
      pipeline.pttl(leaseKey(p));
      pipeline.hmget(claimKey(p), ...CLAIM_FIELDS);
    }
    const replies = await pipeline.exec<unknown[]>();
    return partitions.map((p, i) => parseStatus(p, replies.slice(i * 8, i * 8 + 8), now()));
  }

  return { push, claim, release, handBack, renew, findBusy, depth, inspect };
}

function parseClaim(reply: unknown[]): Claim {
  const [kind, ...rest] = reply;
  if (kind === "held") return { kind, expiresInMs: Number(rest[0]) };
  if (kind === "none") return { kind, depth: Number(rest[0]) < 0 ? undefined : Number(rest[0]) };
  if (kind !== "batch") throw new Error(`expected batch, none or held from claim.lua, got ${typeof kind}`);
  const [name, fresh, attempts, deaths, ...envelopes] = rest as [string, number, number, number, ...string[]];
  return {
    kind,
    name,
    isFresh: Number(fresh) === 1,
    attempts: Number(attempts),
    deaths: Number(deaths) < 0 ? undefined : Number(deaths),
    envelopes,
  };
}

/** What people are told of a partition, as `claim` keeps it. */
const CLAIM_FIELDS = ["heldMs", "firstMs", "attempts", "sqlstate", "reason"] as const;

/** The client gives HMGET as a list, because its deserialisation is off. */
function parseStatus(p: Partition, reply: unknown[], nowMs: number): PartitionStatus {
  const [pending, sealed, claimed] = reply.slice(0, 3).map(Number) as [number, number, number];
  const oldest = reply.slice(3, 6).filter((text): text is string => typeof text === "string");
  const [heldMs, firstMs, attempts, sqlstate, reason] = reply[7] as (string | null)[];
  const isHeld = Number(reply[6]) > 0;
  const since = (ms: string | null | undefined) => (ms ? Math.max(0, nowMs - Number(ms)) : undefined);
  return {
    ...p,
    pending,
    sealed,
    claimed,
    oldest,
    heldForMs: isHeld ? since(heldMs) : undefined,
    batchAgeMs: claimed > 0 ? since(firstMs) : undefined,
    attempts: claimed > 0 ? Number(attempts ?? 0) : 0,
    lastSqlstate: sqlstate || undefined,
    lastReason: reason || undefined,
  };
}
