# Postgres: a Neon project, or the database that database_url names. As with Redis, a provisioned project is kept while
# the services use another database.

locals {
  # Neon has no Google Cloud regions: the nearest of AWS, measured in miles.
  neon_regions = {
    us-central1     = "aws-us-east-2"      # Iowa, Ohio
    us-east4        = "aws-us-east-1"      # both Northern Virginia
    europe-west1    = "aws-eu-central-1"   # Belgium, Frankfurt
    asia-northeast1 = "aws-ap-southeast-1" # Tokyo, Singapore
  }

  # The direct connection, not the pooler's: migrations hold a session's advisory lock. Spillway itself speaks HTTP to Neon,
  # which pools on its side.
  database_url = var.database_url != null ? var.database_url : neon_project.this[0].connection_uri

  # Any other host is reached over TCP, as lib/postgres-url.ts says; a test compares the two.
  database_is_over_tcp = nonsensitive(var.database_url != null && can(regex(local.postgres_form, var.database_url)) && !can(regex("@[^/?]+(?i:\\.neon\\.(tech|build))(:[0-9]+)?/", var.database_url)))

  # The supervisor's pool, that of each ingest instance (write-through, and one for look-ups, keys and letters), and a migration.
  connections_over_tcp = var.drain_concurrency + var.ingest_max_instances * (var.write_through_concurrency + 1) + 1
}

# Cloud Run bounds instances for each revision apart, and an old revision's instances keep their connections until they end.
check "connections_suffice_while_a_revision_replaces_another" {
  assert {
    condition     = !local.database_is_over_tcp || var.database_max_connections == null || try(2 * local.connections_over_tcp - 1 <= var.database_max_connections, false)
    error_message = "While a revision replaces another, both may hold their connections: up to ${2 * local.connections_over_tcp - 1} in all, and database_max_connections is less. Postgres then refuses some for minutes; nothing is lost, the events wait in Redis, and ?ack=stored answers 503. Lower ingest_max_instances, or put PgBouncer between."
  }
}

resource "neon_project" "this" {
  count = var.database_provisioned ? 1 : 0

  name       = var.name
  org_id     = var.neon_org_id
  region_id  = var.neon_region != null ? var.neon_region : lookup(local.neon_regions, var.region, null)
  pg_version = 17

  history_retention_seconds = var.neon_history_retention_seconds

  branch {
    name          = "main"
    database_name = "spillway"
    role_name     = "spillway"
  }

  default_endpoint_settings {
    autoscaling_limit_min_cu = 0.25 # suspends after five idle minutes; an idle tick does not wake it
    autoscaling_limit_max_cu = var.neon_max_cu
  }

  lifecycle {
    prevent_destroy = true     # it holds everything
    ignore_changes  = [branch] # after a restore another branch may be the default one: no reason to make another project

    precondition {
      condition     = var.neon_region != null || contains(keys(local.neon_regions), var.region)
      error_message = "No Neon region is known to be near ${var.region}: set neon_region, or bring a database along with database_url."
    }
  }
}
