# What Google would have made, for tests that only plan. Each service account is another, so that a test can tell
# which one a resource names.

mock_resource "google_cloud_run_v2_service" {
  override_during = plan
  defaults = {
    id  = "projects/my-project/locations/us-east4/services/made"
    uri = "https://made.run.app"
  }
}

override_resource {
  target          = module.supervisor.google_cloud_run_v2_service.this
  override_during = plan
  values = {
    id  = "projects/my-project/locations/us-east4/services/spillway-supervisor"
    uri = "https://supervisor.run.app"
  }
}

mock_resource "google_cloud_tasks_queue" {
  override_during = plan
  defaults = {
    id = "projects/my-project/locations/us-east4/queues/spillway-flush"
  }
}

mock_resource "google_secret_manager_secret" {
  override_during = plan
  defaults = {
    id = "projects/my-project/secrets/made"
  }
}

mock_resource "google_secret_manager_secret_version" {
  override_during = plan
  defaults = {
    version = "7"
  }
}

mock_resource "google_artifact_registry_repository" {
  override_during = plan
  defaults = {
    name = "spillway"
  }
}

mock_resource "google_monitoring_notification_channel" {
  override_during = plan
  defaults = {
    id = "projects/my-project/notificationChannels/7"
  }
}

mock_resource "google_monitoring_dashboard" {
  override_during = plan
  defaults = {
    id = "projects/7/dashboards/made"
  }
}

override_resource {
  target          = google_service_account.ingest
  override_during = plan
  values = {
    id     = "projects/my-project/serviceAccounts/ingest@example.com"
    name   = "projects/my-project/serviceAccounts/ingest@example.com"
    email  = "ingest@example.com"
    member = "serviceAccount:ingest@example.com"
  }
}

override_resource {
  target          = google_service_account.supervisor
  override_during = plan
  values = {
    id     = "projects/my-project/serviceAccounts/supervisor@example.com"
    name   = "projects/my-project/serviceAccounts/supervisor@example.com"
    email  = "supervisor@example.com"
    member = "serviceAccount:supervisor@example.com"
  }
}

override_resource {
  target          = google_service_account.scheduler
  override_during = plan
  values = {
    id     = "projects/my-project/serviceAccounts/scheduler@example.com"
    name   = "projects/my-project/serviceAccounts/scheduler@example.com"
    email  = "scheduler@example.com"
    member = "serviceAccount:scheduler@example.com"
  }
}

override_resource {
  target          = google_service_account.tasks
  override_during = plan
  values = {
    id     = "projects/my-project/serviceAccounts/tasks@example.com"
    name   = "projects/my-project/serviceAccounts/tasks@example.com"
    email  = "tasks@example.com"
    member = "serviceAccount:tasks@example.com"
  }
}

override_resource {
  target          = google_service_account.operator
  override_during = plan
  values = {
    id     = "projects/my-project/serviceAccounts/operator@example.com"
    name   = "projects/my-project/serviceAccounts/operator@example.com"
    email  = "operator@example.com"
    member = "serviceAccount:operator@example.com"
  }
}

override_resource {
  target          = google_service_account.build
  override_during = plan
  values = {
    id     = "projects/my-project/serviceAccounts/build@example.com"
    name   = "projects/my-project/serviceAccounts/build@example.com"
    email  = "build@example.com"
    member = "serviceAccount:build@example.com"
  }
}
