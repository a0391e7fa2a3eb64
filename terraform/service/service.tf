# A Cloud Run service of Spillway: ingest and the supervisor are the same image, and differ in what stands in variables.tf.
# Cloud Build deploys its revisions; Terraform makes the service and its settings.

resource "google_cloud_run_v2_service" "this" {
  project              = var.project
  name                 = var.name
  location             = var.region
  ingress              = "INGRESS_TRAFFIC_ALL"
  invoker_iam_disabled = var.is_open_to_anyone
  deletion_protection  = var.deletion_protection

  template {
    service_account                  = var.service_account
    max_instance_request_concurrency = var.concurrency
    timeout                          = "${var.timeout_seconds}s"

    scaling {
      min_instance_count = var.min_instances
      max_instance_count = var.max_instances
    }

    containers {
      image = var.initial_image
      args  = ["--target=${var.target}"] # after the image's entry point, the functions framework

      resources {
        limits            = { cpu = "1", memory = "512Mi" }
        cpu_idle          = true # billed by request: nothing runs on after an answer
        startup_cpu_boost = true
      }

      dynamic "env" {
        for_each = var.environment
        content {
          name  = env.key
          value = env.value
        }
      }

      dynamic "env" {
        for_each = var.secrets
        content {
          name = env.key
          value_source {
            secret_key_ref {
              secret  = env.value.secret
              version = env.value.version
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

    # Cloud Run makes /cloudsql/CONNECTION-NAME/.s.PGSQL.5432.
    dynamic "volumes" {
      for_each = var.cloud_sql_instance[*]
      content {
        name = "cloudsql"
        cloud_sql_instance {
          instances = [volumes.value]
        }
      }
    }

    # Private addresses through the network; Google's APIs, Neon and Upstash past it.
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

  lifecycle {
    # Cloud Build deploys revisions and moves traffic; gcloud leaves its name and labels on them. Cloud Run answers with a
    # scaling of the whole service, zeros, beside the revision's that is set above.
    ignore_changes = [
      client,
      client_version,
      scaling,
      traffic,
      template[0].annotations,
      template[0].labels,
      template[0].containers[0].image,
    ]
  }
}

output "service" {
  description = "The service: its name, its uri, and all else that it has."
  value       = google_cloud_run_v2_service.this
}
