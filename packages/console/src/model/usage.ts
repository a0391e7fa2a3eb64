/** Sums the use of ingest by key, who sent most first. */
import type { UsageHour } from "../../../../lib/contract/usage.ts";

export type KeyUse = Omit<UsageHour, "hour" | "stream">;

/** `hours`: one for each hour, key and stream. */
export function usageByKey(hours: readonly UsageHour[]): KeyUse[] {
  const byKey = new Map<string | null, KeyUse>();
  for (const { hour: _, stream: __, ...use } of hours) {
    const before = byKey.get(use.key);
    byKey.set(use.key, before === undefined ? use : sumOf(before, use));
  }
  return [...byKey.values()].sort((a, b) => b.accepted - a.accepted);
}

const sumOf = (a: KeyUse, b: KeyUse): KeyUse => ({
  key: a.key,
  accepted: a.accepted + b.accepted,
  rejected: a.rejected + b.rejected,
  throttled: a.throttled + b.throttled,
  shed: a.shed + b.shed,
  bytes: a.bytes + b.bytes,
});
