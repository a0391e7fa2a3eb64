/**
 * Both functions in one process, for an installation of one's own (`--target=all`): ingest on the port of the framework, the supervisor on
 * SUPERVISOR_PORT. A ticker is in place of Cloud Scheduler, and a request over HTTP in place of Cloud Tasks, as under `npm start`. No path
 * of the supervisor is on ingest's port.
 *
 * On Cloud Run it does not start: there a process has no CPU between requests, and so no ticks.
 */
import type { Server } from "node:http";
import { isIPv6 } from "node:net";
import { type Config, ConfigError } from "../lib/config.ts";
import type { Log } from "../lib/log.ts";
import type { Registry } from "../lib/schema/registry.ts";
import { installFrontDoor, openDoor } from "./front-door.ts";
import { startTicker } from "./ticker.ts";
import { hostBesideIngest } from "./wire-callers.ts";
import { wireIngest } from "./wire-ingest.ts";
import { configure, environment, orEnd } from "./wire-process.ts";
import { wireSupervisor } from "./wire-supervisor.ts";

/** Serves both. If the environment is not usable, says so and ends the process. */
export async function serveBoth(streams: Registry): Promise<void> {
  const config = configure();
  const host = orEnd(() => hostOutsideCloudRun(config));
  const supervisorUrl = `http://${addressAt(host)}:${config.supervisorPort}`;
  const supervisor = await wireSupervisor(streams, config);
  const ingest = await wireIngest(streams, { ...config, flushTrigger: "http", supervisorUrl });
  const { server, ending } = openDoor(supervisor);
  await listening(server, config.supervisorPort, host);
  const ticker = openTicker(config, supervisorUrl, supervisor.log);
  const onStopping = () => {
    ticker.stop();
    ending.onStopping();
  };
  // Ingest flushes until its last request is answered, so the supervisor goes after it.
  installFrontDoor(ingest, { beside: [{ ...ending, onStopping }] });
  for (const { log } of [supervisor, ingest]) log.info("function.started");
}

function hostOutsideCloudRun(config: Config): string | undefined {
  if (!environment.K_SERVICE) return hostBesideIngest(config);
  throw new ConfigError(
    "--target=all: expected ingest and supervisor as two services on Cloud Run, where a process has no CPU between requests and makes no ticks",
  );
}

/** Where this process itself asks a server that listens there. */
function addressAt(host: string | undefined): string {
  if (host === undefined || host === "0.0.0.0" || host === "::") return "127.0.0.1";
  return isIPv6(host) ? `[${host}]` : host;
}

function openTicker({ drainEveryMs, operatorToken }: Config, supervisorUrl: string, log: Log) {
  const onFailure = (reason: string) => log.warn("tick.failed", { reason });
  return startTicker({ supervisorUrl, everyMs: drainEveryMs, token: operatorToken, onFailure });
}

/** If it can't listen, says so and ends the process. */
function listening(server: Server, port: number, host: string | undefined): Promise<void> {
  return new Promise((resolve) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      console.error(`The supervisor can't listen on SUPERVISOR_PORT=${port} (${error.code}).`);
      process.exit(1);
    });
    server.listen({ port, host }, resolve);
  });
}
