# Cloud Build: who may build and deploy (cloudbuild.yaml says how), and the trigger that does it on every push.

locals {
  image = "${var.region}-docker.pkg.dev/${var.project_id}/${google_artifact_registry_repository.this.repository_id}/spillway"

  build_substitutions = merge(local.migrates_by_job ? { _MIGRATE_JOB = google_cloud_run_v2_job.migrate[0].name } : {}, {
    _REGION                   = var.region
    _IMAGE                    = local.image
    _INGEST                   = module.ingest.service.name
    _SUPERVISOR               = module.supervisor.service.name
    _DATABASE_URL_SECRET      = google_secret_manager_secret.this[local.migration_secret].secret_id
    _OPERATOR_SERVICE_ACCOUNT = google_service_account.operator.email
    _LOGS_BUCKET              = google_storage_bucket.sources.name
  })
}

resource "google_service_account" "build" {
  project      = local.project
  account_id   = "${var.name}-build"
  display_name = "Spillway build: pushes the image, migrates, deploys the two services"
}

resource "google_project_iam_member" "build_logs" {
  project = local.project
  role    = "roles/logging.logWriter"
  member  = google_service_account.build.member
}

resource "google_artifact_registry_repository_iam_member" "build_pushes" {
  project    = local.project
  location   = var.region
  repository = google_artifact_registry_repository.this.name
  role       = "roles/artifactregistry.writer"
  member     = google_service_account.build.member
}

resource "google_cloud_run_v2_service_iam_member" "build_deploys" {
  for_each = {
    ingest     = module.ingest.service.name
    supervisor = module.supervisor.service.name
  }

  project  = local.project
  location = var.region
  name     = each.value
  role     = "roles/run.developer"
  member   = google_service_account.build.member
}

# A revision runs as its service's account, so whoever deploys it must be allowed to act as that.
resource "google_service_account_iam_member" "build_acts_as_service" {
  for_each = {
    ingest     = google_service_account.ingest.name
    supervisor = google_service_account.supervisor.name
  }

  service_account_id = each.value
  role               = "roles/iam.serviceAccountUser"
  member             = google_service_account.build.member
}

# The smoke test asks the new supervisor for its status, as an operator does: the scheduler may only drain.
resource "google_service_account_iam_member" "build_smokes_as_operator" {
  service_account_id = google_service_account.operator.name
  role               = "roles/iam.serviceAccountOpenIdTokenCreator"
  member             = google_service_account.build.member
}

# Where `gcloud builds submit` leaves the sources, and the build its log.
resource "google_storage_bucket" "sources" {
  project                     = local.project
  name                        = "${var.project_id}-${var.name}-sources"
  location                    = var.build_region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = true

  soft_delete_policy {
    retention_duration_seconds = 0 # deleted sources are not kept and billed for another week
  }

  lifecycle_rule {
    condition {
      age = 7
    }
    action {
      type = "Delete"
    }
  }
}

resource "google_storage_bucket_iam_member" "build_reads_sources" {
  bucket = google_storage_bucket.sources.name
  role   = "roles/storage.objectViewer"
  member = google_service_account.build.member
}

# The build writes its log there, too, and gcloud reads it while the build runs. Cloud Build wants this role for a bucket of one's own.
resource "google_storage_bucket_iam_member" "build_writes_logs" {
  bucket = google_storage_bucket.sources.name
  role   = "roles/storage.admin"
  member = google_service_account.build.member
}

resource "google_cloudbuild_trigger" "push" {
  count = var.build_repository == null ? 0 : 1

  project         = local.project
  location        = var.build_region
  name            = "${var.name}-push"
  description     = "Checks, builds, migrates and deploys ${var.build_branch}"
  filename        = "cloudbuild.yaml"
  service_account = google_service_account.build.id
  substitutions   = local.build_substitutions

  repository_event_config {
    repository = var.build_repository
    push {
      branch = var.build_branch
    }
  }
}
