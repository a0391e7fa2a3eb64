/**
 * Group commit: many callers share one commit. If fewer than `concurrency` commits are under way, `add` starts one at once,
 * with this caller's items alone. Otherwise the caller waits, and shares the next commit with the others that wait.
 *
 * A group is limited in count and in bytes; the next group takes the rest. If a commit fails, each of its callers gets the
 * error, once. The bytes that wait are bounded: if the server is slow, callers are refused before memory runs out.
 *
 * A caller may have a deadline. If it passes while the caller's items wait, they are never sent, and hold up nobody. A commit may
 * itself have to wait (for a slot, for a look at the server), so it takes its items when it sends them.
 */
import { isPast, TooLate } from "./deadline.ts";

/** Too many bytes are waiting already. No item of this call was sent. */
export class Overloaded extends Error {
  override name = "Overloaded";
}

export interface Options {
  /** The most items in one commit, unless one caller alone has more. */
  maxCount: number;
  /** The most bytes in one commit, unless one caller alone has more. */
  maxBytes: number;
  /** The most bytes that may wait; beyond it `add` throws Overloaded. If nobody waits, any caller may. */
  maxWaitingBytes: number;
  /** The most commits under way at once. */
  concurrency: number;
  /** Runs each commit in its turn among other groups'. The commit takes the callers who wait when its turn has come. @default at once */
  inTurn?: (commit: () => Promise<void>) => Promise<void>;
}

/** Gives a commit its items, without those that are too late by now. Throws TooLate if none is left. */
export type Take<Item> = () => Item[];

/** A caller who waits, and its items. */
interface Waiter<Item, Result> {
  items: readonly Item[];
  bytes: number;
  deadlineAtMs: number;
  resolve(answer: Answer<Result>): void;
  reject(error: unknown): void;
}

/** A commit's result, as each of its callers gets it. */
export interface Answer<Result> {
  result: Result;
  /** The index of the caller's first item in the commit. */
  offset: number;
}

/**
 * Shares commits among callers.
 *
 * @example
 * const group = new GroupCommit((take: Take<string>) => redis.lpush(key, ...take()), { ...PUSH_LIMITS, maxWaitingBytes, concurrency: 1 });
 * const { result } = await group.add(["a", "b"], 2); // result: the reply to the one LPUSH of all callers
 */
export class GroupCommit<Item, Result> {
  readonly #commit: (take: Take<Item>) => Promise<Result>;
  readonly #options: Options;
  #waiting: Waiter<Item, Result>[] = [];
  #waitingBytes = 0;
  #underWay = 0;

  constructor(commit: (take: Take<Item>) => Promise<Result>, options: Options) {
    this.#commit = commit;
    this.#options = options;
  }

  /**
   * Adds items to the next commit and waits for it. Throws the commit's error, Overloaded, or TooLate: then they were not sent.
   * It learns that it is too late when somebody else adds, or when its turn comes; who wants to hear in time uses `waitUntil`.
   */
  add(
    items: readonly Item[],
    bytes: number,
    deadlineAtMs = Number.POSITIVE_INFINITY,
  ): Promise<Answer<Result>> {
    if (isPast(deadlineAtMs)) return Promise.reject(new TooLate());
    if (this.#isTooMuch(bytes)) this.#dropLate();
    if (this.#isTooMuch(bytes)) return Promise.reject(new Overloaded("too much is waiting"));
    return new Promise((resolve, reject) => {
      this.#waiting.push({ items, bytes, deadlineAtMs, resolve, reject });
      this.#waitingBytes += bytes;
      if (this.#underWay < this.#options.concurrency) void this.#run();
    });
  }

  #isTooMuch(bytes: number): boolean {
    return this.#waitingBytes > 0 && this.#waitingBytes + bytes > this.#options.maxWaitingBytes;
  }

  #dropLate(): void {
    this.#waiting = rejectLate(this.#waiting);
    this.#waitingBytes = this.#waiting.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Commits group after group until nobody waits. */
  async #run(): Promise<void> {
    const { inTurn = (commit) => commit() } = this.#options;
    this.#underWay += 1;
    while (this.#waiting.length > 0) await inTurn(() => this.#commitGroup(this.#nextGroup()));
    this.#underWay -= 1;
  }

  #nextGroup(): Waiter<Item, Result>[] {
    this.#dropLate();
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
    if (group.length === 0) return; // they were too late, or another commit took them while this one waited for its turn
    let sent = group;
    const take = () => {
      sent = rejectLate(sent);
      if (sent.length === 0) throw new TooLate();
      return sent.flatMap((waiter) => waiter.items as Item[]);
    };
    try {
      const result = await this.#commit(take);
      let offset = 0;
      for (const waiter of sent) {
        waiter.resolve({ result, offset });
        offset += waiter.items.length;
      }
    } catch (error) {
      for (const waiter of group) waiter.reject(error);
    }
  }
}

/** Rejects those whose deadline has passed; returns the others. */
function rejectLate<W extends { deadlineAtMs: number; reject(error: unknown): void }>(waiters: W[]): W[] {
  return waiters.filter((waiter) => {
    if (!isPast(waiter.deadlineAtMs)) return true;
    waiter.reject(new TooLate());
    return false;
  });
}
