# The cloud of this installation, made by Spillway's own module: npm update upgrades it, and `terraform init -upgrade && terraform apply`
# takes that up. Run `npm install` first, because the module is in node_modules/.
#
# Each variable of ../node_modules/spillway/terraform/variables*.tf may stand here. Those files say its meaning, its bounds and its default.

terraform {
  required_version = ">= 1.11"

  # The state holds secrets. Keep it where few people can read it:
  # backend "gcs" { bucket = "…-terraform-state" }
}

module "spillway" {
  source = "../node_modules/spillway/terraform"

  project_id  = var.project_id
  region      = var.region
  alert_email = var.alert_email
  operators   = var.operators
  api_keys    = var.api_keys

  # Redis: one that Terraform makes at Upstash, or one of your own (redis_provisioned = false), by REST or by redis_url.
  redis_provisioned = var.redis_provisioned
  upstash_email     = var.upstash_email
  upstash_api_key   = var.upstash_api_key
  redis_rest_url    = var.redis_rest_url
  redis_rest_token  = var.redis_rest_token
  redis_url         = var.redis_url

  # Postgres: one that Terraform makes at Neon, or one of your own (database_provisioned = false).
  database_provisioned     = var.database_provisioned
  neon_org_id              = var.neon_org_id
  neon_api_key             = var.neon_api_key
  database_url             = var.database_url
  database_migration_url   = var.database_migration_url
  database_max_connections = var.database_max_connections
  cloud_sql_instance       = var.cloud_sql_instance
  vpc_network              = var.vpc_network
  vpc_subnetwork           = var.vpc_subnetwork
  migrator                 = "/app/node_modules/spillway/dist/drizzle/migrate.js" # in the image

  webhook_secrets = var.webhook_secrets

  # What the output curl posts: one of your streams, and an event that it takes.
  curl_example = {
    stream = "events"
    event  = { type = "hello", payload = { from = "spillway" } }
  }
}
