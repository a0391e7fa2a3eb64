/**
 * The check at start: compares each stream's table with its declaration, once in a process, and logs what differs. It is begun beside the
 * first request, because Cloud Run gives a process no CPU without one, and again beside a later one if Postgres gave no answer.
 */
import { describeError, type Log } from "../log.ts";
import type { Registry } from "../schema/registry.ts";
import type { TableCheck } from "../store/table-check.ts";

interface Deps {
  tables: Pick<TableCheck, "differencesOfAll">;
  streams: Registry;
  log: Log;
}

/** Makes the check. It resolves when the tables are compared, or could not be; it never rejects. */
export function createStartCheck({ tables, streams, log }: Deps): () => Promise<void> {
  let checking: Promise<void> | undefined;

  async function check(): Promise<void> {
    const all = [...streams.values()];
    try {
      const found = await tables.differencesOfAll(all);
      if (found.includes(undefined)) checking = undefined;
      else
        for (const [i, { name }] of all.entries())
          if (found[i]?.length) log.warn("table.differs", { stream: name, differences: found[i] });
    } catch (error) {
      log.error("table.not-compared", describeError(error));
    }
  }

  return () => {
    checking ??= check();
    return checking;
  };
}
