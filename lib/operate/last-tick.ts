/** Remembers when this process was last told to drain everything. Redis does not know it: an idle tick is one EXISTS. */
export class LastTick {
  readonly #monotonicMs: () => number;
  readonly #beganAtMs: number;
  #atMs: number | undefined;

  /** `monotonicMs`: a clock that is never set back. */
  constructor(monotonicMs: () => number) {
    this.#monotonicMs = monotonicMs;
    this.#beganAtMs = monotonicMs();
  }

  note(): void {
    this.#atMs = this.#monotonicMs();
  }

  /** Since the last tick, in milliseconds; undefined: there was none. */
  get ageMs(): number | undefined {
    return this.#atMs === undefined ? undefined : this.#monotonicMs() - this.#atMs;
  }

  /** Since this process began, in milliseconds. */
  get upMs(): number {
    return this.#monotonicMs() - this.#beganAtMs;
  }
}
