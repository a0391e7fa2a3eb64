/** The monotonic clock, and timers that keep no Node process alive. */

/** Milliseconds that no change of the device's clock moves. */
export const now = (): number => performance.now();

/** Does the work after a while, unless the returned function is called before. */
export function later(ms: number, work: () => void): () => void {
  const timer = setTimeout(work, ms) as unknown as { unref?(): void }; // in a browser it is a number
  timer.unref?.();
  return () => clearTimeout(timer as unknown as number);
}
