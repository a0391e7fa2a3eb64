/**
 * The list of processes that `npm start` started on a data folder, in `running.json`.
 *
 * It tells a second `npm start` that a first one runs. If the first one was killed with SIGKILL, the list names the processes
 * that it left behind. They are then stopped, so that they do not block ports and data.
 */
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { platform } from "node:os";
import { join } from "node:path";

interface Note {
  starter: number;
  servers: number[];
}

const fileOf = (dataDir: string) => join(dataDir, "running.json");

/** Notes who is running now. */
export function noteRunning(dataDir: string, servers: number[]): void {
  const note: Note = { starter: process.pid, servers: servers.filter((pid) => pid > 0) };
  const file = fileOf(dataDir);
  writeFileSync(`${file}.new`, JSON.stringify(note));
  renameSync(`${file}.new`, file);
}

/** Takes the note away, if it is this process's. */
export function forgetRunning(dataDir: string): void {
  if (readNote(dataDir)?.starter === process.pid) rmSync(fileOf(dataDir), { force: true });
}

/** How the command line of a process looks that runs the stack: started by its file, or by npx through a link to it. */
const STARTERS = ["spillway.mjs start", "/spillway start"];

/**
 * Throws one sentence if another `npm start` runs on the folder; else stops what a killed one left behind and returns
 * how many processes that were. Processes that merely have the same number by now are let be: only Linux tells.
 */
export async function clearLeftovers(dataDir: string, root: string): Promise<number> {
  const note = readNote(dataDir);
  if (!note) return 0;
  if (note.starter !== process.pid && isOurs(note.starter, STARTERS, true)) {
    throw new Error(
      `Spillway is already running here as process ${note.starter}: stop it first (Ctrl-C, or kill ${note.starter}).`,
    );
  }
  const left = note.servers.filter((pid) => isOurs(pid, [root, "/var/lib/spillway/"], false));
  // Redis and the functions end at once or within their grace time; Postgres is asked for a "fast" shutdown.
  for (const pid of left) signal(pid, commandLine(pid).includes("postgres") ? "SIGINT" : "SIGTERM");
  const giveUpAtMs = performance.now() + 12_000;
  while (left.some(isAlive) && performance.now() < giveUpAtMs)
    await new Promise((done) => setTimeout(done, 50));
  for (const pid of left.filter(isAlive)) signal(pid, "SIGKILL");
  rmSync(fileOf(dataDir), { force: true });
  return left.length;
}

function readNote(dataDir: string): Note | undefined {
  try {
    return JSON.parse(readFileSync(fileOf(dataDir), "utf8")) as Note;
  } catch {
    return undefined;
  }
}

function isOurs(pid: number, marks: string[], whenUnknown: boolean): boolean {
  if (!isAlive(pid)) return false;
  if (platform() !== "linux") return whenUnknown;
  const line = commandLine(pid);
  return marks.some((mark) => line.includes(mark));
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
  } catch {
    return "";
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It ended meanwhile.
  }
}
