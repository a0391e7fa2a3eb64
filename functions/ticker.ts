/**
 * The ticker, in place of Cloud Scheduler: posts to the supervisor's /drain at a steady interval, under `npm start` and in a process that
 * serves both functions (serve-both.ts). A tick that is due while the last one is under way is left out. A tick that fails is told, and the
 * next one comes all the same.
 */
import { sendPost, TimedOut } from "../lib/http-post.ts";

export interface Ticker {
  /** Begins no more ticks. The one under way goes on: the supervisor ends it when it is told to. */
  stop(): void;
}

export interface TickerOptions {
  supervisorUrl: string;
  everyMs: number;
  /** OPERATOR_TOKEN of the supervisor. Absent: it wants none. */
  token?: string | undefined;
  /** Hears of ticks without a 200 or 503. A 503 is the supervisor's own report, which its log tells better. */
  onFailure?: ((reason: string) => void) | undefined;
}

/** After so long a tick is given up, in milliseconds: Cloud Scheduler's default. */
const TICK_TIMEOUT_MS = 180_000;

/** Ticks every `everyMs`, the first time after one interval. */
export function startTicker({ supervisorUrl, everyMs, token, onFailure }: TickerOptions): Ticker {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  let isUnderWay = false;
  let isStopped = false;
  const tick = async () => {
    if (isUnderWay) return;
    isUnderWay = true;
    const failure = await failureOf(`${supervisorUrl}/drain`, headers);
    isUnderWay = false;
    if (failure !== undefined && !isStopped) onFailure?.(failure);
  };
  const timer = setInterval(() => void tick(), everyMs);
  return {
    stop: () => {
      isStopped = true;
      clearInterval(timer);
    },
  };
}

/** Makes a tick; returns what went wrong. */
async function failureOf(url: string, headers: Record<string, string>): Promise<string | undefined> {
  try {
    const { status } = await sendPost(url, { headers, body: "", timeoutMs: TICK_TIMEOUT_MS });
    return status === 200 || status === 503 ? undefined : `POST /drain answered ${status}`;
  } catch (error) {
    return error instanceof TimedOut
      ? `POST /drain did not answer within ${TICK_TIMEOUT_MS / 1000} s`
      : "POST /drain failed: the supervisor can't be reached, or broke off";
  }
}
