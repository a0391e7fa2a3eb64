# Cloud Tasks: the eager flush. Ingest creates a task that only says where to POST; the queue adds the token.

resource "google_service_account" "tasks" {
  project      = local.project
  account_id   = "${var.name}-tasks"
  display_name = "Spillway flush queue: may invoke the supervisor, and nothing else"
}

resource "google_cloud_run_v2_service_iam_member" "tasks_invokes" {
  project  = local.project
  location = var.region
  name     = module.supervisor.service.name
  role     = "roles/run.invoker"
  member   = google_service_account.tasks.member
}

resource "google_cloud_tasks_queue" "flush" {
  project  = local.project
  name     = "${var.name}-flush${var.name_suffix}"
  location = var.region

  http_target {
    http_method = "POST"

    # At the queue, so that the code needs no service account's name: it overrides whatever a task says.
    oidc_token {
      service_account_email = google_service_account.tasks.email
      audience              = module.supervisor.service.uri
    }
  }

  rate_limits {
    max_dispatches_per_second = var.flush_max_per_second
    max_concurrent_dispatches = var.flush_max_concurrent
  }

  retry_config {
    max_attempts = 1 # a 503 is not tried again: the next crossing or the tick makes up for it
  }

  stackdriver_logging_config {
    sampling_ratio = 0.01
  }
}

resource "google_cloud_tasks_queue_iam_member" "ingest_enqueues" {
  project  = local.project
  location = var.region
  name     = google_cloud_tasks_queue.flush.name
  role     = "roles/cloudtasks.enqueuer"
  member   = google_service_account.ingest.member
}

# Whoever has a task run as a service account must be allowed to act as it.
resource "google_service_account_iam_member" "ingest_acts_as_tasks" {
  service_account_id = google_service_account.tasks.name
  role               = "roles/iam.serviceAccountUser"
  member             = google_service_account.ingest.member
}
