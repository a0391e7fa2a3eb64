# Servers of one's own over TCP: how their addresses are read, and the way to those that the Internet doesn't reach. Cloud Run
# makes the socket of a Cloud SQL instance; a private address is reached through a network of yours.

locals {
  # user:password@host[:port]/database, or a folder of sockets as host=/…. The user and the password are percent-encoded.
  postgres_form = join("", [
    "^postgres(ql)?://[^:/?#@\\s]+:[^/?#@\\s]+@",
    "(([a-zA-Z0-9._-]+|\\[[0-9a-fA-F:.]+\\])(:[0-9]{1,5})?/[^/?#'\"…\\s]+(\\?[^?#'\"…\\s]+)?",
    "|/[^/?#'\"…\\s]+\\?([^?#'\"…\\s]+&)?host=/[^&?#'\"…\\s]+(&[^?#'\"…\\s]+)?)$",
  ])

  # What a network of yours may lead to. Cloud Run asks all else past it.
  private_host = "((10|192\\.168|172\\.(1[6-9]|2[0-9]|3[01])|100\\.(6[4-9]|[7-9][0-9]|1[01][0-9]|12[0-7]))\\.[0-9.]+|\\[[fF][cCdD][0-9a-fA-F:.]+\\])"
  public_host  = "([0-9]+\\.[0-9]+\\.[0-9]+\\.[0-9]+|\\[)" # an address; private ones are looked for first

  # PgBouncer's own port, Supabase's, and Neon's hosts.
  pooler = "(-pooler\\.|:(6432|6543)/)"

  # Of the two that may lead to a database of one's own.
  own_database_urls = [for url in [var.database_url, var.database_migration_url] : url if url != null]
  database_sockets  = distinct([for url in local.own_database_urls : try(regex("[?&]host=(/cloudsql/[^&]+)", url)[0], "")])

  own_urls               = concat(local.own_database_urls, var.redis_url == null ? [] : [var.redis_url])
  leads_to_private_host  = nonsensitive(anytrue([for url in local.own_urls : can(regex("(@|//)${local.private_host}[:/]", "${url}/"))]))
  speaks_in_the_clear_to = nonsensitive(anytrue([for url in local.own_urls : can(regex("^redis://|[?&]sslmode=disable(&|$)", url)) && !can(regex("@/", url))]))

  # The project is all of the connection name before its region and its instance: some projects' ids have a colon.
  cloud_sql_project = var.cloud_sql_instance == null ? null : try(regex("^(.+):[^:]+:[^:]+$", var.cloud_sql_instance)[0], null)

  # The APIs that these need besides (apis.tf).
  own_server_apis = concat(
    var.cloud_sql_instance == null ? [] : ["sqladmin.googleapis.com"],
    var.vpc_network == null ? [] : ["compute.googleapis.com"],
  )
}

# Whoever holds a socket of the instance: both services, and the migration, which runs as the build.
resource "google_project_iam_member" "cloud_sql" {
  for_each = var.cloud_sql_instance == null ? {} : {
    ingest     = google_service_account.ingest.member
    supervisor = google_service_account.supervisor.member
    build      = google_service_account.build.member
  }

  project = local.cloud_sql_project
  role    = "roles/cloudsql.client"
  member  = each.value
}
