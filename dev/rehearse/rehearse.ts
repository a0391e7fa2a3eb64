/**
 * `npm run rehearse`: the deployment of README from nothing to nothing, with its own commands, against a cloud of this machine. Terraform
 * makes the services there, the build deploys the functions of dist/ into them, and they run with the environment, the secrets and the
 * rights that Terraform gave. What such a cloud can't show is listed in docs/operations.md, "Not yet seen on the real cloud".
 *
 * Exit status 0: every step was done, or terraform is not installed. 1: a step failed; it says which, and why. With REHEARSE=required, it is
 * also 1 if terraform is missing.
 */
import { brought, made } from "./installations.ts";
import { Rehearsal } from "./rehearsal.ts";
import { isInstalled } from "./terraform/terraform.ts";
import { openWorld, type World } from "./world.ts";

async function rehearse(): Promise<number> {
  if (!(await isInstalled())) {
    console.log("SKIPPED rehearsal: terraform is not in PATH, so the deployment was not rehearsed");
    return process.env.REHEARSE === "required" ? 1 : 0;
  }
  console.log("Upstash and Neon, made by Terraform");
  const failed = await rehearseOne(async (world) => (await Rehearsal.open(world, made)).steps);
  if (failed !== 0) return failed;
  console.log("Cloud SQL and a private Redis, over TCP");
  return rehearseOne(async (world) => (await Rehearsal.open(world, brought(world))).fewSteps);
}

async function rehearseOne(open: (world: World) => Promise<Rehearsal["steps"]>): Promise<number> {
  const lines: string[] = [];
  const world = await openWorld((line) => lines.push(line));
  try {
    const steps = await open(world);
    for (const [i, [name, step]] of steps.entries()) {
      const beganMs = performance.now();
      const found = await step().catch((error: Error) => error);
      const seconds = ((performance.now() - beganMs) / 1000).toFixed(0);
      if (found instanceof Error) {
        console.log(
          `FAILED ${i + 1} ${name} (${seconds} s)\n${found.message}\n${lines.slice(-20).join("\n")}`,
        );
        return 1;
      }
      console.log(`ok ${i + 1} ${name} (${seconds} s): ${found}`);
    }
    return 0;
  } finally {
    await world.close();
  }
}

process.exit(await rehearse());
