# Cloud Scheduler: the tick. Every minute it drains all streams, whatever the eager flushes did.

locals {
  # Longer than the supervisor's own timeout, so that Cloud Run ends a call that hangs, and the scheduler does not call
  # again while the first call still runs.
  scheduler_deadline_seconds = local.drain_timeout_seconds + 10
}

resource "google_service_account" "scheduler" {
  project      = local.project
  account_id   = "${var.name}-scheduler"
  display_name = "Spillway scheduler: may invoke the supervisor, and nothing else"
}

resource "google_cloud_run_v2_service_iam_member" "scheduler_invokes" {
  project  = local.project
  location = var.region
  name     = module.supervisor.service.name
  role     = "roles/run.invoker"
  member   = google_service_account.scheduler.member
}

resource "google_cloud_scheduler_job" "drain" {
  project          = local.project
  region           = var.region
  name             = "${var.name}-drain"
  description      = "Drains every stream"
  schedule         = "* * * * *"
  time_zone        = "Etc/UTC"
  attempt_deadline = "${local.scheduler_deadline_seconds}s"

  retry_config {
    retry_count = 0 # the next minute is the retry
  }

  http_target {
    http_method = "POST"
    uri         = "${module.supervisor.service.uri}/drain"

    oidc_token {
      service_account_email = google_service_account.scheduler.email
      audience              = module.supervisor.service.uri
    }
  }

  lifecycle {
    precondition {
      condition     = local.scheduler_deadline_seconds <= 1800
      error_message = "drain_deadline_ms is too long: Cloud Scheduler waits 1800 s at most, and would wait ${local.scheduler_deadline_seconds} s."
    }
  }
}

check "ticks_do_not_overlap" {
  assert {
    condition     = var.drain_deadline_ms <= 55000
    error_message = "drain_deadline_ms is ${var.drain_deadline_ms}: under a backlog each tick finds the one before it still draining. Nothing is lost, but ticks then answer \"held\"."
  }
}
