# The Google APIs that Spillway stands on. They stay on when Spillway is destroyed: others may use them. The line
# `gcloud services enable` of README.md and docs/first-deploy.md turns the same ones on before, and a test compares them.

resource "google_project_service" "this" {
  for_each = toset(concat(local.own_server_apis, [
    "artifactregistry.googleapis.com",
    "cloudbuild.googleapis.com",
    "cloudresourcemanager.googleapis.com",
    "cloudscheduler.googleapis.com",
    "cloudtasks.googleapis.com",
    "iam.googleapis.com",
    "iamcredentials.googleapis.com",
    "logging.googleapis.com",
    "monitoring.googleapis.com",
    "run.googleapis.com",
    "secretmanager.googleapis.com",
    "storage.googleapis.com",
  ]))

  project            = var.project_id
  service            = each.key
  disable_on_destroy = false
}

locals {
  # The project, once its APIs are on. Whatever says local.project waits for them: nothing else names var.project_id to
  # make something (test/unit/terraform-graph.test.ts).
  project = one(toset([for api in google_project_service.this : api.project]))
}
