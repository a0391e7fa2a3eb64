/**
 * Asks Redis what waits and what is paused, for all who look on together. While nothing changes it costs one command an interval: the question whether
 * something has changed. If something has, here or there, it looks at everything, once an interval at most. Nobody who looks on: it is
 * never asked.
 */
import type { StreamWaiting, Waiting, WaitingLook } from "../buffer/waiting.ts";
import type { LiveWaiting } from "../contract/live-history.ts";
import type { LivePauses } from "./live-pauses.ts";
import type { LiveRing } from "./live-ring.ts";

interface Deps {
  waiting: WaitingLook;
  pauses: LivePauses;
  ring: LiveRing;
  monotonicMs: () => number;
  everyMs: number;
}

export class LivePoll {
  readonly #deps: Deps;
  #last: Waiting | undefined;
  /** What the newest line of counts says, as JSON, and its cursor. */
  #said: string | undefined;
  #saidAt = 0;
  /** The cursor up to which the history is taken into account. */
  #seen = 0;
  #turn = 0;
  #nextAtMs = Number.NEGATIVE_INFINITY;
  #isAsking = false;

  constructor(deps: Deps) {
    this.#deps = deps;
  }

  /** Forgets what it knew: somebody looks on again. */
  restart(): void {
    this.#last = undefined;
    this.#said = undefined;
    this.#nextAtMs = Number.NEGATIVE_INFINITY;
  }

  /** Says again what waits, if the line that said it is not kept any more. */
  sayAgain(): void {
    if (this.#said === undefined || this.#saidAt >= this.#deps.ring.oldest) return;
    this.#say(JSON.parse(this.#said) as LiveWaiting[] | null);
  }

  /** Asks, if it is time. Call it often. */
  beat(): void {
    const nowMs = this.#deps.monotonicMs();
    if (this.#isAsking || nowMs < this.#nextAtMs) return;
    this.#isAsking = true;
    this.#nextAtMs = nowMs + this.#deps.everyMs;
    void this.#ask().finally(() => {
      this.#isAsking = false;
    });
  }

  /** Never rejects. */
  async #ask(): Promise<void> {
    const { waiting, ring, pauses } = this.#deps;
    try {
      const seen = ring.newest;
      const told = pauses.told();
      const last = seen === this.#seen ? this.#last : undefined; // what happened here changed something
      if (last && !(await waiting.hasChanged(last, this.#turn++))) return;
      const found = await waiting.look();
      this.#last = found;
      this.#seen = seen;
      this.#note(() => pauses.see(found.pauses, told));
      this.#sayIfNew(found.streams.map(describe));
    } catch {
      this.#last = undefined;
      this.#sayIfNew(null);
    }
  }

  #sayIfNew(streams: readonly LiveWaiting[] | null): void {
    const text = JSON.stringify(streams);
    if (text === this.#said) return;
    this.#said = text;
    this.#say(streams);
  }

  #say(streams: readonly LiveWaiting[] | null): void {
    const { ring } = this.#deps;
    this.#note(() => ring.note({ kind: "counts", streams }));
    this.#saidAt = ring.newest;
  }

  /** Notes lines of its own, which are no reason to look again. */
  #note(work: () => void): void {
    const { ring } = this.#deps;
    const isAlone = this.#seen === ring.newest;
    work();
    if (isAlone) this.#seen = ring.newest;
  }
}

const describe = (one: StreamWaiting): LiveWaiting => ({
  stream: one.stream,
  pending: one.pending,
  sealed: one.sealed,
  claimed: one.claimed,
  oldestReceivedAt: one.oldestReceivedAt ?? null,
  heldPartitions: one.heldPartitions,
  heldSinceAt: one.heldSinceMs === undefined ? null : new Date(one.heldSinceMs).toISOString(),
});
