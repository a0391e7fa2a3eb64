/** Limits a process's memory as Cloud Run does, by a cgroup of its own; the kernel kills it past the limit. */
import { existsSync, mkdirSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const ROOT = "/sys/fs/cgroup";

/** Moves a process into a group with a limit. Returns what removes the group once the process has ended; undefined: not allowed here. */
export function limitMemory(pid: number, bytes: number): (() => void) | undefined {
  const isV1 = existsSync(join(ROOT, "memory"));
  const group = join(ROOT, isV1 ? "memory" : "", `spillway-bench-${pid}`);
  try {
    mkdirSync(group);
    writeFileSync(join(group, isV1 ? "memory.limit_in_bytes" : "memory.max"), String(bytes));
    writeFileSync(join(group, "cgroup.procs"), String(pid));
    return () => rmdirSync(group);
  } catch {
    return undefined;
  }
}
