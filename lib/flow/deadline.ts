/**
 * Deadlines: moments until which a caller waits, in milliseconds of the monotonic clock, which nobody sets. Work that only waits
 * when its deadline passes is never begun. Work that is under way is abandoned, but goes on by itself.
 */

/** The deadline passed before the work was begun, and it never will be. */
export class TooLate extends Error {
  override name = "TooLate";
}

/** The moment in `ms` milliseconds. */
export const deadlineIn = (ms: number): number => performance.now() + ms;

export const isPast = (deadlineAtMs: number): boolean => performance.now() >= deadlineAtMs;

/** Waits for `work` until the deadline; after that an error of `work` is lost. Throws work's error. */
export const waitUntil = <T>(deadlineAtMs: number, work: Promise<T>): Promise<T | "late"> =>
  new Promise((resolve, reject) => {
    // Node's timers count whole milliseconds, and may be one early.
    const timer = setTimeout(resolve, Math.ceil(deadlineAtMs - performance.now()) + 1, "late");
    const done = (result: T) => {
      clearTimeout(timer);
      resolve(result);
    };
    const fail = (error: unknown) => {
      clearTimeout(timer);
      reject(error);
    };
    work.then(done, fail);
  });
