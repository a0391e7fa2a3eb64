/**
 * Where an ingest instance gets the keys from: from the copy in Redis, or from Postgres if there is no copy or Redis is away.
 *
 * Postgres is read only while no copy can be read. If Redis is there without a copy, one instance makes it and the others wait for it.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { KeyCopy } from "../buffer/key-copy.ts";
import { isOfRedis } from "../buffer/redis-errors.ts";
import { deadlineIn, isPast } from "../flow/deadline.ts";
import { type Generation, isNewer, type KeySet, parseGeneration, textOfGeneration } from "../key-set.ts";
import type { KeyStore } from "../store/key-store.ts";
import { failureOf } from "../store/postgres-errors.ts";
import { renewCopy } from "./renew-copy.ts";

interface Deps {
  copy: Pick<KeyCopy, "generation" | "read" | "replace" | "takeRebuild">;
  table: Pick<KeyStore, "readSet">;
}

/** How long an instance that waits for another's copy waits at most, how often it looks, and how long the other has, in milliseconds. */
const REBUILD_WAIT_MS = 3000;
const REBUILD_POLL_MS = 100;
const REBUILD_LOCK_MS = 5000;

export type KeySource = ReturnType<typeof createKeySource>;

/** Makes the source. Its functions never throw because a server is away. */
export function createKeySource(deps: Deps) {
  const { copy, table } = deps;

  /** Reads all keys. "away": neither server gave them. */
  async function load(): Promise<KeySet | "away"> {
    const found = await orAway(copy.read());
    if (found === "away") return orAway(table.readSet());
    return found ?? rebuild();
  }

  /** Reads the keys if Redis has others than those of the generation `known`: newer ones, or none. */
  async function refresh(known: Generation): Promise<KeySet | "same" | "away"> {
    const text = await orAway(copy.generation());
    if (text === "away") return text;
    const found = parseGeneration(text);
    if (found === undefined) return rebuild();
    if (text === textOfGeneration(known) || !isNewer(found, known)) return "same";
    return load();
  }

  /** Makes the copy, or waits for whoever makes it, and goes on alone if that takes too long. */
  async function rebuild(): Promise<KeySet | "away"> {
    const isMaker = await orAway(copy.takeRebuild(REBUILD_LOCK_MS));
    if (isMaker === true) return renewed();
    const deadlineAtMs = deadlineIn(REBUILD_WAIT_MS);
    while (isMaker === false && !isPast(deadlineAtMs)) {
      await sleep(REBUILD_POLL_MS);
      const found = await orAway(copy.read());
      if (found === "away") break;
      if (found !== undefined) return found;
    }
    return orAway(table.readSet());
  }

  /** What was read from Postgres is used, also if Redis could not take it. */
  async function renewed(): Promise<KeySet | "away"> {
    const answer = await orAway(renewCopy(deps));
    return answer === "away" ? answer : answer.set;
  }

  return { load, refresh };
}

/** Turns a server's failure into a value; throws any other error. */
async function orAway<Answer>(asked: Promise<Answer>): Promise<Answer | "away"> {
  try {
    return await asked;
  } catch (error) {
    if (!isOfRedis(error)) failureOf(error);
    return "away";
  }
}
