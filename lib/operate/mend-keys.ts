/**
 * Mends the copy of the keys where its version is not the table's: a change that could not be copied, or a Redis that came back from an
 * older state. It is asked after a drain call that has reached Postgres anyway, so that an idle database is not woken.
 */
import type { KeyCopy } from "../buffer/key-copy.ts";
import { parseGeneration } from "../key-set.ts";
import { describeError, type Log } from "../log.ts";
import type { KeyStore } from "../store/key-store.ts";

interface Deps {
  keys: Pick<KeyStore, "version">;
  keyCopy: Pick<KeyCopy, "generation">;
  renewKeyCopy(): Promise<{ isCopied: boolean }>;
  /** A clock that is never set back. */
  monotonicMs: () => number;
  log: Log;
}

/** How often it looks at most, in milliseconds: while events come, drain calls follow one another. */
const LOOK_EVERY_MS = 5000;

/** Compares the versions, and replaces the copy if they differ. Returns whether it was replaced. Throws what the servers' clients throw. */
export async function mendKeyCopy({ keys, keyCopy, renewKeyCopy, log }: Deps): Promise<boolean> {
  const [version, text] = await Promise.all([keys.version(), keyCopy.generation()]);
  const copied = parseGeneration(text)?.version ?? 0; // without a copy and without a key, nothing is to be mended
  if (copied === version) return false;
  const { isCopied } = await renewKeyCopy();
  log.warn("keys.mended", { isCopied, version, copied });
  return isCopied;
}

/** Makes the function that a drain call calls. It looks every 5 s at most, and never rejects. */
export function createKeyMender(deps: Deps): () => Promise<void> {
  let nextAtMs = 0;
  return async () => {
    const nowMs = deps.monotonicMs();
    if (nowMs < nextAtMs) return;
    nextAtMs = nowMs + LOOK_EVERY_MS;
    await mendKeyCopy(deps).catch((error: unknown) => deps.log.warn("keys.not-mended", describeError(error)));
  };
}
