# The first plan, when nothing is made and no address is known yet.

mock_provider "google" {}
mock_provider "upstash" {}
mock_provider "neon" {}

run "a_first_plan_knows_which_names_stand_in_each_environment" {
  command = plan

  # Names that turn up only while it applies are an "inconsistent final plan" to Terraform, and end the first apply.
  assert {
    condition     = toset([for env in module.ingest.service.template[0].containers[0].env : env.name]) == toset([for name in keys(merge(local.common_env, local.ingest_env, local.ingest_secrets)) : name if !contains(local.unset, name)])
    error_message = "Ingest's environment is not known before it is made."
  }

  assert {
    condition     = toset([for env in module.supervisor.service.template[0].containers[0].env : env.name]) == toset([for name in keys(merge(local.common_env, local.supervisor_env, local.supervisor_secrets)) : name if !contains(local.unset, name)])
    error_message = "The supervisor's environment is not known before it is made."
  }
}
