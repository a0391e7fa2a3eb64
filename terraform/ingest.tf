# Ingest: the public service. Anyone may reach it; it asks for an API key itself.

resource "google_service_account" "ingest" {
  project      = var.project_id
  account_id   = "${var.name}-ingest"
  display_name = "Spillway ingest: reads its secrets, creates flush tasks"
}

resource "google_cloud_run_v2_service" "ingest" {
  project             = var.project_id
  name                = "${var.name}-ingest"
  location            = var.region
  ingress             = "INGRESS_TRAFFIC_ALL"
  deletion_protection = var.deletion_protection

  template {
    service_account                  = google_service_account.ingest.email
    max_instance_request_concurrency = var.ingest_concurrency
    timeout                          = "60s"

    scaling {
      min_instance_count = var.ingest_min_instances
      max_instance_count = var.ingest_max_instances
    }

    containers {
      image = var.initial_image
      args  = ["--target=ingest"] # after the image's entry point, the functions framework

      resources {
        limits            = { cpu = "1", memory = "512Mi" }
        cpu_idle          = true # billed by request: nothing runs on after an answer
        startup_cpu_boost = true
      }

      dynamic "env" {
        for_each = { for name, value in merge(local.common_env, local.ingest_env) : name => value if value != "" }
        content {
          name  = env.key
          value = env.value
        }
      }

      dynamic "env" {
        for_each = merge(local.webhook_secrets, local.ingest_secrets)
        content {
          name = env.key
          value_source {
            secret_key_ref {
              secret  = google_secret_manager_secret.this[env.value].secret_id
              version = google_secret_manager_secret_version.this[env.value].version
            }
          }
        }
      }

      startup_probe {
        period_seconds    = 1
        timeout_seconds   = 1
        failure_threshold = 30
        http_get {
          path = "/health"
        }
      }

      liveness_probe {
        period_seconds    = 30
        timeout_seconds   = 5
        failure_threshold = 3
        http_get {
          path = "/health"
        }
      }
    }
  }

  lifecycle {
    # Cloud Build deploys revisions and moves traffic; gcloud leaves its name and labels on them.
    ignore_changes = [
      client,
      client_version,
      traffic,
      template[0].annotations,
      template[0].labels,
      template[0].containers[0].image,
    ]
  }

  depends_on = [google_secret_manager_secret_iam_member.reader]
}

resource "google_cloud_run_v2_service_iam_member" "ingest_public" {
  project  = var.project_id
  location = var.region
  name     = google_cloud_run_v2_service.ingest.name
  role     = "roles/run.invoker"
  member   = "allUsers"
}
