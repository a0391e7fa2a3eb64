# Secret Manager: the values nobody should see, and who may read which. A service's revision names the version
# that it was made with, so a changed value makes a new revision, and an old revision still starts after a rollback.

locals {
  secret_values = merge({ for name, secret in local.webhook_secrets : secret => var.webhook_secrets[name] }, {
    "redis-rest-token" = local.redis_rest_token
    "redis-url"        = var.redis_url
    "database-url"     = local.database_url
    "migration-url"    = var.database_migration_url
    # name:sha256-hex[:stream|stream], comma-separated
    "api-keys" = join(",", [
      for name, key in var.api_keys :
      join(":", concat([name, key.sha256], try(key.streams, null) == null ? [] : [join("|", try(key.streams, []))]))
    ])
  })

  # What a service's environment refers to.
  secret_versions = {
    for name, secret in google_secret_manager_secret.this :
    name => { secret = secret.secret_id, version = google_secret_manager_secret_version.this[name].version }
  }

  # Those that there are.
  secrets = concat(
    [local.redis_is_over_tcp ? "redis-url" : "redis-rest-token", "database-url", "api-keys"],
    local.has_migration_url ? ["migration-url"] : [],
    values(local.webhook_secrets),
  )

  # Who reads what: "reader/secret" => both. The build reads the database's, to migrate.
  secret_readers = merge([
    for reader, secrets in {
      ingest     = concat(values(local.ingest_secrets), values(local.webhook_secrets))
      supervisor = values(local.supervisor_secrets)
      build      = [local.migration_secret]
    } : { for secret in secrets : "${reader}/${secret}" => { reader = reader, secret = secret } if contains(local.secrets, secret) }
  ]...)
}

resource "google_secret_manager_secret" "this" {
  for_each = toset(local.secrets)

  project   = local.project
  secret_id = "${var.name}-${each.key}"

  replication {
    auto {}
  }
}

resource "google_secret_manager_secret_version" "this" {
  for_each = google_secret_manager_secret.this

  secret      = each.value.id
  secret_data = local.secret_values[each.key]

  # A rotated value's old version stays: the revision that a rollback goes back to names it.
  deletion_policy = "ABANDON"

  lifecycle {
    create_before_destroy = true
  }
}

resource "google_secret_manager_secret_iam_member" "reader" {
  for_each = local.secret_readers

  project   = local.project
  secret_id = google_secret_manager_secret.this[each.value.secret].secret_id
  role      = "roles/secretmanager.secretAccessor"
  member = {
    ingest     = google_service_account.ingest.member
    supervisor = google_service_account.supervisor.member
    build      = google_service_account.build.member
  }[each.value.reader]

  # A new right takes some minutes to be known everywhere. A service that is made earlier can't read its secrets: its
  # creation fails, and Terraform takes it for spoilt. So a right counts as given only after a while. Each new one waits,
  # also that of a secret that comes later; a right that exists does not.
  provisioner "local-exec" {
    command    = "sleep ${var.grant_wait_seconds}"
    on_failure = continue
  }
}
