# The supervisor: the private service that drains. Reachable over its run.app address, because the scheduler, the
# queue and people call from outside, but only with a token of one of three accounts (scheduler.tf, tasks.tf, operators.tf).

locals {
  # A drain stops claiming at its deadline; the batch in hand then needs an insert's timeout (10 s at most), what a
  # refused batch takes until its refused rows are found, and its acknowledgement.
  drain_timeout_seconds = ceil(var.drain_deadline_ms / 1000) + 30
}

resource "google_service_account" "supervisor" {
  project      = var.project_id
  account_id   = "${var.name}-supervisor"
  display_name = "Spillway supervisor: reads its two secrets"
}

resource "google_cloud_run_v2_service" "supervisor" {
  project              = var.project_id
  name                 = "${var.name}-supervisor"
  location             = var.region
  ingress              = "INGRESS_TRAFFIC_ALL"
  invoker_iam_disabled = false
  deletion_protection  = var.deletion_protection

  template {
    service_account                  = google_service_account.supervisor.email
    max_instance_request_concurrency = var.supervisor_concurrency
    timeout                          = "${local.drain_timeout_seconds}s"

    scaling {
      min_instance_count = 0
      max_instance_count = 1 # one process, so DRAIN_CONCURRENCY bounds the inserts of the whole installation
    }

    containers {
      image = var.initial_image
      args  = ["--target=supervisor"] # after the image's entry point, the functions framework

      resources {
        limits            = { cpu = "1", memory = "512Mi" }
        cpu_idle          = true
        startup_cpu_boost = true
      }

      dynamic "env" {
        for_each = { for name, value in merge(local.common_env, local.supervisor_env) : name => value if value != "" }
        content {
          name  = env.key
          value = env.value
        }
      }

      dynamic "env" {
        for_each = local.supervisor_secrets
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
