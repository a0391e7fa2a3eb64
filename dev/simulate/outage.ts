/**
 * One long outage under a steady load, instead of many short faults: a server stops, stays away, and comes back. Reports how
 * requests were answered during the outage, and how much memory the functions took.
 */
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { Stack } from "../stack/stack.ts";
import type { Ledger } from "./ledger.ts";
import { sendAll } from "./load.ts";

export interface OutageOptions {
  server: "redis" | "postgres";
  /** How long the server stays away. */
  seconds: number;
  /** Requests per second, before, during and after. */
  rate: number;
  /** Events in each request. */
  size: number;
}

/** Seconds of load before and after the outage. */
const AROUND_SECONDS = 5;
/** Enough that some may wait for a server that does not answer, and the rate is kept. */
const SENDERS = 128;

/** How many events such an outage takes. */
export const eventsOf = ({ seconds, rate, size }: OutageOptions): number =>
  (seconds + 2 * AROUND_SECONDS) * rate * size;

/** Runs the load with the outage in its middle; resolves when every request was answered or given up. */
export async function loadThroughOutage(
  stack: Stack,
  ledger: Ledger,
  seed: number,
  options: OutageOptions,
): Promise<void> {
  const memory = watchMemory(stack);
  const load = sendAll({
    ingestUrl: stack.ingestUrl,
    apiKey: stack.apiKey,
    events: eventsOf(options),
    seed,
    ledger,
    choose: (first) => ({ stream: "events", first, count: options.size, withOwnIds: false, ack: "buffered" }),
    senders: SENDERS,
    deadlineAtMs: performance.now() + (options.seconds + 600) * 1000,
    perSecond: options.rate * options.size,
  });
  await sleep(AROUND_SECONDS * 1000);
  const before = { ...ledger.answers };
  console.log(`${options.server} is stopped for ${options.seconds} s, at ${options.rate} requests a second`);
  const meanwhile = () => sleep(options.seconds * 1000);
  const away =
    options.server === "redis"
      ? stack.restartRedis(undefined, meanwhile)
      : stack.restartPostgres(undefined, meanwhile);
  await away;
  const during = Object.fromEntries(
    Object.entries(ledger.answers).map(([status, count]) => [status, count - (before[status] ?? 0)]),
  );
  const total = Object.values(during).reduce((sum, count) => sum + count, 0);
  const shares = Object.entries(during).map(
    ([status, n]) => `${status}: ${((100 * n) / total).toFixed(2)} %`,
  );
  console.log(`while it was away ${total} answers  ${shares.join("  ")}`);
  await load;
  console.log(
    `peak memory (RSS)  ingest ${memory.peak("ingest")} MB  supervisor ${memory.peak("supervisor")} MB`,
  );
}

/** Follows the resident memory of both functions, from /proc, once a second. */
export function watchMemory(stack: Stack) {
  const peaks = { ingest: 0, supervisor: 0 };
  const look = () => {
    for (const name of ["ingest", "supervisor"] as const)
      peaks[name] = Math.max(peaks[name], residentBytes(stack[name].pid()));
  };
  const timer = setInterval(look, 1000);
  timer.unref();
  return { peak: (name: "ingest" | "supervisor") => Math.round(peaks[name] / 1e6) };
}

function residentBytes(pid: number): number {
  try {
    const [, kilobytes] = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
    return Number(kilobytes ?? 0) * 1024;
  } catch {
    return 0; // it has just ended
  }
}
