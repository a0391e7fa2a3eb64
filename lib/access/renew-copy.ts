/**
 * Replaces the copy of the keys in Redis by what Postgres has: after each change, where there is no copy, and where the copy is not of
 * the table's version. Many may do so at once, and the newest wins.
 */
import type { KeyCopy } from "../buffer/key-copy.ts";
import { isOfRedis } from "../buffer/redis-errors.ts";
import { type KeySet, parseGeneration, textOfGeneration } from "../key-set.ts";
import type { KeyStore } from "../store/key-store.ts";

export interface RenewDeps {
  copy: Pick<KeyCopy, "generation" | "replace">;
  table: Pick<KeyStore, "readSet">;
}

export interface Renewed {
  set: KeySet;
  /** Whether Redis has this set now, or a later one. False: Redis gave no answer. */
  isCopied: boolean;
}

/** After so many tries it counts as not copied. Each try fails only because somebody else replaced the copy meanwhile. */
const TRIES_MAX = 50;

/** Reads the table and replaces the copy. Throws what the store throws; Redis may be away. */
export async function renewCopy({ copy, table }: RenewDeps): Promise<Renewed> {
  let seen = await orAway(copy.generation());
  for (let tries = 1; ; tries++) {
    const set = await table.readSet();
    if (seen === undefined) return { set, isCopied: false };
    const now = await orAway(copy.replace(seen, set));
    if (now === undefined || tries === TRIES_MAX) return { set, isCopied: false };
    if (isOf(now, set)) return { set, isCopied: true };
    seen = now;
  }
}

/** Whether a copy has what is in the set. Another one that was faster may have read the table after its last change, too. */
function isOf(now: string, { generation }: KeySet): boolean {
  return now === textOfGeneration(generation) || parseGeneration(now)?.version === generation.version;
}

/** Undefined: Redis gave no answer. */
async function orAway<Answer>(asked: Promise<Answer>): Promise<Answer | undefined> {
  try {
    return await asked;
  } catch (error) {
    if (isOfRedis(error)) return undefined;
    throw error;
  }
}
