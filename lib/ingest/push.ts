/**
 * Pushing: from envelopes to Redis's numeric reply, for many requests at once.
 *
 *     request ─▶ group commit ─▶ breaker ─▶ partition choice ─▶ LPUSH ─▶ crossing? eager flush
 *
 * Resolves only when Redis has said how deep the list is. Throws Shed when the buffer is full, and
 * BufferUnavailable when Redis gave no answer: then some of it may have been kept, and the ids are fixed.
 */
import { type Buffer, PUSH_LIMITS } from "../buffer/buffer.ts";
import { redisFailureOf } from "../buffer/redis-errors.ts";
import type { Partition } from "../buffer/redis-keys.ts";
import type { Breaker } from "../flow/breaker.ts";
import { GroupCommit, Overloaded } from "../flow/group-commit.ts";
import { split } from "../flow/split-by-size.ts";
import type { Log } from "../log.ts";
import { encodedBytes, encodeEnvelope, type PushableEnvelope } from "../schema/envelope.ts";
import type { Flush } from "./eager-flush.ts";
import { crosses } from "./flush-threshold.ts";
import type { PartitionChoice } from "./partition-choice.ts";

/** The buffer takes no more for now: nothing of this push was kept, unless it was larger than one LPUSH. */
export class Shed extends Error {
  override name = "Shed";
}

/** Redis gave no answer, or the breaker is open. */
export class BufferUnavailable extends Error {
  override name = "BufferUnavailable";
}

interface Deps {
  buffer: Pick<Buffer, "push">;
  breaker: Breaker;
  partitionChoice: PartitionChoice;
  flush: Flush;
  flushThreshold: number;
  log: Log;
}

/** Bytes of one stream that may wait for Redis in one instance; past that, shed. */
const WAITING_MAX_BYTES = 32_000_000;

/** The result of one LPUSH. */
interface Pushed {
  partition: Partition;
  /** The crossing that this push saw, once sent; the first caller of the group waits for it. */
  flushed: Promise<void> | undefined;
}

/** Makes the one way in which this instance pushes. */
export function createPusher(deps: Deps) {
  const groups = new Map<string, GroupCommit<PushableEnvelope, Pushed>>();

  function groupOf(stream: string): GroupCommit<PushableEnvelope, Pushed> {
    const known = groups.get(stream);
    if (known) return known;
    const group = new GroupCommit((envelopes: PushableEnvelope[]) => pushOnce(deps, stream, envelopes), {
      ...PUSH_LIMITS,
      maxWaitingBytes: WAITING_MAX_BYTES,
      concurrency: 1,
    });
    groups.set(stream, group);
    return group;
  }

  /** Pushes one request's envelopes. May be repeated with the same ids. */
  return async function push(stream: string, envelopes: readonly PushableEnvelope[]): Promise<void> {
    for (const { items, bytes } of split(envelopes, encodedBytes, PUSH_LIMITS)) {
      const { result, offset } = await groupOf(stream).add(items, bytes).catch(asShed);
      if (offset === 0) await result.flushed;
    }
  };
}

const asShed = (error: unknown): never => {
  throw error instanceof Overloaded ? new Shed("too much waits for Redis") : error;
};

/** One LPUSH to the partition of the moment, or to the next when that one's list is full. */
async function pushOnce(deps: Deps, stream: string, envelopes: PushableEnvelope[]): Promise<Pushed> {
  const { breaker, partitionChoice } = deps;
  if (!breaker.mayTry()) throw new BufferUnavailable("the breaker is open");
  const texts = envelopes.map(encodeEnvelope);
  for (;;) {
    const partition = await choose(deps, stream);
    const depth = await attempt(deps, partition, texts);
    if (depth === "list-full") continue;
    breaker.succeeded();
    const bytes = texts.reduce((sum, text) => sum + text.length, 0);
    partitionChoice.pushed(partition, depth, texts.length, bytes);
    const isCrossing = crosses(depth - texts.length, depth, deps.flushThreshold);
    return { partition, flushed: isCrossing ? deps.flush(partition) : undefined };
  }
}

async function choose({ partitionChoice, breaker, log }: Deps, stream: string): Promise<Partition> {
  let partition: Partition | undefined;
  try {
    partition = await partitionChoice.choose(stream);
  } catch (error) {
    throw unavailable(breaker, log, error);
  }
  if (partition === undefined) {
    breaker.notAsked();
    throw new Shed("every partition is past its high-water mark");
  }
  return partition;
}

/** Pushes, once more at once where the connection broke. Returns the depth, or that this list is full. */
async function attempt(
  { buffer, breaker, partitionChoice, log }: Deps,
  partition: Partition,
  texts: string[],
): Promise<number | "list-full"> {
  try {
    return await buffer.push(partition, texts).catch((error: unknown) => {
      if (redisFailureOf(error) !== "connection") throw error;
      return buffer.push(partition, texts);
    });
  } catch (error) {
    const failure = redisFailureOf(error);
    if (failure === "list-full") {
      partitionChoice.refused(partition);
      return failure;
    }
    if (failure === "full") {
      breaker.succeeded();
      partitionChoice.refusedAll(partition.stream);
      throw new Shed("Redis is full");
    }
    throw unavailable(breaker, log, error);
  }
}

/** Notes the failure with the breaker: silence counts, an answered error does not, a used-up quota opens it. */
function unavailable(breaker: Breaker, log: Log, error: unknown): BufferUnavailable {
  const failure = redisFailureOf(error);
  if (failure === "quota") log.error("quota.exhausted");
  if (failure === "answered" || failure === "misconfigured") {
    breaker.succeeded();
    log.error(failure === "answered" ? "buffer.refused" : "buffer.misconfigured");
  } else breaker.failed(failure === "quota");
  return new BufferUnavailable(failure);
}
