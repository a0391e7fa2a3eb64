/**
 * The local Cloud Scheduler: posts to the supervisor's /drain at a steady interval. A tick that comes during an attempt is
 * skipped. An attempt is given up after 180 s, Cloud Scheduler's default.
 */

export interface Scheduler {
  /** Starts no more attempts and gives up the one under way. */
  stop(): void;
}

const attemptDeadlineMs = 180_000;
const unitsMs: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** Milliseconds of `500ms`, `60s`, `5m` or `1h`. Throws one sentence for anything else, and for less than 10 ms. */
export function parseInterval(text: string): number {
  const [, amount, unit] = /^(\d+)(ms|s|m|h)$/.exec(text.trim()) ?? [];
  const ms = Number(amount) * (unitsMs[unit ?? ""] ?? Number.NaN);
  if (ms >= 10 && ms <= 2_147_483_647) return ms;
  throw new Error(`DRAIN_EVERY: expected an interval like 500ms, 60s or 5m, got "${text}".`);
}

/** Ticks every `everyMs`, the first time after one interval. `onFailure` hears of attempts without a 200 or 503. */
export function startScheduler(options: {
  supervisorUrl: string;
  everyMs: number;
  onFailure?: ((reason: string) => void) | undefined;
}): Scheduler {
  const stopped = new AbortController();
  let isUnderWay = false;
  const tick = async () => {
    if (isUnderWay) return;
    isUnderWay = true;
    const failure = await attempt(options.supervisorUrl, stopped.signal);
    isUnderWay = false;
    if (failure !== undefined && !stopped.signal.aborted) options.onFailure?.(failure);
  };
  const timer = setInterval(tick, options.everyMs);
  return {
    stop: () => {
      clearInterval(timer);
      stopped.abort();
    },
  };
}

/** What went wrong, or undefined. A 503 is the supervisor's own report, which its log tells better. */
async function attempt(supervisorUrl: string, stopped: AbortSignal): Promise<string | undefined> {
  try {
    const signal = AbortSignal.any([stopped, AbortSignal.timeout(attemptDeadlineMs)]);
    const response = await fetch(`${supervisorUrl}/drain`, { method: "POST", signal });
    await response.arrayBuffer();
    return response.status === 200 || response.status === 503
      ? undefined
      : `POST /drain answered ${response.status}`;
  } catch (error) {
    return `POST /drain failed: ${(error as Error).message}`;
  }
}
