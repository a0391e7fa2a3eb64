/** Keeps warnings that come again and again from filling the terminal. */

/** The same warning is told again after this time. */
const AGAIN_MS = 60_000;
/** Warnings of one name in a second; of the others, how many there were. */
const TOLD_MAX = 5;
const SECOND_MS = 1000;
/** Texts that are remembered. */
const REMEMBERED_MAX = 1000;

export class Quiet {
  readonly #say: (text: string) => void;
  readonly #monotonicMs: () => number;
  readonly #saidAtMs = new Map<string, number>();
  #told = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;

  constructor(say: (text: string) => void, monotonicMs: () => number = () => performance.now()) {
    this.#say = say;
    this.#monotonicMs = monotonicMs;
  }

  /** Says a warning, unless it was said a moment ago, or too many of its name were. */
  say(name: string, text: string): void {
    const nowMs = this.#monotonicMs();
    if (nowMs < (this.#saidAtMs.get(text) ?? Number.NEGATIVE_INFINITY) + AGAIN_MS) return;
    if (this.#saidAtMs.size >= REMEMBERED_MAX) this.#saidAtMs.clear();
    this.#saidAtMs.set(text, nowMs);
    const told = this.#told.get(name) ?? 0;
    this.#told.set(name, told + 1);
    this.#timer ??= setTimeout(() => this.endSecond(), SECOND_MS).unref();
    if (told < TOLD_MAX) this.#say(text);
  }

  /** Says how many were not told. */
  endSecond(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const told = this.#told;
    this.#told = new Map();
    for (const [name, count] of told)
      if (count > TOLD_MAX) this.#say(`and ${count - TOLD_MAX} more: ${name}`);
  }
}
