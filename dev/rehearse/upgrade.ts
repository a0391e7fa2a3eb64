/**
 * The upgrade of an installation whose ingest is public because allUsers is an invoker, as in earlier releases: at each moment of the apply
 * it has to be public one way or the other. Terraform knows no order between the end of a binding and a change of what it belongs to.
 */
import type { Service } from "./cloud-run.ts";
import type { Terraform } from "./terraform/terraform.ts";
import type { World } from "./world.ts";

const BINDING = "google_cloud_run_v2_service_iam_member";

/** Makes the installation of before, and applies this release. Returns whether allUsers may invoke ingest, and whether Cloud Run's check is off. */
export async function upgrade({ cloud }: World, terraform: Terraform, ingest: string) {
  await terraform.run("apply", ["-auto-approve", "-var=ingest_public_by_iam=true"]);
  await terraform.run("state", ["mv", `${BINDING}.anyone_invokes_ingest[0]`, `${BINDING}.ingest_public`]);
  await terraform.run("apply", ["-auto-approve"]);
  const { invokerIamDisabled } = cloud.resources.get(ingest) as Service;
  return {
    isBound: cloud.resources.has(ingest, "allUsers", "roles/run.invoker"),
    isOpen: invokerIamDisabled,
  };
}
