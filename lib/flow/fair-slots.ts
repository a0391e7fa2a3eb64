/**
 * A fixed number of slots, handed out round robin over queues: however many wait in one queue, each other
 * queue gets its turn. Bounds how many inserts run at once without letting a busy stream starve a quiet one.
 *
 * @example
 * const slots = new FairSlots(8);
 * await slots.run("orders", () => insert(batch)); // waits until a slot is free, and gives it back
 */
export class FairSlots {
  #free: number;
  /** Waiters by queue, in the order in which the queues are served. */
  readonly #queues = new Map<string, (() => void)[]>();

  constructor(slots: number) {
    this.#free = slots;
  }

  /** Runs `work` as soon as a slot is free for `queue`, and gives the slot back however it ends. */
  async run<T>(queue: string, work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free -= 1;
    else await this.#wait(queue);
    try {
      return await work();
    } finally {
      this.#passOn();
    }
  }

  #wait(queue: string): Promise<void> {
    return new Promise((resolve) => {
      const waiters = this.#queues.get(queue);
      if (waiters) waiters.push(resolve);
      else this.#queues.set(queue, [resolve]);
    });
  }

  /** Hands the slot to the first of the next queue, which then goes behind the others. */
  #passOn(): void {
    const next = this.#queues.entries().next();
    if (next.done) {
      this.#free += 1;
      return;
    }
    const [queue, waiters] = next.value;
    const first = waiters.shift();
    this.#queues.delete(queue);
    if (waiters.length > 0) this.#queues.set(queue, waiters);
    first?.();
  }
}
