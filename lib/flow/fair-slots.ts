/**
 * A fixed number of slots, given to queues in turn (round robin). A long queue cannot keep another queue from its turn. So the
 * number of inserts that run at once is bounded, and a busy stream does not starve a quiet one.
 *
 * @example
 * const slots = new FairSlots(8);
 * await slots.run("orders", () => insert(batch)); // waits for a free slot, and gives it back at the end
 */
export class FairSlots {
  #free: number;
  /** Waiters by queue, in the order in which the queues are served. */
  readonly #queues = new Map<string, (() => void)[]>();

  constructor(slots: number) {
    this.#free = slots;
  }

  /** Runs `work` as soon as `queue` gets a slot. Gives the slot back when `work` ends, even if it fails. */
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

  /** Gives the slot to the first waiter of the next queue, and moves that queue behind the others. */
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
