/** The servers of this worker, which runs one test file at a time. */
import { inject } from "vitest";
import type { TestServers } from "./servers.ts";

/** Returns where they are. test/servers.ts has started them. */
export function workerServers(): TestServers {
  const servers = inject("servers")[Number(process.env.VITEST_POOL_ID) - 1];
  if (servers === undefined) throw new Error(`no servers for worker ${process.env.VITEST_POOL_ID}`);
  return servers;
}
