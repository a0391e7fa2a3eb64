# Migrations where the build can't reach the database: Cloud Build has neither Cloud SQL's socket nor your network. A job of
# Cloud Run has both. The build gives it the new image, runs it, and waits (cloudbuild.yaml). Elsewhere there is no job.

locals {
  migrates_by_job = var.cloud_sql_instance != null || var.vpc_network != null

  # What migrations go by: the database's own URL, or one for them alone.
  has_migration_url = nonsensitive(var.database_migration_url != null)
  migration_secret  = local.has_migration_url ? "migration-url" : "database-url"
}

# It runs as the build, which may read that secret already.
resource "google_cloud_run_v2_job" "migrate" {
  count = local.migrates_by_job ? 1 : 0

  project             = local.project
  name                = "${var.name}-migrate"
  location            = var.region
  deletion_protection = false # it holds nothing

  template {
    template {
      service_account = google_service_account.build.email
      timeout         = "3000s" # below the build's own
      max_retries     = 0       # what failed is told, and not done again

      containers {
        image   = var.initial_image
        command = ["node"]
        args    = [var.migrator]

        dynamic "env" {
          for_each = local.migration_secrets
          content {
            name = env.key
            value_source {
              secret_key_ref {
                secret  = local.secret_versions[env.value].secret
                version = local.secret_versions[env.value].version
              }
            }
          }
        }

        dynamic "volume_mounts" {
          for_each = var.cloud_sql_instance[*]
          content {
            name       = "cloudsql"
            mount_path = "/cloudsql"
          }
        }
      }

      dynamic "volumes" {
        for_each = var.cloud_sql_instance[*]
        content {
          name = "cloudsql"
          cloud_sql_instance {
            instances = [volumes.value]
          }
        }
      }

      dynamic "vpc_access" {
        for_each = var.vpc_network[*]
        content {
          egress = "PRIVATE_RANGES_ONLY"
          network_interfaces {
            network    = vpc_access.value
            subnetwork = var.vpc_subnetwork
          }
        }
      }
    }
  }

  lifecycle {
    # The build gives it an image; gcloud leaves its name and labels on it.
    ignore_changes = [
      client,
      client_version,
      annotations,
      labels,
      template[0].annotations,
      template[0].labels,
      template[0].template[0].containers[0].image,
    ]
  }

  depends_on = [google_secret_manager_secret_iam_member.reader]
}

resource "google_cloud_run_v2_job_iam_member" "build_migrates" {
  count = local.migrates_by_job ? 1 : 0

  project  = local.project
  location = var.region
  name     = google_cloud_run_v2_job.migrate[0].name
  role     = "roles/run.developer"
  member   = google_service_account.build.member
}

# Whoever changes a job must be allowed to act as its account, also if that is one's own.
resource "google_service_account_iam_member" "build_acts_as_itself" {
  count = local.migrates_by_job ? 1 : 0

  service_account_id = google_service_account.build.name
  role               = "roles/iam.serviceAccountUser"
  member             = google_service_account.build.member
}
