/**
 * A fixed number of slots, shared by queues. A free slot goes to the waiting queue with the fewest runs under way, in turn
 * (round robin) among equals. So neither a long queue nor a queue whose runs hang takes more than its share.
 *
 * A queue is blocked while its last run said so: what its runs need is not there, and they hang until they give up. Then it is
 * on probation: it has one run at a time, and that run needs no slot. A run that ends well makes the queue a normal one again.
 *
 * At most `slots` runs and one for each blocked queue are under way at once. A queue that blocks unexpectedly may hold slots for
 * which nobody else waited, until its first runs give up.
 */

/** The end of a run, as far as the slots read it. */
interface Ended {
  /** true: the run hung and gave up. false: it went well. undefined: it says neither. */
  isBlocked: boolean | undefined;
}

/** How a waiting run goes on: with a slot, on probation, or not at all. */
type Turn = "slot" | "probation" | "blocked";

interface Queue {
  /** Runs that hold a slot. */
  underWay: number;
  /** The number of the last slot that it got. */
  lastTurn: number;
  isBlocked: boolean;
  /** Whether a run on probation is under way, and how many there were. */
  isOnProbation: boolean;
  probations: number;
  waiters: ((turn: Turn) => void)[];
}

/**
 * Hands out slots.
 *
 * @example
 * const slots = new FairSlots(8);
 * const inserted = await slots.run("orders", () => insert(batch)); // waits for a slot, and gives it back at the end
 * if (inserted === "blocked") return; // the table is still locked: nothing was run
 */
export class FairSlots {
  #free: number;
  #turns = 0;
  /** Each queue that ever ran: callers have few names. */
  readonly #queues = new Map<string, Queue>();

  constructor(slots: number) {
    this.#free = slots;
  }

  /**
   * Runs `work` as soon as it is the queue's turn. Gives the slot back when `work` ends, even if it throws. Returns "blocked",
   * and runs nothing, if a run on probation ended blocked while this one waited. So runs don't pile up behind it.
   */
  async run<T extends Ended>(name: string, work: () => Promise<T>): Promise<T | "blocked"> {
    const queue = this.#queueOf(name);
    const turn = await new Promise<Turn>((resolve) => {
      queue.waiters.push(resolve);
      queueMicrotask(() => this.#handOut()); // all who come at this moment compete, whoever was first
    });
    if (turn === "blocked") return turn;
    let isBlocked: boolean | undefined;
    try {
      const ended = await work();
      isBlocked = ended.isBlocked;
      return ended;
    } finally {
      this.#end(queue, turn, isBlocked);
    }
  }

  #queueOf(name: string): Queue {
    const known = this.#queues.get(name);
    if (known) return known;
    const queue = {
      ...{ underWay: 0, lastTurn: 0, waiters: [] },
      ...{ isBlocked: false, isOnProbation: false, probations: 0 },
    };
    this.#queues.set(name, queue);
    return queue;
  }

  #end(queue: Queue, turn: "slot" | "probation", isBlocked: boolean | undefined): void {
    if (turn === "probation") queue.isOnProbation = false;
    else {
      queue.underWay -= 1;
      this.#free += 1;
    }
    queue.isBlocked = isBlocked ?? queue.isBlocked;
    if (turn === "probation" && isBlocked) for (const tell of queue.waiters.splice(0)) tell("blocked");
    this.#handOut();
  }

  #handOut(): void {
    for (const queue of this.#queues.values()) {
      if (!queue.isBlocked || queue.isOnProbation || queue.underWay > 0 || queue.waiters.length === 0)
        continue;
      queue.isOnProbation = true;
      // Not always the first: its work may be the only one that hangs, and come first each time.
      const [chosen] = queue.waiters.splice(queue.probations++ % queue.waiters.length, 1);
      chosen?.("probation");
    }
    while (this.#free > 0) {
      const queue = this.#next();
      if (queue === undefined) return;
      this.#free -= 1;
      queue.underWay += 1;
      queue.lastTurn = ++this.#turns;
      queue.waiters.shift()?.("slot");
    }
  }

  /** The waiting queue with the fewest runs under way; among equals the one whose last turn is the longest ago. */
  #next(): Queue | undefined {
    let best: Queue | undefined;
    for (const queue of this.#queues.values()) {
      if (queue.isBlocked || queue.waiters.length === 0) continue;
      const isBetter =
        best === undefined ||
        queue.underWay < best.underWay ||
        (queue.underWay === best.underWay && queue.lastTurn < best.lastTurn);
      if (isBetter) best = queue;
    }
    return best;
  }
}
