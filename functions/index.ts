/** Registers both functions with the framework, and serves the one it was started for. */
import { http } from "@google-cloud/functions-framework";
import { installFrontDoor, type Served, targetName } from "./front-door.ts";
import { environment, wireIngest, wireSupervisor } from "./wiring.ts";

const targets: Record<string, () => Promise<Served>> = { ingest: wireIngest, supervisor: wireSupervisor };

for (const name of Object.keys(targets))
  http(name, () => {
    throw new Error("expected the front door to answer before the framework does");
  });

const wire = targets[targetName(environment) ?? ""];
if (wire) {
  const served = await wire();
  installFrontDoor(served);
  served.log.info("function.started");
}
