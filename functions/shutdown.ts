/**
 * The end of a process: on SIGTERM or SIGINT each function is told to end, and takes no new connection. The process ends when the requests in
 * flight are answered, or after nine seconds: Cloud Run kills it ten seconds after SIGTERM.
 */
import type { Log } from "../lib/log.ts";

/** How long requests in flight may take after the signal, in milliseconds. */
const SHUTDOWN_MS = 9000;

/** How long the end of the process waits for a slow reader of the log, in milliseconds. */
const LOG_WRITTEN_MS = 500;

/** A function that is served, and its server. */
export interface Ending {
  log: Log;
  /** Called first. */
  onStopping(): void;
  /** Takes no new connection, and resolves when each request in flight is answered. */
  close(): Promise<void>;
  /** Called last, before the process ends. */
  onStopped(): void;
}

/** Replaces the listeners of both signals: the framework's end the process at once. The functions are closed in this order. */
export function endOnSignals(functions: readonly Ending[]): void {
  let isEnding = false;
  const begin = () => {
    if (isEnding) return;
    isEnding = true;
    void end(functions);
  };
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.removeAllListeners(signal);
    process.on(signal, begin);
  }
}

async function end(functions: readonly Ending[]): Promise<void> {
  for (const { log, onStopping } of functions) {
    log.info("function.stopping");
    onStopping();
  }
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, SHUTDOWN_MS);
  });
  await Promise.race([closeInTurn(functions), late]);
  clearTimeout(timer);
  for (const { onStopped } of functions) onStopped();
  exitOnceLogged();
}

/** A function may ask the next one until it is closed itself. */
async function closeInTurn(functions: readonly Ending[]): Promise<void> {
  for (const { close } of functions) await close();
}

/** Ends the process when the log is written, or can't be. */
function exitOnceLogged(): void {
  const exit = () => process.exit(0);
  process.stdout.write("", exit);
  setTimeout(exit, LOG_WRITTEN_MS);
}
