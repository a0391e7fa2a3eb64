/**
 * Tries held letters without company, after all others: those whose insert took too long, or broke the connection to Postgres,
 * which may restart the server. After the first that is not stored the rest is left for the next call.
 */
import type { Stream } from "../schema/stream.ts";
import { BREAKS } from "../store/letter.ts";
import type { DrainCall, DrainDeps } from "./drain-call.ts";
import type { RetryReport } from "./retry-held.ts";
import { retryPage } from "./retry-page.ts";

/** Times that an event may break the connection alone; then it is dead. A time in the buffer counts. */
const BREAKS_MAX = 3;

/** Tries a stream's letters one by one. Throws what the store throws beside the letter's own insert. */
export async function retryAlone(deps: DrainDeps, call: DrainCall, stream: Stream): Promise<RetryReport> {
  const { store, slots, log } = deps;
  const report: RetryReport = { stream: stream.name, stored: 0, dead: 0, outcome: "empty" };
  for (;;) {
    if (call.isUnreachable || call.isWaiting(stream.name) || call.isStopping) return report;
    await store.ping(); // a try that nobody can answer for must not be counted
    const [letter] = await store.takeHeld(stream, "alone");
    if (letter === undefined) return report;
    const { id, reason, tries } = letter;
    if (reason === BREAKS && tries > BREAKS_MAX) {
      await store.settleHeld(
        stream,
        [],
        [{ id, sqlstate: undefined, reason, tries: BREAKS_MAX, isDead: true }],
      );
      log.warn("event.buried", { stream: stream.name, id, reason });
      report.dead += 1;
      continue;
    }
    const page = await slots.run(stream.name, () =>
      retryPage(deps, call, stream, [letter], { isAlone: true }),
    );
    if (page === "blocked") return report;
    report.stored += page.stored;
    report.dead += page.dead;
    if (page.outcome !== "empty") report.outcome = page.outcome;
    if (page.stored === 0 || call.isOver) return report;
  }
}
