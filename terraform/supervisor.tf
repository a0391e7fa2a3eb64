# The supervisor: the private service that drains. Reachable over its run.app address, because the scheduler, the
# queue and people call from outside, but only with a token of one of three accounts (scheduler.tf, tasks.tf, operators.tf).

locals {
  # A drain stops claiming at its deadline; the batch in hand then needs an insert's timeout (10 s at most), what a
  # refused batch takes until its refused rows are found, and its acknowledgement.
  drain_timeout_seconds = ceil(var.drain_deadline_ms / 1000) + 30
}

resource "google_service_account" "supervisor" {
  project      = local.project
  account_id   = "${var.name}-supervisor"
  display_name = "Spillway supervisor: reads its two secrets"
}

module "supervisor" {
  source = "./service"

  project             = local.project
  region              = var.region
  name                = "${var.name}-supervisor"
  target              = "supervisor"
  service_account     = google_service_account.supervisor.email
  is_open_to_anyone   = false
  deletion_protection = var.deletion_protection
  initial_image       = var.initial_image
  concurrency         = var.supervisor_concurrency
  timeout_seconds     = local.drain_timeout_seconds
  min_instances       = 0
  max_instances       = 1 # one process, so DRAIN_CONCURRENCY bounds the inserts of the whole installation
  environment         = { for name, value in merge(local.common_env, local.supervisor_env) : name => value if !contains(local.unset, name) }
  secrets             = { for name, secret in local.supervisor_secrets : name => local.secret_versions[secret] if !contains(local.unset, name) }
  cloud_sql_instance  = var.cloud_sql_instance
  vpc_network         = var.vpc_network
  vpc_subnetwork      = var.vpc_subnetwork

  depends_on = [google_secret_manager_secret_iam_member.reader]
}

moved {
  from = google_cloud_run_v2_service.supervisor
  to   = module.supervisor.google_cloud_run_v2_service.this
}
