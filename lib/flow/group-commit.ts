/**
 * Group commit: callers that come while a commit is under way share the next one. Nobody waits for company: if no
 * commit is under way, `add` starts one at once.
 *
 * A group is capped by count and bytes; what does not fit opens the next. A commit that fails fails each of its
 * callers, once. What waits is bounded, so that a slow server turns into refusals instead of memory.
 */

/** More is waiting than may wait: nothing of this call was sent. */
export class Overloaded extends Error {
  override name = "Overloaded";
}

export interface Options {
  /** Items in one commit, unless one caller alone has more. */
  maxCount: number;
  /** Bytes in one commit, unless one caller alone has more. */
  maxBytes: number;
  /** Bytes that may wait; past that `add` throws Overloaded. */
  maxWaitingBytes: number;
  /** Commits on their way at once. */
  concurrency: number;
}

/** One caller's items. */
interface Part<Item> {
  items: readonly Item[];
  bytes: number;
}

interface Waiter<Item, Result> extends Part<Item> {
  resolve(answer: Answer<Result>): void;
  reject(error: unknown): void;
}

/** A commit's result as one caller gets it. */
export interface Answer<Result> {
  result: Result;
  /** The place of the caller's first item in the commit. */
  offset: number;
}

/**
 * Shares commits among callers.
 *
 * @example
 * const group = new GroupCommit((items: string[]) => redis.lpush(key, ...items), { ...PUSH_LIMITS, maxWaitingBytes, concurrency: 1 });
 * const { result } = await group.add(["a", "b"], 2); // result: the reply to the one LPUSH of all callers
 */
export class GroupCommit<Item, Result> {
  readonly #commit: (items: Item[]) => Promise<Result>;
  readonly #options: Options;
  #waiting: Waiter<Item, Result>[] = [];
  #waitingBytes = 0;
  #underWay = 0;

  constructor(commit: (items: Item[]) => Promise<Result>, options: Options) {
    this.#commit = commit;
    this.#options = options;
  }

  /** Adds items to the next commit and waits for it. Throws what the commit throws, or Overloaded. */
  add(items: readonly Item[], bytes: number): Promise<Answer<Result>> {
    if (this.#waitingBytes > 0 && this.#waitingBytes + bytes > this.#options.maxWaitingBytes)
      return Promise.reject(new Overloaded("too much is waiting"));
    return new Promise((resolve, reject) => {
      this.#waiting.push({ items, bytes, resolve, reject });
      this.#waitingBytes += bytes;
      if (this.#underWay < this.#options.concurrency) void this.#run();
    });
  }

  /** Commits group after group until nobody waits. */
  async #run(): Promise<void> {
    this.#underWay += 1;
    while (this.#waiting.length > 0) await this.#commitGroup(this.#nextGroup());
    this.#underWay -= 1;
  }

  #nextGroup(): Waiter<Item, Result>[] {
    let count = 0;
    let bytes = 0;
    let size = 0;
    for (const waiter of this.#waiting) {
      count += waiter.items.length;
      bytes += waiter.bytes;
      if (size > 0 && (count > this.#options.maxCount || bytes > this.#options.maxBytes)) break;
      size += 1;
    }
    const group = this.#waiting.splice(0, size);
    for (const waiter of group) this.#waitingBytes -= waiter.bytes;
    return group;
  }

  async #commitGroup(group: Waiter<Item, Result>[]): Promise<void> {
    try {
      const result = await this.#commit(group.flatMap((waiter) => waiter.items as Item[]));
      let offset = 0;
      for (const waiter of group) {
        waiter.resolve({ result, offset });
        offset += waiter.items.length;
      }
    } catch (error) {
      for (const waiter of group) waiter.reject(error);
    }
  }
}
