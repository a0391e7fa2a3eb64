/** Says what became of a batch, for people who look on: one small object a batch. */
import type { Batch } from "../buffer/buffer.ts";
import type { Partition } from "../buffer/redis-keys.ts";
import { LIVE_IDS_MAX } from "../contract/live-bounds.ts";
import type { LiveHappening } from "../contract/live-history.ts";
import type { ReadRow } from "./read-batch.ts";
import type { Settled } from "./settle-batch.ts";

/** Where it is noted. */
export interface Lookers {
  note(happening: LiveHappening): void;
}

/** What became of a batch that was settled, or stopped, at that moment by the wall clock. */
export function happeningOf(
  { stream, index: partition }: Partition,
  { envelopes }: Batch,
  settled: Settled,
  nowMs: number,
): LiveHappening {
  const { stored, duplicates, superseded, held, dead, stopped, seen } = settled;
  if (stopped === "abandoned")
    return { kind: "stopped", stream, partition, outcome: stopped, sqlstate: null, reason: null };
  if (stopped) {
    const { outcome, sqlstate = null, reason } = stopped;
    return { kind: "stopped", stream, partition, outcome, sqlstate, reason };
  }
  const { rows, refused, insertMs } = seen;
  let bytes = 0;
  for (const { length } of envelopes) bytes += length;
  return {
    ...{ kind: "batch", stream, partition, rows: envelopes.length, bytes },
    ...{ stored, duplicates, superseded, held, dead },
    ids: idsOf(rows, refused),
    oldestLagMs: lagOf(rows[0], nowMs),
    newestLagMs: lagOf(rows.at(-1), nowMs),
    insertMs: Math.round(insertMs),
  };
}

function idsOf(rows: readonly ReadRow[], refused: readonly { row: ReadRow }[]): string[] {
  const aside = new Set(refused.map(({ row }) => row));
  const ids: string[] = [];
  for (const row of rows) {
    if (ids.length === LIVE_IDS_MAX) break;
    if (!aside.has(row)) ids.push(row.id);
  }
  return ids;
}

const lagOf = (row: ReadRow | undefined, nowMs: number): number =>
  row === undefined ? 0 : Math.max(0, nowMs - Date.parse(row.receivedAt));
