/** Says why a stream's table refuses what senders wait for: once a minute for each stream, however many send. */
import type { Log } from "../log.ts";
import type { Stream } from "../schema/stream.ts";
import { sayStopped } from "../store/say-stopped.ts";
import type { TableCheck } from "../store/table-check.ts";
import type { Stopped } from "../store/written.ts";

const SAID_MS = 60_000;

interface Deps {
  tables: Pick<TableCheck, "differencesOf">;
  log: Log;
  monotonicMs: () => number;
}

/** Makes the one way in which this instance says it. Other stops than `misconfigured` are not said: their senders come again. */
export function createSayRefused({ tables, log, monotonicMs }: Deps) {
  const saidAtMs = new Map<string, number>();
  return async function sayRefused(
    stream: Stream,
    stopped: Stopped | "abandoned" | undefined,
  ): Promise<void> {
    if (typeof stopped !== "object" || stopped.outcome !== "misconfigured") return;
    const nowMs = monotonicMs();
    if (nowMs < (saidAtMs.get(stream.name) ?? Number.NEGATIVE_INFINITY) + SAID_MS) return;
    saidAtMs.set(stream.name, nowMs);
    await sayStopped({ tables, log }, stream, {}, stopped);
  };
}
