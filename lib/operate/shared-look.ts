/**
 * One look at what waits in Redis for everybody who asks at about the same time: the live poll looks when it has to, and metrics take its
 * last look while that is young. Nobody who asks: Redis is not asked.
 */
import type { Waiting, WaitingLook } from "../buffer/waiting.ts";

interface Options {
  /** A clock that is never set back. */
  monotonicMs: () => number;
  /** A look is young for so long, in milliseconds. */
  youngMs: number;
}

export class SharedLook implements WaitingLook {
  readonly #look: WaitingLook;
  readonly #options: Options;
  #newest: { waiting: Waiting; atMs: number } | undefined;
  #underWay: Promise<Waiting> | undefined;

  constructor(look: WaitingLook, options: Options) {
    this.#look = look;
    this.#options = options;
  }

  /** Looks now. Throws what Redis's client throws. */
  async look(): Promise<Waiting> {
    const atMs = this.#options.monotonicMs();
    const waiting = await this.#look.look();
    this.#newest = { waiting, atMs };
    return waiting;
  }

  /** Asks whether something has changed since a look; if not, and it is the newest, that look is young again. */
  async hasChanged(last: Waiting, turn: number): Promise<boolean> {
    const atMs = this.#options.monotonicMs();
    const hasChanged = await this.#look.hasChanged(last, turn);
    if (!hasChanged && this.#newest?.waiting === last) this.#newest = { waiting: last, atMs };
    return hasChanged;
  }

  /** The newest look if it is young, and else a new one, which all who ask meanwhile share. Throws what Redis's client throws. */
  recent(): Promise<Waiting> {
    const { monotonicMs, youngMs } = this.#options;
    if (this.#newest && monotonicMs() - this.#newest.atMs < youngMs)
      return Promise.resolve(this.#newest.waiting);
    this.#underWay ??= this.look().finally(() => {
      this.#underWay = undefined;
    });
    return this.#underWay;
  }
}
