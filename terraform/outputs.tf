# What one needs next. Nothing here is a secret.

output "ingest_url" {
  description = "Where clients post."
  value       = module.ingest.service.uri
}

output "supervisor_url" {
  description = "The private service. It answers 403 to everyone but the scheduler, the queue and the operators' account."
  value       = module.supervisor.service.uri
}

output "deploy_command" {
  description = "Builds, migrates and deploys what is in the working directory: sh -c \"$(terraform -chdir=terraform output -raw deploy_command)\""
  value = join(" ", [
    "gcloud builds submit .",
    "--project=${var.project_id}",
    "--region=${var.build_region}",
    "--config=cloudbuild.yaml",
    "--service-account=${google_service_account.build.id}",
    "--gcs-source-staging-dir=gs://${google_storage_bucket.sources.name}/source",
    "--substitutions=${join(",", [for name, value in local.build_substitutions : "${name}=${value}"])}",
  ])
}

output "curl" {
  description = "Posts the event of curl_example; without one, asks whether ingest answers. $KEY is the key whose SHA-256 is in api_keys."
  value = join(" \\\n  ", var.curl_example == null ? [
    "# To post an event instead, set curl_example in terraform.tfvars.\ncurl -i ${module.ingest.service.uri}/health",
    ] : [
    "curl -i ${module.ingest.service.uri}/v1/${var.curl_example.stream}",
    "-H \"authorization: Bearer $KEY\" -H \"content-type: application/json\"",
    "-d '${replace(jsonencode(var.curl_example.event), "'", "'\\''")}'",
  ])
}

output "dashboard_url" {
  description = "The dashboard in Cloud Monitoring."
  value       = "https://console.cloud.google.com/monitoring/dashboards/builder/${element(split("/", google_monitoring_dashboard.this.id), length(split("/", google_monitoring_dashboard.this.id)) - 1)}?project=${var.project_id}"
}

output "postgres_connections_max" {
  description = "Over TCP: the most connections, of the supervisor, every ingest instance and a migration. Over HTTP: the most inserts that can run at once; there, a stream whose table is locked has one more."
  value       = local.database_is_over_tcp ? local.connections_over_tcp : var.drain_concurrency + var.write_through_concurrency * var.ingest_max_instances
}

output "secrets" {
  description = "The secrets' names in Secret Manager."
  value       = { for name, secret in google_secret_manager_secret.this : name => secret.secret_id }
}

output "operator_service_account" {
  description = "Whom operators impersonate to call the supervisor; spillway --prod does."
  value       = google_service_account.operator.email
}
