/**
 * The part of the composition root that both functions share: the configuration, the clocks, and what is opened alike. Within the
 * functions, only this file reads `process.env`.
 */
import type { IncomingHttpHeaders } from "node:http";
import { type OpenRedis, openRedis } from "../lib/buffer/redis-client.ts";
import { findProject, traceOf } from "../lib/cloud-run/trace.ts";
import { type Config, ConfigError, readConfig } from "../lib/config.ts";
import { type Doubt, doubtsOf } from "../lib/config-doubts.ts";
import type { Log } from "../lib/log.ts";
import type { Registry } from "../lib/schema/registry.ts";
import { openPostgres, type Postgres } from "../lib/store/database.ts";
import { createStore } from "../lib/store/store.ts";
import { createTableCheck } from "../lib/store/table-check.ts";

/** The wall clock: for times that are written down, or compared with those of other machines. People and NTP may set it back. */
export const now = () => Date.now();

/**
 * A clock that is never set back: for durations, deadlines and pauses within this process. It goes on while Cloud Run gives the instance
 * no CPU; if a whole machine is suspended it may stand still, and a pause is then longer.
 */
export const monotonicMs = () => performance.now();

/** The environment of this process. */
export const environment = process.env;

/** Reads the configuration. If it has errors, writes all of them to standard error and ends the process with status 1. */
export const configure = (): Config => orEnd(() => readConfig(environment));

/** Reads something of the environment. If that throws a ConfigError, writes it to standard error and ends the process with status 1. */
export function orEnd<Read>(read: () => Read): Read {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    console.error(error.message);
    process.exit(1);
  }
}

/** Redis and Postgres, opened once for a process: over TCP its parts share the connections. */
export interface Servers {
  redis: OpenRedis;
  postgres: Postgres;
}

/** Opens them, with at most so many connections to Postgres. Neither is asked before the first request. */
export const openServers = (config: Config, connections: number): Servers => ({
  redis: openRedis(config, monotonicMs),
  postgres: openPostgres(config, { connections, monotonicMs }),
});

/** Closes what is open, without waiting: the process is about to end. */
export function closeServers({ redis, postgres }: Servers): void {
  redis.close();
  void postgres.close();
}

/** How long whoever was refused waits for the catalog, in milliseconds: a drain holds a lease meanwhile, and senders wait. */
const TABLE_CHECK_TIMEOUT_MS = 2000;

export const openStore = (postgres: Postgres, timeoutMs: number) =>
  createStore(postgres.within(timeoutMs), timeoutMs);

export const openTableCheck = (postgres: Postgres) =>
  createTableCheck(postgres.within(TABLE_CHECK_TIMEOUT_MS), TABLE_CHECK_TIMEOUT_MS, monotonicMs);

/** Makes `traceOf`. Only on Cloud Run, which sets K_SERVICE, is there a project to ask for. */
export async function openTrace() {
  const project = environment.K_SERVICE ? await findProject() : undefined;
  return (headers: IncomingHttpHeaders) => traceOf(project, headers);
}

/** Finds the settings that are probably not meant, and logs them. */
export function sayDoubts(config: Config, streams: Registry, log: Log): Doubt[] {
  const doubts = doubtsOf(config, streams);
  for (const doubt of doubts) log.warn("config.doubted", { ...doubt });
  return doubts;
}
