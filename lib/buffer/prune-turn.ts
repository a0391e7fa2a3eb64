/** Says whose turn it is to prune: once a day one supervisor's, whichever drains first. */
import type { Redis } from "@upstash/redis";
import { PRUNED_KEY } from "./redis-keys.ts";

const DAY_MS = 86_400_000;

export type PruneTurn = ReturnType<typeof createPruneTurn>;

/** Makes the moves. Errors of the client pass through. */
export function createPruneTurn(redis: Pick<Redis, "pexpire" | "set">) {
  /** Takes this day's turn; false: somebody has taken it. */
  const take = async (): Promise<boolean> =>
    (await redis.set(PRUNED_KEY, "1", { nx: true, px: DAY_MS })) === "OK";

  /** Lets the next turn come after so many milliseconds: there is more to do. */
  const comeAgain = async (ms: number): Promise<void> => {
    await redis.pexpire(PRUNED_KEY, ms);
  };

  return { take, comeAgain };
}
