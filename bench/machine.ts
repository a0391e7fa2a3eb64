/** The machine and the versions that figures belong to. */
import { execFileSync } from "node:child_process";
import { cpus, loadavg, totalmem } from "node:os";
import type { Stack } from "./stack.ts";

export interface Machine {
  cpu: string;
  cores: number;
  memoryGb: number;
  node: string;
  redis: string;
  postgres: string;
  commit: string;
  /** Work of others on the machine when the run began: the figures are only as quiet as that. */
  loadAverage: number;
}

export async function describeMachine({ redis, sql }: Stack): Promise<Machine> {
  const { rows } = await sql.query<{ server_version: string }>("show server_version");
  return {
    cpu: cpus()[0]?.model ?? "unknown",
    cores: cpus().length,
    memoryGb: Math.round(totalmem() / 1e9),
    node: process.version,
    redis: /redis_version:(\S+)/.exec(await redis.info("server"))?.[1] ?? "unknown",
    postgres: rows[0]?.server_version ?? "unknown",
    commit: commit(),
    loadAverage: loadavg()[0] ?? 0,
  };
}

function commit(): string {
  try {
    return execFileSync("git", ["describe", "--always", "--dirty"], { encoding: "utf8" }).trim();
  } catch {
    return "unknown";
  }
}

export const machineLine = (m: Machine): string =>
  `${m.cores} × ${m.cpu}, ${m.memoryGb} GB · Node ${m.node}, Redis ${m.redis}, PostgreSQL ${m.postgres} · ${m.commit} · load before: ${m.loadAverage.toFixed(1)}`;
