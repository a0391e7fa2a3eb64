/** Reads the answers of `GET /usage` and `GET /refusals`: who sent how much, what was refused, and why. */
import type { Refusal, RefusalLists } from "../buffer/refusal-lists.ts";
import type { UsageFilter, UsageRow, UsageStore } from "../store/usage-store.ts";

/** The rows of one answer: a week of 50 keys with a stream each. */
const ROWS_MAX = 10_000;

/** The use of ingest; usage-stream.ts says what is counted. */
export interface UsageReport {
  since: string;
  until: string;
  /** One for each hour, key and stream, the newest hour first. */
  hours: UsageRow[];
  /** Whether there is more than one answer takes; ask for less. */
  isCut: boolean;
}

/** Reads the use of some hours. Throws what the store throws. */
export async function readUsage(
  { usage }: { usage: Pick<UsageStore, "read"> },
  filter: UsageFilter,
): Promise<UsageReport> {
  const rows = await usage.read(filter, ROWS_MAX + 1);
  const { since, until } = filter;
  return { since, until, hours: rows.slice(0, ROWS_MAX), isCut: rows.length > ROWS_MAX };
}

/** The last refusals of a stream, the newest first. */
export interface RefusalsReport {
  /** null: those of requests that named no known stream, or showed no known key. */
  stream: string | null;
  refusals: Refusal[];
}

/** Reads the last refusals of a stream. A text that is not of ours is left out. Throws what Redis's client throws. */
export async function readRefusals(
  { refusals }: { refusals: Pick<RefusalLists, "read"> },
  stream: string | undefined,
): Promise<RefusalsReport> {
  const texts = [...new Set(await refusals.read(stream))]; // one that was written again stands there twice
  return { stream: stream ?? null, refusals: texts.flatMap(parse) };
}

function parse(text: string): Refusal[] {
  try {
    const refusal = JSON.parse(text) as Refusal | null;
    return typeof refusal?.at === "string" ? [refusal] : [];
  } catch {
    return [];
  }
}
