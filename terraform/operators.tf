# Operators: people (var.operators) who ask the supervisor for everything: keys, dead letters, status, drain. They do so as a
# service account of their own, by spillway --prod. The supervisor knows the scheduler and the queue by their e-mails
# (DRAIN_CALLERS) and lets these two drain, and do nothing else.

resource "google_service_account" "operator" {
  project      = local.project
  account_id   = "${var.name}-operator"
  display_name = "Spillway operators: may ask the supervisor for everything, and nothing else"
}

resource "google_cloud_run_v2_service_iam_member" "operator_invokes" {
  project  = local.project
  location = var.region
  name     = module.supervisor.service.name
  role     = "roles/run.invoker"
  member   = google_service_account.operator.member
}

resource "google_service_account_iam_member" "operator_impersonates" {
  for_each = toset(var.operators)

  service_account_id = google_service_account.operator.name
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = each.key
}
