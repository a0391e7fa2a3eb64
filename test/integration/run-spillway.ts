/** Runs the program `spillway` as people do, in a process of its own. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";

const PROGRAM = fileURLToPath(new URL("../../bin/spillway.mjs", import.meta.url));

export interface Run {
  code: number;
  out: string;
  err: string;
}

export interface RunOptions {
  /** Added to this process's environment. */
  env?: Record<string, string>;
  cwd?: string;
  /** Written to its standard input. */
  input?: string;
}

/** Runs it to its end. */
export function runSpillway(args: string[], { env = {}, cwd, input }: RunOptions = {}): Promise<Run> {
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [PROGRAM, ...args],
      { env: { ...process.env, ...env }, cwd, maxBuffer: 64_000_000 },
      (_, out, err) => resolve({ code: child.exitCode ?? -1, out, err }),
    );
    child.stdin?.end(input ?? "");
  });
}
