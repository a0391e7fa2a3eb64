/** Says why nothing more of a stream is written, or that its table is at fault: in the log, and in the reason that is kept. */
import type { Log } from "../log.ts";
import type { Stream } from "../schema/stream.ts";
import type { TableCheck } from "./table-check.ts";
import type { Stopped } from "./written.ts";

interface Deps {
  tables: Pick<TableCheck, "differencesOf">;
  log: Log;
}

/**
 * Logs a stop with the fields of `where`, and returns it with the whole reason: how the table differs from its declaration is
 * added, because the SQLSTATE alone may name no column.
 */
export async function sayStopped(
  { tables, log }: Deps,
  stream: Stream,
  where: Record<string, unknown>,
  stopped: Stopped,
): Promise<Stopped> {
  const isMisconfigured = stopped.outcome === "misconfigured";
  const [difference] =
    isMisconfigured && stopped.sqlstate !== undefined ? await tables.differencesOf(stream) : [];
  const reason = difference === undefined ? stopped.reason : `${stopped.reason}; ${difference}`;
  const fields = { stream: stream.name, ...where, sqlstate: stopped.sqlstate, reason };
  if (isMisconfigured) log.error("store.misconfigured", fields);
  else log.warn("store.unavailable", fields);
  return { ...stopped, reason };
}
