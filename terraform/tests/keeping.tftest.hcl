# A provisioned database is kept, whatever the services go over to. Each run plans over the state that the first one left, as
# the disasters of docs/operations.md do; a plan that would destroy a database is refused by Terraform, and fails here.

mock_provider "google" {}
mock_provider "upstash" {}
mock_provider "neon" {}

run "an_installation_whose_databases_are_provisioned" {
  state_key = "an installation"
  command   = apply

  assert {
    condition     = length(upstash_redis_database.this) == 1 && length(neon_project.this) == 1
    error_message = "A database is not provisioned."
  }
}

run "upstash_is_down_and_the_services_go_over_to_another_redis" {
  state_key = "an installation"
  command   = plan

  variables {
    redis_rest_url   = "https://mine.upstash.io"
    redis_rest_token = "my-token"
  }

  assert {
    condition     = local.common_env.UPSTASH_REDIS_REST_URL == "https://mine.upstash.io" && nonsensitive(google_secret_manager_secret_version.this["redis-rest-token"].secret_data) == "my-token"
    error_message = "The services still use the Redis that was provisioned."
  }

  assert {
    condition     = length(upstash_redis_database.this) == 1
    error_message = "The provisioned Redis is not kept, with what it may hold."
  }
}

run "neon_was_restored_elsewhere_and_the_services_go_over_to_it" {
  state_key = "an installation"
  command   = plan

  variables {
    drain_paused = []
    database_url = "postgres://me:secret@ep-restored.us-east-1.aws.neon.tech/spillway?sslmode=require"
  }

  assert {
    condition     = nonsensitive(google_secret_manager_secret_version.this["database-url"].secret_data) == "postgres://me:secret@ep-restored.us-east-1.aws.neon.tech/spillway?sslmode=require"
    error_message = "The services still use the database that was provisioned."
  }

  assert {
    condition     = length(neon_project.this) == 1
    error_message = "The provisioned project is not kept."
  }
}

run "both_are_away_for_good" {
  state_key = "an installation"
  command   = plan

  variables {
    redis_rest_url   = "https://mine.upstash.io"
    redis_rest_token = "my-token"
    database_url     = "postgres://me:secret@ep-restored.us-east-1.aws.neon.tech/spillway?sslmode=require"
  }

  assert {
    condition     = length(upstash_redis_database.this) == 1 && length(neon_project.this) == 1
    error_message = "A provisioned database is not kept."
  }
}

run "neon_is_down_and_the_buffer_gets_more_room" {
  state_key = "an installation"
  command   = plan

  variables {
    partitions       = 16
    buffer_max_bytes = 80000000
  }

  assert {
    condition     = local.ingest_env.PARTITIONS == "16" && local.common_env.BUFFER_MAX_BYTES == "80000000"
    error_message = "More room does not reach ingest."
  }
}

run "streams_are_paused_before_a_restore" {
  state_key = "an installation"
  command   = plan

  variables {
    drain_paused = ["visits", "calls"]
  }

  assert {
    condition     = local.supervisor_env.DRAIN_PAUSED == "visits|calls"
    error_message = "The pause does not reach the supervisor."
  }
}

run "names_that_are_taken_get_a_suffix_and_the_databases_stay" {
  state_key = "an installation"
  command   = plan

  variables {
    name_suffix = "-2"
  }

  assert {
    condition     = google_cloud_tasks_queue.flush.name == "spillway-flush-2"
    error_message = "The queue keeps a name that Cloud Tasks may refuse for days."
  }

  assert {
    condition     = length(upstash_redis_database.this) == 1 && length(neon_project.this) == 1
    error_message = "A provisioned database is not kept."
  }
}

run "at_the_end_the_databases_are_forgotten" {
  state_key = "an installation"
  command   = apply

  module {
    source = "./tests/forgetting"
  }
}
