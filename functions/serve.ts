/** Registers both functions with the framework, and serves the one for which the process was started. */
import { http } from "@google-cloud/functions-framework";
import type { Registry } from "../lib/schema/registry.ts";
import { installFrontDoor, type Served, targetName } from "./front-door.ts";
import { wireIngest } from "./wire-ingest.ts";
import { environment } from "./wire-process.ts";
import { wireSupervisor } from "./wire-supervisor.ts";

const targets = new Map<string, (streams: Registry) => Promise<Served>>([
  ["ingest", wireIngest],
  ["supervisor", wireSupervisor],
]);

/** Serves these streams. Call it once in a process, before the framework makes its server. */
export async function serveFunctions(streams: Registry): Promise<void> {
  for (const name of targets.keys())
    http(name, () => {
      throw new Error("expected the front door to answer before the framework does");
    });

  const wire = targets.get(targetName(environment) ?? "");
  if (!wire) return;
  const served = await wire(streams);
  installFrontDoor(served);
  served.log.info("function.started");
}
