/**
 * The questions that the doctor asks one server: one after another, so that a look costs a server that is short of connections only one,
 * and each within its own time. Later questions are refused at once if the first found that the server is away, and none begins
 * when the run is nearly over.
 */
import { oneAtATime } from "../flow/one-at-a-time.ts";

/** A question had no answer in its time. Whatever was asked ends by its client's own timeout. */
export class TookTooLong extends Error {
  override name = "TookTooLong";

  constructor(ms: number) {
    super(`it took longer than ${(ms / 1000).toLocaleString("en-US")} s`);
  }
}

/** How long one question may take, in milliseconds: longer than the clients' own timeouts. */
const QUESTION_MAX_MS = 3000;
/** From the beginning of a run on, in milliseconds: no question begins later, so that the run is over within 10 s. */
const LAST_BEGINS_MS = 6500;

interface Deps {
  /** A clock that is never set back. */
  monotonicMs: () => number;
  /** Whether the failure of the first question means that no other would be answered. */
  isAway: (error: unknown) => boolean;
}

export class Questions {
  readonly #deps: Deps;
  readonly #lastBeginsAtMs: number;
  readonly #inTurn = oneAtATime();
  #away: unknown;
  #isFirst = true;

  /** The run begins now. */
  constructor(deps: Deps) {
    this.#deps = deps;
    this.#lastBeginsAtMs = deps.monotonicMs() + LAST_BEGINS_MS;
  }

  /** Asks when its turn comes. Throws what the question throws, what the first one threw if the server is away, or TookTooLong. */
  ask<Answer>(question: () => Promise<Answer>): Promise<Answer> {
    const isFirst = this.#isFirst;
    this.#isFirst = false;
    const answer = this.#inTurn(() => this.#askNow(question, isFirst));
    answer.catch(() => {}); // whoever waits for it hears of it
    return answer;
  }

  async #askNow<Answer>(question: () => Promise<Answer>, isFirst: boolean): Promise<Answer> {
    if (this.#away !== undefined) throw this.#away;
    if (this.#deps.monotonicMs() > this.#lastBeginsAtMs) throw new TookTooLong(LAST_BEGINS_MS);
    try {
      return await within(QUESTION_MAX_MS, question());
    } catch (error) {
      if (isFirst && (error instanceof TookTooLong || this.#deps.isAway(error))) this.#away = error;
      throw error;
    }
  }
}

async function within<Answer>(ms: number, answer: Promise<Answer>): Promise<Answer> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new TookTooLong(ms)), ms);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}
