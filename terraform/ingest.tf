# Ingest: the public service. Anyone may reach it; it asks for an API key itself.

resource "google_service_account" "ingest" {
  project      = local.project
  account_id   = "${var.name}-ingest"
  display_name = "Spillway ingest: reads its secrets, creates flush tasks"
}

module "ingest" {
  source = "./service"

  project             = local.project
  region              = var.region
  name                = "${var.name}-ingest"
  target              = "ingest"
  service_account     = google_service_account.ingest.email
  is_open_to_anyone   = !var.ingest_public_by_iam
  deletion_protection = var.deletion_protection
  initial_image       = var.initial_image
  concurrency         = var.ingest_concurrency
  timeout_seconds     = 60
  min_instances       = var.ingest_min_instances
  max_instances       = var.ingest_max_instances
  environment         = { for name, value in merge(local.common_env, local.ingest_env) : name => value if !contains(local.unset, name) }
  secrets             = { for name, secret in merge(local.webhook_secrets, local.ingest_secrets) : name => local.secret_versions[secret] if !contains(local.unset, name) }
  cloud_sql_instance  = var.cloud_sql_instance
  vpc_network         = var.vpc_network
  vpc_subnetwork      = var.vpc_subnetwork

  depends_on = [google_secret_manager_secret_iam_member.reader]
}

moved {
  from = google_cloud_run_v2_service.ingest
  to   = module.ingest.google_cloud_run_v2_service.this
}

# An organisation that restricts members to its own domains (iam.allowedPolicyMemberDomains) refuses allUsers, so this is
# not the usual way to be public.
resource "google_cloud_run_v2_service_iam_member" "anyone_invokes_ingest" {
  count = var.ingest_public_by_iam ? 1 : 0

  project  = local.project
  location = var.region
  name     = module.ingest.service.name
  role     = "roles/run.invoker"
  member   = "allUsers"
}

# Earlier releases had allUsers always. Terraform knows no order between taking that away and switching the check off, and in between ingest
# would answer 403. So it forgets the binding, which lets nobody in who is not let in anyway.
removed {
  from = google_cloud_run_v2_service_iam_member.ingest_public

  lifecycle {
    destroy = false
  }
}
