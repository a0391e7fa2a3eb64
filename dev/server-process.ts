/**
 * A server that runs as a child process of its own group: Ctrl-C in the terminal reaches only whoever started it,
 * who then stops everything in order. Its output goes to a file, so it neither blocks nor dies with its starter.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";

export interface ServerProcess {
  pid: number;
  /** Resolves when the process has ended, however it ended. */
  ended: Promise<void>;
  hasEnded(): boolean;
  /** Sends a signal and resolves once the process has ended. */
  kill(signal: NodeJS.Signals): Promise<void>;
}

/** Starts `command` with its output appended to `logFile`. Rejects when it can't be executed. */
export async function spawnServer(
  command: string,
  args: string[],
  options: { cwd: string; logFile: string; env?: NodeJS.ProcessEnv; uid?: number; gid?: number },
): Promise<ServerProcess> {
  const { logFile, ...spawnOptions } = options;
  const log = openSync(logFile, "a");
  const child = spawn(command, args, { ...spawnOptions, detached: true, stdio: ["ignore", log, log] });
  closeSync(log);
  const ended = endOf(child);
  await new Promise<void>((resolve, reject) => {
    child.once("spawn", resolve);
    child.once("error", reject);
  });
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

/** The last lines of a log file, for a message to people; empty when there is none. */
export function readLastLines(logFile: string, count = 3): string {
  try {
    return readFileSync(logFile, "utf8").trimEnd().split("\n").slice(-count).join(" / ");
  } catch {
    return "";
  }
}

function endOf(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    child.once("exit", () => resolve());
    child.once("error", () => resolve());
  });
}
