/**
 * Pushing: from envelopes to Redis's numeric reply, for many requests at once.
 *
 *     request ─▶ group commit ─▶ breaker ─▶ partition choice ─▶ LPUSH ─▶ crossing? eager flush
 *
 * Resolves only when Redis has said how deep the list is. Throws Shed when the buffer is full, BufferUnavailable when Redis gave
 * no answer, and TooLate when the deadline passed while it waited: then some of it may have been kept, and the ids are fixed.
 */
import { PUSH_LIMITS, type Buffer as RedisBuffer } from "../buffer/buffer.ts";
import { redisFailureOf } from "../buffer/redis-errors.ts";
import type { Partition } from "../buffer/redis-keys.ts";
import { Breaker, type Verdict } from "../flow/breaker.ts";
import { TooLate } from "../flow/deadline.ts";
import { GroupCommit, Overloaded, type Take } from "../flow/group-commit.ts";
import { split } from "../flow/split-by-size.ts";
import type { Log } from "../log.ts";
import { encodedBytes, encodeEnvelope, type Pushable } from "../schema/envelope.ts";
import type { Flush } from "./eager-flush.ts";
import { crosses } from "./flush-threshold.ts";
import type { PartitionChoice } from "./partition-choice.ts";

/** The buffer takes no more for now: nothing of this push was kept, unless it was larger than one LPUSH. */
export class Shed extends Error {
  override name = "Shed";
}

/** Every list of the stream is full. `askedRedis`: Redis itself said so of the last one, just now. */
class ListsFull extends Shed {
  readonly askedRedis: boolean;

  constructor(askedRedis: boolean) {
    super("every partition is past its high-water mark");
    this.askedRedis = askedRedis;
  }
}

/** Redis gave no answer, or the breaker is open. */
export class BufferUnavailable extends Error {
  override name = "BufferUnavailable";
}

interface Deps {
  buffer: Pick<RedisBuffer, "push">;
  partitionChoice: PartitionChoice;
  flush: Flush;
  flushThreshold: number;
  /** A clock that is never set back. */
  monotonicMs: () => number;
  log: Log;
}

/**
 * Bytes of one LPUSH. Redis takes more, but its text is made in one step, and other requests wait for that: 4 MB took 30 ms, and so does
 * whoever reads it.
 */
const PUSH_MAX_BYTES = 250_000;
const LIMITS = { maxCount: PUSH_LIMITS.maxCount, maxBytes: PUSH_MAX_BYTES };

/** Bytes of one stream that may wait for Redis in one instance; past that, shed. */
const WAITING_MAX_BYTES = 32_000_000;

/** The result of one LPUSH. */
interface Pushed {
  partition: Partition;
  /** The crossing that this push saw, once sent; the first caller of the group waits for it. */
  flushed: Promise<void> | undefined;
}

export type Pusher = ReturnType<typeof createPusher>;

/** Makes the one way in which this instance pushes. */
export function createPusher(deps: Deps) {
  const breaker = new Breaker({ monotonicMs: deps.monotonicMs, log: deps.log, verdictOf });
  const groups = new Map<string, GroupCommit<Pushable, Pushed>>();

  function groupOf(stream: string): GroupCommit<Pushable, Pushed> {
    const known = groups.get(stream);
    if (known) return known;
    const commit = (take: Take<Pushable>) => pushGroup(deps, breaker, stream, take);
    const group = new GroupCommit(commit, {
      ...LIMITS,
      maxWaitingBytes: WAITING_MAX_BYTES,
      concurrency: 1,
    });
    groups.set(stream, group);
    return group;
  }

  /** Pushes one request's envelopes; what still waits at the deadline is not pushed. May be repeated with the same ids. */
  async function push(stream: string, envelopes: readonly Pushable[], deadlineAtMs: number): Promise<void> {
    for (const { items, bytes } of split(envelopes, encodedBytes, LIMITS)) {
      const { result, offset } = await groupOf(stream).add(items, bytes, deadlineAtMs).catch(asShed);
      if (offset === 0) await result.flushed;
    }
  }

  /**
   * Whether a push to this stream would be shed now, because every partition is full. Asks Redis only if this instance knows
   * of no partition with room, and then for one partition a second at most. False if Redis does not answer, or if the breaker
   * is open: events would be written through. Never throws.
   */
  function isShedding(stream: string): Promise<boolean> | false {
    return deps.partitionChoice.isFull(stream) && isRefusing(stream);
  }

  async function isRefusing(stream: string): Promise<boolean> {
    try {
      await breaker.run(() => choosePartition(deps, stream, false));
      return false;
    } catch (error) {
      return error instanceof ListsFull;
    }
  }

  return { push, isShedding };
}

const asShed = (error: unknown): never => {
  throw error instanceof Overloaded ? new Shed("too much waits for Redis") : error;
};

/** What the error of a push says about Redis: silence counts, an answered error does not, a used-up quota lasts. */
function verdictOf(error: unknown): Verdict {
  if (error instanceof TooLate) return "not-asked";
  if (error instanceof ListsFull) return error.askedRedis ? "answered" : "not-asked";
  const failure = redisFailureOf(error);
  if (failure === "quota") return "refusing";
  return failure === "connection" || failure === "silent" ? "silent" : "answered";
}

/** One group's push through the breaker. */
async function pushGroup(
  deps: Deps,
  breaker: Breaker,
  stream: string,
  take: Take<Pushable>,
): Promise<Pushed> {
  const pushed = await breaker
    .run(() => pushOnce(deps, stream, take))
    .catch((error: unknown) => {
      throw refusalOf(deps, stream, error);
    });
  if (pushed === "open") throw new BufferUnavailable("the breaker is open");
  return pushed;
}

/** The refusal of a push that failed; says in the log whatever somebody has to mend. */
function refusalOf({ partitionChoice, log }: Deps, stream: string, error: unknown): Error {
  if (error instanceof ListsFull || error instanceof TooLate) return error;
  const failure = redisFailureOf(error);
  if (failure === "full") {
    partitionChoice.refusedAll(stream);
    return new Shed("Redis is full");
  }
  if (failure === "quota") log.error("quota.exhausted");
  if (failure === "answered") log.error("buffer.refused");
  if (failure === "misconfigured") log.error("buffer.misconfigured");
  return new BufferUnavailable(failure);
}

/** One LPUSH to the partition of the moment, or to the next if its list is full. Throws ListsFull, or the client's error. */
async function pushOnce(deps: Deps, stream: string, take: Take<Pushable>): Promise<Pushed> {
  const { partitionChoice } = deps;
  for (let askedRedis = false; ; askedRedis = true) {
    const partition = await choosePartition(deps, stream, askedRedis);
    const texts = take().map(encodeEnvelope);
    const depth = await attempt(deps, partition, texts);
    if (depth === "list-full") continue;
    const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
    partitionChoice.pushed(partition, depth, texts.length, bytes);
    const isCrossing = crosses(depth - texts.length, depth, deps.flushThreshold);
    return { partition, flushed: isCrossing ? deps.flush(partition) : undefined };
  }
}

/** The partition for the next push. Throws ListsFull. */
async function choosePartition({ partitionChoice }: Deps, stream: string, askedRedis: boolean) {
  const partition = await partitionChoice.choose(stream);
  if (partition === undefined) throw new ListsFull(askedRedis);
  return partition;
}

/** Pushes, once more at once where the connection broke. Returns the depth, or that this list is full. */
async function attempt(
  { buffer, partitionChoice }: Deps,
  partition: Partition,
  texts: string[],
): Promise<number | "list-full"> {
  try {
    return await buffer.push(partition, texts).catch((error: unknown) => {
      if (redisFailureOf(error) !== "connection") throw error;
      return buffer.push(partition, texts);
    });
  } catch (error) {
    if (redisFailureOf(error) !== "list-full") throw error;
    partitionChoice.refused(partition);
    return "list-full";
  }
}
