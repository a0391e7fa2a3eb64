/** Sums the use of ingest by key or by stream, who sent most first. */
import type { UsageHour } from "../../../../lib/contract/usage.ts";

type By = "key" | "stream";

export interface Use extends Omit<UsageHour, "hour" | By> {
  /** The key or the stream; null: none that is known. */
  name: string | null;
}

/** `hours`: one for each hour, key and stream. */
export function usageBy(by: By, hours: readonly UsageHour[]): Use[] {
  const found = new Map<string | null, Use>();
  for (const { accepted, rejected, throttled, shed, bytes, [by]: name } of hours) {
    const use = { name, accepted, rejected, throttled, shed, bytes };
    const before = found.get(name);
    found.set(name, before === undefined ? use : sumOf(before, use));
  }
  return [...found.values()].sort((a, b) => b.accepted - a.accepted);
}

const sumOf = (a: Use, b: Use): Use => ({
  name: a.name,
  accepted: a.accepted + b.accepted,
  rejected: a.rejected + b.rejected,
  throttled: a.throttled + b.throttled,
  shed: a.shed + b.shed,
  bytes: a.bytes + b.bytes,
});
