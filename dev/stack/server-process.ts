/**
 * A server that runs as a child process in a process group of its own. Ctrl-C in the terminal reaches only the process that
 * started it, which then stops everything in order. If that process is killed first, a watcher ends the server. The server's
 * output goes to a file, so that it never waits for a reader.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync, statSync } from "node:fs";

export interface ServerProcess {
  pid: number;
  /** Resolves when the process has ended, however it ended. */
  ended: Promise<void>;
  hasEnded(): boolean;
  /** Sends a signal and resolves once the process has ended. */
  kill(signal: NodeJS.Signals): Promise<void>;
}

/**
 * Starts `command` with its output appended to `logFile`; it gets `endSignal` if this process dies first. Rejects when
 * it can't be executed.
 */
export async function spawnServer(
  command: string,
  args: string[],
  options: {
    cwd: string;
    logFile: string;
    endSignal: NodeJS.Signals;
    env?: NodeJS.ProcessEnv;
    uid?: number;
    gid?: number;
  },
): Promise<ServerProcess> {
  const { logFile, endSignal, ...spawnOptions } = options;
  const log = openSync(logFile, "a");
  const child = spawn(command, args, { ...spawnOptions, detached: true, stdio: ["ignore", log, log] });
  closeSync(log);
  const ended = endOf(child);
  await new Promise<void>((resolve, reject) => {
    child.once("spawn", resolve);
    child.once("error", reject);
  });
  endWithStarter(child, endSignal);
  const hasEnded = () => child.exitCode !== null || child.signalCode !== null;
  return {
    pid: child.pid!,
    ended,
    hasEnded,
    kill: (signal) => {
      if (!hasEnded()) child.kill(signal);
      return ended;
    },
  };
}

/**
 * Sends `signal` to the child should this process die without having ended it, by SIGKILL too: a shell waits for the end
 * of a pipe that only this process holds. The shell goes when the child goes.
 */
export function endWithStarter(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  const script = `read _; kill -s ${signal.slice(3)} ${child.pid}`;
  const watcher = spawn("/bin/sh", ["-c", script], { detached: true, stdio: ["pipe", "ignore", "ignore"] });
  watcher.on("error", () => {});
  watcher.stdin.on("error", () => {});
  child.once("exit", () => watcher.kill("SIGKILL"));
  watcher.unref();
  (watcher.stdin as unknown as { unref(): void }).unref();
}

/** Asks with `signal`, insists with SIGKILL after `patienceMs`, and resolves once the process has ended. */
export async function stopServer(
  server: ServerProcess,
  signal: NodeJS.Signals,
  patienceMs: number,
): Promise<void> {
  const insist = setTimeout(() => void server.kill("SIGKILL"), patienceMs);
  await server.kill(signal);
  clearTimeout(insist);
}

/**
 * What a server's log says of why it ended: the last line that matches `telling`, else the last line, without the
 * time stamp and only of what was written since `from` (bytes); empty when nothing was.
 */
export function readReason(logFile: string, from: number, telling: RegExp): string {
  const lines = readFileSync(logFile).subarray(from).toString("utf8").trimEnd().split("\n");
  const line = lines.findLast((one) => telling.test(one)) ?? lines.at(-1) ?? "";
  return line
    .replace(/^.*?(\[\d+\]|\d{2}\.\d{3} [*#.-]) /, "")
    .trim()
    .slice(0, 300);
}

/** Bytes in a log file, 0 if there is none: where the next start's lines will begin. */
export function sizeOf(logFile: string): number {
  return statSync(logFile, { throwIfNoEntry: false })?.size ?? 0;
}

function endOf(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    child.once("exit", () => resolve());
    child.once("error", () => resolve());
  });
}
