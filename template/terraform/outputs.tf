# `npx spillway … --prod` reads these, and so do README.md and Spillway's documents. None of them is a secret.

output "ingest_url" {
  value = module.spillway.ingest_url
}

output "supervisor_url" {
  value = module.spillway.supervisor_url
}

output "operator_service_account" {
  value = module.spillway.operator_service_account
}

output "deploy_command" {
  value = module.spillway.deploy_command
}

output "curl" {
  value = module.spillway.curl
}

output "dashboard_url" {
  value = module.spillway.dashboard_url
}

output "postgres_connections_max" {
  value = module.spillway.postgres_connections_max
}
