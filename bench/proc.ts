/** What Linux knows of processes: CPU seconds and memory, from /proc. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";

/** Clock ticks a second in /proc; 100 on every Linux that Node runs on. */
const TICKS = 100;

interface Stat {
  parent: number;
  /** CPU seconds of the process, and of its children that have ended. */
  own: number;
  reaped: number;
}

function statOf(pid: number): Stat | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    const seconds = (first: number) => (Number(fields[first]) + Number(fields[first + 1])) / TICKS;
    return { parent: Number(fields[1]), own: seconds(11), reaped: seconds(13) };
  } catch {
    return undefined; // it has ended
  }
}

/** CPU seconds that a process has used so far. */
export const cpuSecondsOf = (pid: number): number => statOf(pid)?.own ?? 0;

/** CPU seconds of a server and of all its children, those that have ended too. */
export function cpuSecondsOfTree(pid: number): number {
  const root = statOf(pid);
  if (!root) return 0;
  const children = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((name) => statOf(Number(name)))
    .filter((stat) => stat?.parent === pid);
  return root.own + root.reaped + children.reduce((sum, child) => sum + (child?.own ?? 0), 0);
}

/** The most memory a process has held at once since `resetPeakMemory`, in bytes. */
export function peakMemoryOf(pid: number): number {
  try {
    const kilobytes = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
    return Number(kilobytes ?? 0) * 1024;
  } catch {
    return 0;
  }
}

/** Begins a new peak. */
export function resetPeakMemory(pid: number): void {
  try {
    writeFileSync(`/proc/${pid}/clear_refs`, "5");
  } catch {
    // Not ours to reset: then the peak is that of the whole life.
  }
}
