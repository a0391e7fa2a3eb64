/** Registers the targets with the framework, and serves the one for which the process was started. */
import { http } from "@google-cloud/functions-framework";
import type { Registry } from "../lib/schema/registry.ts";
import { installFrontDoor, targetName } from "./front-door.ts";
import { serveBoth } from "./serve-both.ts";
import { hostOfSupervisor } from "./wire-callers.ts";
import { wireIngest } from "./wire-ingest.ts";
import { configure, environment, orEnd } from "./wire-process.ts";
import { wireSupervisor } from "./wire-supervisor.ts";

const targets = new Map<string, (streams: Registry) => Promise<void>>([
  ["ingest", serveIngest],
  ["supervisor", serveSupervisor],
  ["all", serveBoth],
]);

/** Serves these streams. Call it once in a process, before the framework makes its server. */
export async function serveFunctions(streams: Registry): Promise<void> {
  for (const name of targets.keys())
    http(name, () => {
      throw new Error("expected the front door to answer before the framework does");
    });
  await targets.get(targetName(environment) ?? "")?.(streams);
}

async function serveIngest(streams: Registry): Promise<void> {
  const served = await wireIngest(streams);
  installFrontDoor(served);
  served.log.info("function.started");
}

async function serveSupervisor(streams: Registry): Promise<void> {
  const config = configure();
  const host = orEnd(() => hostOfSupervisor(config));
  const served = await wireSupervisor(streams, config);
  installFrontDoor(served, { host });
  if (host !== undefined && config.supervisorHost === undefined)
    served.log.warn("supervisor.local", {
      host,
      reason: "without OPERATOR_TOKEN it serves this machine alone",
    });
  served.log.info("function.started");
}
