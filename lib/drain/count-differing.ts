/** Counts duplicates that hold another event than the stored one: two events of a sender's have one id. */
import type { Log } from "../log.ts";
import type { Stream } from "../schema/stream.ts";
import type { Store } from "../store/store.ts";
import { tableNameOf } from "../store/stream-table.ts";
import { stoppedBy, type Written } from "../store/written.ts";

/**
 * Compares the duplicates of a batch with what is stored, in one statement, and logs how many differ. A failure of Postgres is logged and
 * counts none: the batch is settled, whatever comes out.
 */
export async function countDiffering(
  { store, log }: { store: Pick<Store, "differing">; log: Log },
  stream: Stream,
  where: Record<string, unknown>,
  { duplicates, there }: Pick<Written, "duplicates" | "there">,
): Promise<number> {
  if (there.length === 0) return 0;
  try {
    const ids = await store.differing(stream, there);
    // A trigger that changes what is stored makes new rows differ, too.
    const differing = Math.min(ids.length, duplicates);
    if (differing > 0) log.warn("duplicate.differed", { ...where, events: differing, example: ids[0] });
    return differing;
  } catch (error) {
    const { sqlstate, reason } = stoppedBy(error, tableNameOf(stream));
    log.warn("duplicate.not-compared", { ...where, events: duplicates, sqlstate, reason });
    return 0;
  }
}
