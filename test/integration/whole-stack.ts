/** The whole system for a test: real servers in a folder of its own, and both functions in processes that are started again when they end. */
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import pg from "pg";
import { type StackOptions, startStack } from "../../dev/stack/stack.ts";
import { testStreams } from "../streams/run/test-streams.ts";
import { isOverTcp } from "../worker-servers.ts";

export type WholeStack = Awaited<ReturnType<typeof openWholeStack>>;

/** Starts everything, over the tests' streams unless others are given; `close` it after the file's last test. */
export async function openWholeStack(
  drainEveryMs: number,
  { streams = testStreams, env = {} }: Pick<StackOptions, "streams" | "env"> = {},
) {
  const dataDir = mkdtempSync(join(tmpdir(), "spillway-whole-"));
  chmodSync(dataDir, 0o755); // Postgres's user has to get through
  const over = isOverTcp ? ({ redis: "tcp", postgres: "tcp" } as const) : undefined;
  const stack = await startStack({ dataDir, streams, drainEveryMs, over, env: { LEASE_MS: "2000", ...env } });
  const servers = {
    redis: new Redis(stack.redisUrl),
    sql: new pg.Pool({ connectionString: stack.databaseUrl }),
  };

  /** Resolves when another process than `before` answers in its place. */
  async function untilRestarted(which: "ingest" | "supervisor", before: number): Promise<void> {
    for (let tries = 0; tries < 400; tries++) {
      const isUp = await fetch(`${stack[which].url}/health`).then(
        ({ ok }) => ok,
        () => false,
      );
      if (isUp && stack[which].pid() !== before) return;
      await sleep(50);
    }
    throw new Error(`expected ${which} to be started again`);
  }

  /** Kills the supervisor, and resolves when the next one answers. */
  async function killSupervisor(): Promise<void> {
    const before = stack.supervisor.pid();
    stack.supervisor.kill("SIGKILL");
    await untilRestarted("supervisor", before);
  }

  /** Drains until nothing is left. */
  async function drainAll(callsMax = 100): Promise<void> {
    for (let calls = 0; calls < callsMax; calls++) {
      const response = await fetch(`${stack.supervisorUrl}/drain?wait=1`, { method: "POST" }).catch(
        () => undefined,
      );
      const report = (await response?.json()) as { streams: { outcome: string }[] } | undefined;
      if (report?.streams.every(({ outcome }) => outcome === "empty")) return;
      await sleep(100);
    }
    throw new Error(`expected the buffer to be empty after ${callsMax} drains`);
  }

  async function close(): Promise<void> {
    await servers.redis.quit();
    await servers.sql.end();
    await stack.stop();
    rmSync(dataDir, { recursive: true, force: true });
  }

  return { stack, servers, untilRestarted, killSupervisor, drainAll, close };
}
