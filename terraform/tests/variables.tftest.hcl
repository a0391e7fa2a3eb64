# A wrong value is refused before anything is created.

mock_provider "google" {
  override_during = plan
}
mock_provider "upstash" {
  override_during = plan
}
mock_provider "neon" {
  override_during = plan
}

variables {
  project_id      = "my-project"
  alert_email     = "oncall@example.com"
  upstash_email   = "me@example.com"
  upstash_api_key = "an-upstash-key"
  neon_api_key    = "a-neon-key"
  api_keys = {
    app = { sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" }
  }
}

run "a_raw_key_is_refused" {
  command = plan

  variables {
    api_keys = { app = { sha256 = "my-raw-key" } }
  }

  expect_failures = [var.api_keys]
}

run "no_key_at_all_is_refused" {
  command = plan

  variables {
    api_keys = {}
  }

  expect_failures = [var.api_keys]
}

run "a_keys_name_with_a_colon_is_refused" {
  command = plan

  variables {
    api_keys = { "a:b" = { sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" } }
  }

  expect_failures = [var.api_keys]
}

run "a_keys_stream_with_a_separator_is_refused" {
  command = plan

  variables {
    api_keys = { app = { sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", streams = ["events|leads"] } }
  }

  expect_failures = [var.api_keys]
}

run "a_project_number_is_refused" {
  command = plan

  variables {
    project_id = "123456789012"
  }

  expect_failures = [var.project_id]
}

run "a_region_without_upstash_is_refused" {
  command = plan

  variables {
    region = "europe-west4"
  }

  expect_failures = [var.region]
}

run "a_zone_is_refused" {
  command = plan

  variables {
    region           = "us-east4-a"
    redis_rest_url   = "https://mine.upstash.io"
    redis_rest_token = "my-token"
    neon_region      = "aws-us-east-1"
  }

  expect_failures = [var.region]
}

run "a_long_name_is_refused" {
  command = plan

  variables {
    name = "a-name-that-is-far-too-long"
  }

  expect_failures = [var.name]
}

run "a_throttling_budget_is_refused" {
  command = plan

  variables {
    redis_budget_usd = 20
  }

  expect_failures = [var.redis_budget_usd]
}

run "a_quota_below_an_idle_month_is_refused" {
  command = plan

  variables {
    redis_monthly_commands = 1000
  }

  expect_failures = [var.redis_monthly_commands]
}

run "redis_in_the_clear_is_refused" {
  command = plan

  variables {
    redis_rest_url   = "http://mine.upstash.io"
    redis_rest_token = "my-token"
  }

  expect_failures = [var.redis_rest_url]
}

run "a_redis_url_without_its_token_is_refused" {
  command = plan

  variables {
    redis_rest_url = "https://mine.upstash.io"
  }

  expect_failures = [var.redis_rest_token]
}

run "upstash_without_a_key_is_refused" {
  command = plan

  variables {
    upstash_api_key = null
  }

  expect_failures = [var.upstash_api_key]
}

run "neon_without_a_key_is_refused" {
  command = plan

  variables {
    neon_api_key = null
  }

  expect_failures = [var.neon_api_key]
}

run "a_pooled_connection_is_refused" {
  command = plan

  variables {
    database_url = "postgres://me:secret@ep-mine-pooler.us-east-1.aws.neon.tech/app"
  }

  expect_failures = [var.database_url]
}

run "a_database_url_of_another_kind_is_refused" {
  command = plan

  variables {
    database_url = "mysql://me:secret@host/app"
  }

  expect_failures = [var.database_url]
}

run "an_unknown_neon_region_is_refused" {
  command = plan

  variables {
    neon_region = "europe-west1"
  }

  expect_failures = [var.neon_region]
}

run "a_history_of_less_than_nothing_is_refused" {
  command = plan

  variables {
    neon_history_retention_seconds = -1
  }

  expect_failures = [var.neon_history_retention_seconds]
}

run "less_than_the_smallest_neon_is_refused" {
  command = plan

  variables {
    neon_max_cu = 0
  }

  expect_failures = [var.neon_max_cu]
}

run "more_than_16_partitions_are_refused" {
  command = plan

  variables {
    partitions = 17
  }

  expect_failures = [var.partitions]
}

run "batches_of_nothing_are_refused" {
  command = plan

  variables {
    batch_max_rows = 0
  }

  expect_failures = [var.batch_max_rows]
}

run "a_claim_larger_than_an_answer_is_refused" {
  command = plan

  variables {
    batch_max_rows = 500
  }

  expect_failures = [var.event_max_bytes]
}

run "a_lease_shorter_than_an_insert_is_refused" {
  command = plan

  variables {
    lease_ms = 500
  }

  expect_failures = [var.lease_ms]
}

run "a_drain_longer_than_the_scheduler_waits_is_refused" {
  command = plan

  variables {
    drain_deadline_ms = 1800000
  }

  expect_failures = [var.drain_deadline_ms]
}

run "no_inserts_at_all_are_refused" {
  command = plan

  variables {
    drain_concurrency = 0
  }

  expect_failures = [var.drain_concurrency]
}

run "too_many_write_through_inserts_are_refused" {
  command = plan

  variables {
    write_through_concurrency = 65
  }

  expect_failures = [var.write_through_concurrency]
}

run "a_paused_stream_with_a_separator_is_refused" {
  command = plan

  variables {
    drain_paused = ["a|b"]
  }

  expect_failures = [var.drain_paused]
}

run "a_body_larger_than_cloud_runs_is_refused" {
  command = plan

  variables {
    body_max_bytes = 40000000
  }

  expect_failures = [var.body_max_bytes]
}

run "requests_without_events_are_refused" {
  command = plan

  variables {
    events_max = 0
  }

  expect_failures = [var.events_max]
}

run "a_mark_near_upstashs_limit_is_refused" {
  command = plan

  variables {
    buffer_max_bytes = 100000000
  }

  expect_failures = [var.buffer_max_bytes]
}

run "a_key_without_events_is_refused" {
  command = plan

  variables {
    key_events_per_second = 0
  }

  expect_failures = [var.key_events_per_second]
}

run "an_origin_with_a_path_is_refused" {
  command = plan

  variables {
    cors_origins = ["https://app.example.com/path"]
  }

  expect_failures = [var.cors_origins]
}

run "the_local_trigger_is_refused" {
  command = plan

  variables {
    flush_trigger = "http"
  }

  expect_failures = [var.flush_trigger]
}

run "a_threshold_of_nothing_is_refused" {
  command = plan

  variables {
    flush_threshold = 0
  }

  expect_failures = [var.flush_threshold]
}

run "more_dispatches_than_a_queue_makes_are_refused" {
  command = plan

  variables {
    flush_max_per_second = 501
  }

  expect_failures = [var.flush_max_per_second]
}

run "a_queue_that_sends_nothing_is_refused" {
  command = plan

  variables {
    flush_max_concurrent = 0
  }

  expect_failures = [var.flush_max_concurrent]
}

run "flushes_that_fill_the_supervisor_are_refused" {
  command = plan

  variables {
    flush_max_concurrent = 80
  }

  expect_failures = [var.supervisor_concurrency]
}

run "no_requests_at_all_are_refused" {
  command = plan

  variables {
    ingest_concurrency = 0
  }

  expect_failures = [var.ingest_concurrency]
}

run "no_ingest_at_all_is_refused" {
  command = plan

  variables {
    ingest_max_instances = 0
    ingest_min_instances = 0
  }

  expect_failures = [var.ingest_max_instances]
}

run "more_warm_instances_than_instances_are_refused" {
  command = plan

  variables {
    ingest_min_instances = 11
  }

  expect_failures = [var.ingest_min_instances]
}

run "an_address_that_is_none_is_refused" {
  command = plan

  variables {
    alert_email = "oncall"
  }

  expect_failures = [var.alert_email]
}

run "a_channel_that_is_none_is_refused" {
  command = plan

  variables {
    notification_channels = ["slack"]
  }

  expect_failures = [var.notification_channels]
}

run "a_page_with_a_fragment_is_refused" {
  command = plan

  variables {
    operations_url = "https://example.com/operations.md#shedding"
  }

  expect_failures = [var.operations_url]
}

run "an_operator_without_a_kind_is_refused" {
  command = plan

  variables {
    operators = ["ann@example.com"]
  }

  expect_failures = [var.operators]
}

run "a_repository_of_another_region_is_refused" {
  command = plan

  variables {
    build_repository = "projects/my-project/locations/europe-west1/connections/github/repositories/me-spillway"
  }

  expect_failures = [var.build_repository]
}
