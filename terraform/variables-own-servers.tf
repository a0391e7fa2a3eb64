# A Redis and a Postgres of your own over TCP, and the way to them. A Redis by Upstash's REST, and which server is made by
# Terraform, are in variables.tf.

variable "redis_url" {
  description = "rediss://user:password@host:port/0 of a Redis 7 or Valkey of your own, which the services use over TCP (TF_VAR_redis_url); redis://, without TLS, inside a network of yours. In place of redis_rest_url and redis_rest_token."
  type        = string
  default     = null
  sensitive   = true
}

variable "database_migration_url" {
  description = "The direct URL of the database, for migrations (TF_VAR_database_migration_url), if database_url leads to a pooler or its role may not change tables. null: database_url."
  type        = string
  default     = null
  sensitive   = true
}

variable "migrator" {
  description = "The file in the image that migrates. An installation, whose image has Spillway as a package, says /app/node_modules/spillway/dist/drizzle/migrate.js."
  type        = string
  default     = "/app/dist/drizzle/migrate.js"
  nullable    = false
}

variable "database_max_connections" {
  description = "The connections that Postgres has left for Spillway: of its max_connections, or of the pooler's max_client_conn, without those of other programs. Needed where database_url is reached over TCP; Neon's HTTP needs none."
  type        = number
  default     = null

  validation {
    condition     = var.database_max_connections == null || try(var.database_max_connections >= 1 && floor(var.database_max_connections) == var.database_max_connections, false)
    error_message = "database_max_connections: expected a whole number, at least 1."
  }

  validation {
    condition     = !local.database_is_over_tcp || var.database_max_connections != null
    error_message = "database_max_connections: expected the connections that this Postgres has left for Spillway (its max_connections without those of other programs), because database_url is reached over TCP. Spillway opens up to ${local.connections_over_tcp}."
  }

  validation {
    condition     = !local.database_is_over_tcp || var.database_max_connections == null || try(local.connections_over_tcp <= var.database_max_connections, false)
    error_message = "database_max_connections: expected at least ${local.connections_over_tcp}: drain_concurrency (${var.drain_concurrency}) + ingest_max_instances (${var.ingest_max_instances}) × (write_through_concurrency (${var.write_through_concurrency}) + 1) + 1 for a migration. Lower ingest_max_instances first (each may take ingest_concurrency requests at once), then drain_concurrency; or put PgBouncer between, in transaction mode, and set database_migration_url."
  }
}

variable "cloud_sql_instance" {
  description = "The connection name of a Cloud SQL instance (project:region:instance), whose socket both services and migrations get. database_url is then postgres://user:password@/database?host=/cloudsql/project:region:instance. It needs a public address, which no network has to be let into; for a private one leave this out, and set vpc_network."
  type        = string
  default     = null

  validation {
    condition     = var.cloud_sql_instance == null || can(regex("^([a-z0-9.-]+\\.[a-z]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]:[a-z]+-[a-z]+[0-9]+:[a-z][a-z0-9-]*$", var.cloud_sql_instance))
    error_message = "cloud_sql_instance: expected a connection name such as my-project:us-east4:my-instance (gcloud sql instances describe INSTANCE --format='value(connectionName)')."
  }

  validation {
    condition     = var.cloud_sql_instance == null || contains(local.database_sockets, "/cloudsql/${coalesce(var.cloud_sql_instance, "-")}")
    error_message = "cloud_sql_instance: expected database_url to lead to its socket: postgres://user:password@/database?host=/cloudsql/${coalesce(var.cloud_sql_instance, "project:region:instance")}."
  }

  validation {
    condition     = length(setsubtract(local.database_sockets, ["", "/cloudsql/${coalesce(var.cloud_sql_instance, "-")}"])) == 0
    error_message = "cloud_sql_instance: expected the connection name of the instance whose socket the URL names (host=/cloudsql/project:region:instance): Cloud Run makes no other."
  }

  validation {
    condition     = var.cloud_sql_instance == null || try(length("/cloudsql/${var.cloud_sql_instance}/.s.PGSQL.5432") <= 107, false)
    error_message = "cloud_sql_instance: expected a connection name of at most 83 characters, because a socket's path has 107 at most. Reach the instance by its private address instead: vpc_network."
  }
}

variable "vpc_network" {
  description = "The network through which both services and migrations reach private addresses: a Memorystore, a Postgres. Its name, or projects/P/global/networks/N where another project shares it. Public addresses are asked past it."
  type        = string
  default     = null

  validation {
    condition     = var.vpc_network == null || can(regex("^(projects/[^/\\s]+/global/networks/)?[a-z][a-z0-9-]{0,62}$", var.vpc_network))
    error_message = "vpc_network: expected a network's name, or projects/P/global/networks/N."
  }

  validation {
    condition     = var.vpc_network != null || !local.leads_to_private_host
    error_message = "vpc_network: expected the network that leads to the private address in redis_url, database_url or database_migration_url: Cloud Run does not reach it otherwise."
  }

  validation {
    condition     = var.vpc_network != null || local.leads_to_private_host || !local.speaks_in_the_clear_to
    error_message = "vpc_network: expected the network in which redis_url (redis://) or database_url (sslmode=disable) is sent in the clear. Over the Internet use rediss:// and sslmode=verify-full."
  }
}

variable "vpc_subnetwork" {
  description = "The subnetwork of vpc_network that instances get addresses of, in the services' region: its name, or projects/P/regions/R/subnetworks/S. A /26 at least, and twice as many addresses as instances."
  type        = string
  default     = null

  validation {
    condition     = (var.vpc_subnetwork == null) == (var.vpc_network == null)
    error_message = "vpc_subnetwork: expected vpc_network and vpc_subnetwork together, or neither."
  }

  validation {
    condition     = var.vpc_subnetwork == null || can(regex("^(projects/[^/\\s]+/regions/${var.region}/subnetworks/)?[a-z][a-z0-9-]{0,62}$", var.vpc_subnetwork))
    error_message = "vpc_subnetwork: expected a subnetwork's name, or projects/P/regions/${var.region}/subnetworks/S, in the region of the services."
  }
}
