# Cloud Tasks: the eager flush. Ingest creates a task that only says where to POST; the queue adds the token.

resource "google_service_account" "tasks" {
  project      = var.project_id
  account_id   = "${var.name}-tasks"
  display_name = "Spillway flush queue: may invoke the supervisor, and nothing else"
}

resource "google_cloud_run_v2_service_iam_member" "tasks_invokes" {
  project  = var.project_id
  location = var.region
  name     = google_cloud_run_v2_service.supervisor.name
  role     = "roles/run.invoker"
  member   = google_service_account.tasks.member
}

resource "google_cloud_tasks_queue" "flush" {
  project  = var.project_id
  name     = "${var.name}-flush"
  location = var.region

  http_target {
    http_method = "POST"

    # At the queue, so that the code needs no service account's name: it overrides whatever a task says.
    oidc_token {
      service_account_email = google_service_account.tasks.email
      audience              = google_cloud_run_v2_service.supervisor.uri
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

  depends_on = [google_project_service.this]
}

resource "google_cloud_tasks_queue_iam_member" "ingest_enqueues" {
  project  = var.project_id
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
