/** What the steps of the rehearsal hold to be true, and say otherwise why not. */
import type { Service } from "./cloud-run.ts";
import type { Resources } from "./resources.ts";

export class StepFailed extends Error {}

export function demand(isSo: boolean, otherwise: string): void {
  if (!isSo) throw new StepFailed(otherwise);
}

/** After a build each service serves the revision that the build made, and nothing else, and no tag is left. */
export function demandLive(resources: Resources, services: readonly string[]): void {
  for (const name of services) {
    const service = resources.get(name) as Service;
    const newest = service.latestCreatedRevision.replace(/.*\//, "");
    const serving = service.traffic.filter(({ percent = 0 }) => percent > 0);
    const isNewest = serving.every(({ revision = newest }) => revision === newest) && serving.length === 1;
    demand(isNewest, `${name} serves ${JSON.stringify(service.traffic)}, and not only ${newest}`);
    demand(
      service.traffic.every(({ tag }) => tag === undefined),
      `${name} has a tag left`,
    );
  }
}

/** After a destroy only what it must not take away is left: Google's APIs, and at the vendors both databases. */
export function demandKept(names: readonly string[], databases: readonly string[]): void {
  const left = names.filter((name) => !/\.googleapis\.com$/.test(name));
  demand(left.length === 0, `left: ${left.join(", ")}`);
  demand(names.length > 0, "the APIs were turned off, which others may use");
  demand(databases.join() === "redis,project", `of the databases there are: ${databases.join()}`);
}
