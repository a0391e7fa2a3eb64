# Redis and Postgres: provisioned so that they lose nothing and say so before they throttle, or brought along.

mock_provider "google" { source = "./tests/mocks/google" }
mock_provider "upstash" { source = "./tests/mocks/upstash" }
mock_provider "neon" { source = "./tests/mocks/neon" }

run "the_buffer_loses_nothing" {
  command = plan

  assert {
    condition     = upstash_redis_database.this[0].tls == true
    error_message = "Events travel to Redis in the clear: the provider's default is no TLS."
  }

  assert {
    condition     = upstash_redis_database.this[0].eviction == false
    error_message = "A full Redis would evict acknowledged events."
  }

  assert {
    condition     = upstash_redis_database.this[0].auto_scale == true && upstash_redis_database.this[0].budget == 500
    error_message = "Upstash would throttle at its default budget of $20, or at a plan's limits."
  }

  assert {
    condition     = upstash_redis_database.this[0].region == "gcp-global" && upstash_redis_database.this[0].primary_region == module.ingest.service.location
    error_message = "Redis does not stand beside Cloud Run."
  }
}

run "provisioned_databases_are_wired" {
  command = plan

  assert {
    condition     = local.common_env.UPSTASH_REDIS_REST_URL == "https://made-up.upstash.io" && nonsensitive(google_secret_manager_secret_version.this["redis-rest-token"].secret_data) == "a-made-token"
    error_message = "The services do not get the provisioned Redis."
  }

  assert {
    condition     = nonsensitive(google_secret_manager_secret_version.this["database-url"].secret_data) == "postgres://spillway:made@ep-made-up.us-east-1.aws.neon.tech/spillway?sslmode=require"
    error_message = "The services do not get the provisioned Postgres by its direct connection."
  }
}

run "postgres_stands_near" {
  command = plan

  assert {
    condition     = neon_project.this[0].region_id == "aws-us-east-1"
    error_message = "Neon does not stand near us-east4."
  }

  assert {
    condition     = neon_project.this[0].org_id == "org-quiet-river-12345678"
    error_message = "The Neon project has no organisation, which Neon refuses of a person's key."
  }

  assert {
    condition     = toset(keys(local.neon_regions)) == toset(["us-central1", "us-east4", "europe-west1", "asia-northeast1"])
    error_message = "A region that Upstash offers has no Neon region near it."
  }
}

run "both_can_be_brought_along" {
  command = plan

  variables {
    region          = "europe-west3"
    upstash_email   = null
    upstash_api_key = null
    neon_api_key    = null
    neon_org_id     = null

    redis_provisioned    = false
    database_provisioned = false

    redis_rest_url   = "https://mine.upstash.io"
    redis_rest_token = "my-token"
    database_url     = "postgres://me:secret@ep-mine.eu-central-1.aws.neon.tech/app?sslmode=require"
  }

  assert {
    condition     = length(upstash_redis_database.this) == 0 && length(neon_project.this) == 0
    error_message = "A database is provisioned though one was brought along."
  }

  assert {
    condition     = local.common_env.UPSTASH_REDIS_REST_URL == "https://mine.upstash.io" && nonsensitive(google_secret_manager_secret_version.this["redis-rest-token"].secret_data) == "my-token" && nonsensitive(google_secret_manager_secret_version.this["database-url"].secret_data) == "postgres://me:secret@ep-mine.eu-central-1.aws.neon.tech/app?sslmode=require"
    error_message = "The services do not get the databases that were brought along."
  }
}

run "the_registry_is_tidied" {
  command = plan

  assert {
    condition     = google_artifact_registry_repository.this.cleanup_policy_dry_run == false && toset([for policy in google_artifact_registry_repository.this.cleanup_policies : policy.action]) == toset(["KEEP", "DELETE"])
    error_message = "Images are kept for ever, or those that a rollback needs are not kept."
  }
}
