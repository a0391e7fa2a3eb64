/** The servers of this worker, which runs one test file at a time. */
import { inject } from "vitest";
import type { TestServers } from "./servers.ts";

/** Returns where they are. test/servers.ts has started them. */
export function workerServers(): TestServers {
  const servers = inject("servers")[Number(process.env.VITEST_POOL_ID) - 1];
  if (servers === undefined) throw new Error(`no servers for worker ${process.env.VITEST_POOL_ID}`);
  return servers;
}

/** Whether the tests reach the servers over TCP, and not over the bridges (`npm run test:tcp`). */
export const isOverTcp = process.env.SPILLWAY_TEST_OVER === "tcp";

/** The settings that lead a process to this worker's servers. */
export function serverSettings(): Record<string, string> {
  const { redisUrl, restUrl, restToken, databaseUrl, neonHttpUrl } = workerServers();
  if (isOverTcp) return { REDIS_URL: redisUrl, DATABASE_URL: databaseUrl };
  return {
    ...{ UPSTASH_REDIS_REST_URL: restUrl, UPSTASH_REDIS_REST_TOKEN: restToken },
    ...{ DATABASE_URL: databaseUrl, NEON_HTTP_URL: neonHttpUrl },
  };
}
