/**
 * Accepts what is a dead letter already when it comes: a webhook that became no event. It goes the way of events, so that it needs no
 * Postgres: the drain finds a text that is no envelope, and buries it. If Redis is away, it is buried at once.
 */
import { isPast, TooLate, waitUntil } from "../flow/deadline.ts";
import type { Log } from "../log.ts";
import type { Pushable } from "../schema/envelope.ts";
import type { Stream } from "../schema/stream.ts";
import { encodeDelivery, type UnmadeDelivery } from "../schema/webhook-letter.ts";
import { type Letter, letterOfDelivery } from "../store/letter.ts";
import { logLetters } from "../store/letter-log.ts";
import type { Store } from "../store/store.ts";
import { stoppedBy } from "../store/written.ts";
import { BufferUnavailable, Shed } from "./push.ts";

interface Deps {
  push(stream: string, texts: readonly Pushable[], deadlineAtMs: number): Promise<void>;
  bury: Bury;
}

/** Buries a letter; false: Postgres did not say that it has it. */
export type Bury = (stream: Stream, letter: Letter) => Promise<boolean>;

/** Makes the one way in which this instance buries what its senders can't mend. */
export function createBury({ store, log }: { store: Pick<Store, "bury">; log: Log }): Bury {
  return async (stream, letter) => {
    try {
      await store.bury(stream, [letter]);
    } catch (error) {
      const { sqlstate, reason } = stoppedBy(error);
      log.warn("event.not-buried", { stream: stream.name, id: letter.id, sqlstate, reason });
      return false;
    }
    logLetters(log, stream, [letter]);
    return true;
  };
}

/** What became of it. "unanswered": nobody said in time that it is kept. */
export type AcceptedLetter = "buffered" | "buried" | "shed" | "unanswered";

/** Accepts a delivery that became no event. May be repeated: its id follows from it. */
export async function acceptDelivery(
  deps: Deps,
  stream: Stream,
  delivery: UnmadeDelivery,
  deadlineAtMs: number,
): Promise<AcceptedLetter> {
  const accepted = await waitUntil(deadlineAtMs, pushOrBury(deps, stream, delivery, deadlineAtMs));
  return accepted === "late" ? "unanswered" : accepted;
}

async function pushOrBury(
  { push, bury }: Deps,
  stream: Stream,
  delivery: UnmadeDelivery,
  deadlineAtMs: number,
): Promise<AcceptedLetter> {
  const text = encodeDelivery(delivery);
  try {
    await push(stream.name, [{ text }], deadlineAtMs);
    return "buffered";
  } catch (error) {
    if (error instanceof Shed) return "shed";
    if (error instanceof TooLate) return "unanswered";
    if (!(error instanceof BufferUnavailable)) throw error;
  }
  if (isPast(deadlineAtMs)) return "unanswered";
  return (await bury(stream, letterOfDelivery(stream, delivery, text))) ? "buried" : "unanswered";
}
