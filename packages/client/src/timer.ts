/** A timer that keeps no Node process alive. A browser's timers are numbers, and keep nothing alive. */
export function later(ms: number, work: () => void): () => void {
  const timer: unknown = setTimeout(work, Math.min(ms, 2 ** 31 - 1));
  if (typeof timer === "object") (timer as { unref?(): void } | null)?.unref?.();
  return () => clearTimeout(timer as number);
}
