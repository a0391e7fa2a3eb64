/**
 * Tries one held letter without company: one whose insert took too long, or broke the connection to Postgres, which may restart the
 * server. Such letters come after all others (retry-held.ts), and the first that gets no verdict ends the call's tries of its stream.
 */
import type { Stream } from "../schema/stream.ts";
import { BREAKS } from "../store/letter.ts";
import type { DrainCall, DrainDeps } from "./drain-call.ts";
import { NO_LETTER, type PageResult, retryPage } from "./retry-page.ts";

/** Times that an event may break the connection alone; then it is dead. A time in the buffer counts. */
const BREAKS_MAX = 3;

/**
 * Takes the next letter, which counts its try, and tries it. Postgres answered the taking, so what breaks after that is counted. It
 * must be the stream's turn: a letter that is taken and not tried would be blamed for it. Throws what the store throws in any
 * statement but the letter's own insert.
 */
export async function retryNextAlone(deps: DrainDeps, call: DrainCall, stream: Stream): Promise<PageResult> {
  const [letter] = await deps.store.takeHeld(stream, "alone");
  if (letter === undefined) return NO_LETTER;
  const { id, reason, tries } = letter;
  if (reason !== BREAKS || tries <= BREAKS_MAX)
    return retryPage(deps, call, stream, [letter], { isAlone: true });
  const verdict = { id, sqlstate: undefined, reason, tries: BREAKS_MAX, isDead: true };
  await deps.store.settleHeld(stream, [], [verdict]);
  deps.log.warn("event.buried", { stream: stream.name, id, reason });
  return { ...NO_LETTER, dead: 1, refusedIds: [id] };
}
