/**
 * Shares one thread among long pieces of work, so that none of them stalls it. Work is cut into steps. All steps together get a
 * few milliseconds in each turn of the event loop; what is left waits for the next turn, and the work that has used the least
 * time goes first (least attained service). So many large requests slow one another down, and a small one passes them. In each
 * fourth turn the one that has waited longest goes first, so that no stream of small ones keeps a large one out.
 *
 * A small request needs several turns of the event loop for what is not parsing, and waits for the steps of each. So while small ones
 * come, turns are short. Else they are long, because each turn costs time, too. And while small ones come and only one or two large ones
 * wait, the thread rests between turns: the time is there, and a small request, its answer from Redis and whatever else runs on the same
 * core find it free.
 */

/** The time for steps in one turn of the event loop, in milliseconds: usually, and while small work comes. One step may take longer. */
const TURN_MS = 5;
const SHORT_TURN_MS = 0.5;
/** Small is work that took less than this in all, in milliseconds; and for so long after it turns are short. */
const SMALL_MS = 0.5;
const SMALL_COMES_MS = 50;
const OLDEST_FIRST_EVERY = 4;
/** The rest between two turns, in milliseconds, and the most works that may wait meanwhile: with more, there is no time to give away. */
const REST_MS = 1;
const RESTING_MAX = 2;

/** One piece of work, as the turns know it: what it has used so far, in milliseconds. */
export interface Work {
  spentMs: number;
}

interface Waiting {
  work: Work;
  resume: () => void;
}

/** Does a little work. Returns whether there is more. */
export type Step = () => boolean;

/**
 * Gives turns.
 *
 * @example
 * const work = { spentMs: 0 };
 * const waiting = turns.run(work, () => queue.handleNext()); // undefined: all of it ran at once
 * if (waiting) await waiting;
 */
export class CpuTurns {
  readonly #monotonicMs: () => number;
  readonly #waiting: Waiting[] = [];
  #leftMs = TURN_MS;
  #turns = 0;
  /** Between the end of a turn and the next: the event loop looks at everything else, or rests. */
  #between: "nothing" | "round" | "rest" = "nothing";
  /** When the last step ended, and the last step of small work. */
  #endedAtMs = 0;
  #smallAtMs = Number.NEGATIVE_INFINITY;

  constructor(monotonicMs: () => number = () => performance.now()) {
    this.#monotonicMs = monotonicMs;
  }

  /** Repeats the step until there is no more: at once if there is time for it, else over several turns. Throws its error. */
  run(work: Work, step: Step): Promise<void> | undefined {
    const isFree = this.#waiting.length === 0 || this.#between === "rest";
    if (isFree) this.#refill();
    const isDone = isFree && this.#leftMs > 0 && this.#runSome(work, step);
    return isDone ? undefined : this.#runLater(work, step);
  }

  /** Notes that all of a work is done. */
  end({ spentMs }: Work): void {
    if (spentMs < SMALL_MS) this.#smallAtMs = this.#endedAtMs;
  }

  #isSmallComing(nowMs: number): boolean {
    return nowMs - this.#smallAtMs < SMALL_COMES_MS;
  }

  #turnMs(nowMs: number): number {
    return this.#isSmallComing(nowMs) ? SHORT_TURN_MS : TURN_MS;
  }

  async #runLater(work: Work, step: Step): Promise<void> {
    let isCut = false;
    do {
      await new Promise<void>((resume) => {
        if (isCut) this.#waiting.unshift({ work, resume });
        else this.#waiting.push({ work, resume });
        isCut = true;
        this.#endTurn();
      });
    } while (!this.#runSome(work, step));
  }

  /** Runs steps while the turn has time. Returns whether all are done. */
  #runSome(work: Work, step: Step): boolean {
    const startedAtMs = this.#monotonicMs();
    let spentMs = 0;
    try {
      for (;;) {
        if (!step()) return true;
        spentMs = this.#monotonicMs() - startedAtMs;
        if (spentMs >= this.#leftMs) return false;
      }
    } finally {
      spentMs = this.#monotonicMs() - startedAtMs;
      work.spentMs += spentMs;
      this.#leftMs -= spentMs;
      this.#endedAtMs = startedAtMs + spentMs;
      if (this.#waiting.length > 0) this.#endTurn();
      this.#resumeNext();
    }
  }

  /** While nothing else runs, time without steps fills the turn's time up. So no turn need be ended, which costs a round of the loop. */
  #refill(): void {
    const now = this.#monotonicMs();
    this.#leftMs = Math.min(this.#turnMs(now), this.#leftMs + Math.max(0, now - this.#endedAtMs));
    this.#endedAtMs = now;
  }

  /** Begins the next turn once the event loop has looked at everything else, or after a rest. */
  #endTurn(): void {
    if (this.#between !== "nothing") return;
    const isResting = this.#waiting.length <= RESTING_MAX && this.#isSmallComing(this.#endedAtMs);
    this.#between = isResting ? "rest" : "round";
    if (isResting) setTimeout(this.#beginTurn, REST_MS);
    else setImmediate(this.#beginTurn);
  }

  readonly #beginTurn = (): void => {
    this.#between = "nothing";
    this.#leftMs = this.#turnMs(this.#endedAtMs);
    this.#turns += 1;
    this.#resumeNext();
  };

  /** Lets the next waiting work go on if the turn has time left. */
  #resumeNext(): void {
    if (this.#leftMs > 0 && this.#between !== "rest") this.#takeNext()?.resume();
  }

  /** Takes out the waiting work that has used the least time, or the one that has waited longest. */
  #takeNext() {
    if (this.#turns % OLDEST_FIRST_EVERY === 0) return this.#waiting.shift();
    let least = 0;
    for (let i = 1; i < this.#waiting.length; i++)
      if (turnsUsed(this.#waiting[i]) < turnsUsed(this.#waiting[least])) least = i;
    return this.#waiting.splice(least, 1)[0];
  }
}

const turnsUsed = (waiting: Waiting | undefined): number =>
  Math.floor((waiting?.work.spentMs ?? 0) / TURN_MS);
