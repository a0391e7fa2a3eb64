/** Events as ingest would have buffered them, for a backlog, and the same events as rows for the bare client. */

import { eventMaker } from "../dev/load/payloads.ts";
import { encodeEnvelope, packEnvelope } from "../lib/schema/envelope.ts";
import { newId } from "../lib/schema/event-ids.ts";
import type { Stack } from "./stack.ts";

export type OneKind = "gps" | "webhooks";

export const streamOf = (kind: OneKind) => (kind === "gps" ? "locations" : "events");

const PARTITIONS = 8;
/**
 * Rows that either side of the drain writes before the clock starts: a spike finds a process that has drained before, and
 * V8 compiles most in the first hundreds of batches. Fewer where rows are 10 KB.
 */
export const WARMUP_ROWS: Record<OneKind, number> = { gps: 50_000, webhooks: 10_000 };
/** As many as the shares of ingest instances that push by turns. */
const PER_PUSH = 250;

/** Pushes a backlog of `count` events over so many partitions, and returns their ids. */
export async function pushBacklog(
  { redis }: Stack,
  kind: OneKind,
  count: number,
  partitions = PARTITIONS,
): Promise<string[]> {
  const make = eventMaker(kind);
  const ids: string[] = [];
  const receivedAt = new Date().toISOString();
  for (let at = 0; at < count; at += PER_PUSH) {
    const envelopes: string[] = [];
    for (let i = at; i < Math.min(count, at + PER_PUSH); i++) {
      const id = newId();
      ids.push(id);
      envelopes.push(
        encodeEnvelope(packEnvelope({ v: 1, id, receivedAt, dataJson: JSON.stringify(make(i)) })),
      );
    }
    await redis.lpush(`{spillway}:${streamOf(kind)}:pending:${(at / PER_PUSH) % partitions}`, ...envelopes);
  }
  return ids;
}
