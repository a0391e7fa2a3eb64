/** Reads the answers of `GET /usage` and `GET /refusals`: who sent how much, what was refused, and why. */
import type { RefusalLists } from "../buffer/refusal-lists.ts";
import type { RefusalReport, RefusalsReport, UsageReport } from "../contract/usage.ts";
import type { UsageFilter, UsageStore } from "../store/usage-store.ts";

/** The rows of one answer: a week of 50 keys with a stream each. */
const ROWS_MAX = 10_000;

/** Reads the use of some hours. Throws what the store throws. */
export async function readUsage(
  { usage }: { usage: Pick<UsageStore, "read"> },
  filter: UsageFilter,
): Promise<UsageReport> {
  const rows = await usage.read(filter, ROWS_MAX + 1);
  const { since, until } = filter;
  return { since, until, hours: rows.slice(0, ROWS_MAX), isCut: rows.length > ROWS_MAX };
}

/** Reads the last refusals of a stream. A text that is not of ours is left out. Throws what Redis's client throws. */
export async function readRefusals(
  { refusals }: { refusals: Pick<RefusalLists, "read"> },
  stream: string | undefined,
): Promise<RefusalsReport> {
  const texts = [...new Set(await refusals.read(stream))]; // one that was written again stands there twice
  return { stream: stream ?? null, refusals: texts.flatMap(parse) };
}

function parse(text: string): RefusalReport[] {
  try {
    const refusal = JSON.parse(text) as RefusalReport | null;
    return typeof refusal?.at === "string" ? [refusal] : [];
  } catch {
    return [];
  }
}
