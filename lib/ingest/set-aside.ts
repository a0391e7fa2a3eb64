/**
 * Sets events aside that Postgres refused, without proof, while their sender waited: they are held, and tried again by
 * themselves, so that nothing hangs on the sender. Its answer is 503 with ids, because nothing is promised.
 */
import type { Buffer } from "../buffer/buffer.ts";
import type { HeldNotes } from "../buffer/held-note.ts";
import { isOfRedis } from "../buffer/redis-errors.ts";
import type { Log } from "../log.ts";
import type { Envelope } from "../schema/envelope.ts";
import type { Registry } from "../schema/registry.ts";
import type { Stream } from "../schema/stream.ts";
import { letterOf } from "../store/letter.ts";
import { logLetters } from "../store/letter-log.ts";
import { isForeignKey, pointsAtTable } from "../store/proof.ts";
import { setLettersAside } from "../store/set-aside.ts";
import type { Store } from "../store/store.ts";
import { type Refused, stoppedBy } from "../store/written.ts";

interface Deps {
  store: Pick<Store, "bury" | "deadAmong">;
  buffer: Pick<Buffer, "isEmpty">;
  heldNotes: Pick<HeldNotes, "note">;
  streams: Registry;
  log: Log;
}

/** An event that Postgres refused, and why. */
export interface RefusedEnvelope {
  envelope: Envelope;
  why: Omit<Refused, "row">;
}

/**
 * Makes the one way in which this instance sets events aside. It returns the ids of those that are proven to be at fault after
 * all: their foreign key has a witness, and nothing is buffered that might bring the missing row; or the same event is a dead
 * letter already. The others are held, unless Redis or Postgres does not answer now.
 */
export function createSetAside({ store, buffer, heldNotes, streams, log }: Deps) {
  async function hold(stream: Stream, refused: readonly RefusedEnvelope[]): Promise<Set<string>> {
    const letters = refused.map(({ envelope, why: { sqlstate, reason } }) =>
      letterOf(stream, envelope, { sqlstate, reason, isHeld: true }),
    );
    await setLettersAside({ store, heldNotes }, stream, letters);
    const dead = await store.deadAmong(
      stream,
      letters.map(({ id }) => id),
    );
    logLetters(
      log,
      stream,
      letters.filter(({ id }) => !dead.has(id)),
    );
    return dead;
  }

  return async function setAside(stream: Stream, refused: readonly RefusedEnvelope[]): Promise<Set<string>> {
    const found = refused.find(({ why }) => pointsAtTable(why));
    if (found) {
      const { sqlstate, reason } = found.why;
      log.error("store.misconfigured", { stream: stream.name, sqlstate, reason });
    }
    try {
      const orphans = refused.filter(({ why }) => why.isWitnessed && isForeignKey(why));
      const mayCome = orphans.length === 0 || !(await buffer.isEmpty([...streams.keys()]));
      const proven = new Set(mayCome ? [] : orphans.map(({ envelope }) => envelope.id));
      const others = refused.filter(({ envelope }) => !proven.has(envelope.id));
      const dead = others.length > 0 ? await hold(stream, others) : [];
      return new Set([...proven, ...dead]);
    } catch (error) {
      const reason = isOfRedis(error) ? "Redis does not answer" : stoppedBy(error).reason;
      log.warn("event.not-held", { stream: stream.name, letters: refused.length, reason });
      return new Set();
    }
  };
}
