/** Node processes under a load: bridges, functions, workers. Each ends with the process that started it, however that ends. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { NODE_FLAGS } from "../stack/node-flags.ts";
import { frameworkProgram } from "../stack/package-files.ts";

export interface Child {
  pid: number;
  /** Ends it; SIGKILL after ten seconds. */
  stop(): Promise<void>;
}

interface Start {
  /** A TypeScript or JavaScript file, from the project's root if its path is relative. */
  file: string;
  args?: string[];
  nodeFlags?: readonly string[];
  env?: Record<string, string>;
  logFile: string;
}

export const projectRoot = fileURLToPath(new URL("../..", import.meta.url));
const endWithParent = new URL("end-with-parent.mjs", import.meta.url).href;

/** Starts a process and leaves it to the caller to learn when it is ready. */
export function startChild({
  file,
  args = [],
  nodeFlags = [],
  env = {},
  logFile,
}: Start): Child & { process: ChildProcess } {
  const log = openSync(logFile, "a");
  const child = fork(resolve(projectRoot, file), args, {
    cwd: projectRoot,
    env: { PATH: process.env.PATH, HOME: process.env.HOME, NODE_ENV: "production", ...env },
    execArgv: [...nodeFlags, "--import", endWithParent, ...loaderFor(file, args), ...profiling(logFile)],
    stdio: ["ignore", log, log, "ipc"],
    detached: true, // Ctrl-C is for whoever started it, who ends it in order
  });
  closeSync(log);
  return { process: child, pid: child.pid ?? 0, stop: () => stop(child) };
}

/** Node's flags for a program whose file or arguments are TypeScript. */
export const loaderFor = (file: string, args: string[] = []): string[] =>
  [file, ...args].some((name) => name.endsWith(".ts")) ? ["--import", "tsx"] : [];

/** BENCH_PROFILE=folder writes a CPU profile of each process there when it ends. */
function profiling(logFile: string): string[] {
  const folder = process.env.BENCH_PROFILE;
  return folder ? ["--cpu-prof", `--cpu-prof-dir=${join(folder, basename(logFile, ".log"))}`] : [];
}

/** A process that says "ready", and may answer messages. */
export type AskedChild = Child & { process: ChildProcess };

/** Starts a process that says "ready". */
export async function startReady(start: Start): Promise<AskedChild> {
  const child = startChild(start);
  await new Promise<void>((resolve, reject) => {
    child.process.once("message", () => resolve());
    child.process.once("exit", (code) =>
      reject(new Error(`${start.file} ended (${code}): see ${start.logFile}`)),
    );
  });
  return child;
}

/** Asks a process that answers each message by one message. Ask it again only when it has answered. Throws if it ends before. */
export async function ask<Answer>({ process: child }: AskedChild, question: object): Promise<Answer> {
  const over = new AbortController();
  const { signal } = over;
  const ended = once(child, "exit", { signal }).then(() => {
    throw new Error(`a process ended (${child.exitCode}) before it answered`);
  });
  const answered = once(child, "message", { signal });
  child.send(question);
  try {
    return (await Promise.race([answered, ended]))[0] as Answer;
  } finally {
    over.abort();
    await Promise.allSettled([answered, ended]);
  }
}

/** Starts functions-framework with a function, and waits until it answers. */
export async function startFunction(
  start: Omit<Start, "file"> & { source?: string; target: string; port: number },
): Promise<Child & { port: number }> {
  const { source, target, port, args = [], ...rest } = start;
  const child = startChild({
    ...rest,
    nodeFlags: NODE_FLAGS,
    file: frameworkProgram(),
    args: ["--target", target, "--port", String(port), ...(source ? ["--source", source] : []), ...args],
  });
  await untilItAnswers(child.process, port, rest.logFile).catch(async (error: unknown) => {
    await child.stop();
    throw error;
  });
  return { ...child, port };
}

async function untilItAnswers(child: ChildProcess, port: number, logFile: string): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    if (child.exitCode !== null) throw new Error(`a function ended (${child.exitCode}): see ${logFile}`);
    const answered = await fetch(`http://127.0.0.1:${port}/health`).catch(() => undefined);
    await answered?.arrayBuffer();
    if (answered) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`a function did not answer within 20 s: see ${logFile}`);
}

function stop(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve();
    const insist = setTimeout(() => child.kill("SIGKILL"), 10_000);
    child.once("exit", () => {
      clearTimeout(insist);
      resolve();
    });
    child.kill("SIGTERM");
  });
}
