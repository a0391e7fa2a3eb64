# A wrong value is refused before anything is created.

mock_provider "google" { source = "./tests/mocks/google" }
mock_provider "upstash" { source = "./tests/mocks/upstash" }
mock_provider "neon" { source = "./tests/mocks/neon" }

run "numbers_below_their_bounds_are_refused" {
  command = plan

  variables {
    redis_budget_usd               = 20
    redis_monthly_commands         = 1000
    neon_max_cu                    = 0
    neon_history_retention_seconds = -1
    ingest_concurrency             = 0
    ingest_max_instances           = 0
    flush_threshold                = 0
    flush_max_per_second           = 0
    flush_max_concurrent           = 0
    partitions                     = 0
    batch_max_rows                 = 0
    lease_ms                       = 999
    drain_deadline_ms              = 999
    drain_concurrency              = 0
    keep_letters_days              = -1
    keep_usage_days                = 0.5
    write_through_concurrency      = 0
    body_max_bytes                 = 1023
    events_max                     = 0
    buffer_max_bytes               = 999
    key_events_per_second          = 0
    grant_wait_seconds             = -1
  }

  expect_failures = [
    var.redis_budget_usd,
    var.redis_monthly_commands,
    var.neon_max_cu,
    var.neon_history_retention_seconds,
    var.ingest_concurrency,
    var.ingest_max_instances,
    var.flush_threshold,
    var.flush_max_per_second,
    var.flush_max_concurrent,
    var.partitions,
    var.batch_max_rows,
    var.lease_ms,
    var.drain_deadline_ms,
    var.drain_concurrency,
    var.keep_letters_days,
    var.keep_usage_days,
    var.write_through_concurrency,
    var.body_max_bytes,
    var.events_max,
    var.buffer_max_bytes,
    var.key_events_per_second,
    var.grant_wait_seconds,
  ]
}

run "numbers_above_their_bounds_are_refused" {
  command = plan

  variables {
    ingest_concurrency        = 1001
    supervisor_concurrency    = 1001
    ingest_min_instances      = 11
    flush_threshold           = 1000001
    flush_max_per_second      = 501
    partitions                = 17
    batch_max_rows            = 5001
    lease_ms                  = 600001
    drain_deadline_ms         = 1700001
    drain_concurrency         = 65
    keep_letters_days         = 36501
    keep_usage_days           = 36501
    write_through_concurrency = 65
    body_max_bytes            = 32000001
    events_max                = 100001
    buffer_max_bytes          = 90000001
    key_events_per_second     = 10000001
    grant_wait_seconds        = 901
  }

  expect_failures = [
    var.ingest_concurrency,
    var.supervisor_concurrency,
    var.ingest_min_instances,
    var.flush_threshold,
    var.flush_max_per_second,
    var.partitions,
    var.batch_max_rows,
    var.lease_ms,
    var.drain_deadline_ms,
    var.drain_concurrency,
    var.keep_letters_days,
    var.keep_usage_days,
    var.write_through_concurrency,
    var.body_max_bytes,
    var.events_max,
    var.buffer_max_bytes,
    var.key_events_per_second,
    var.grant_wait_seconds,
  ]
}

run "texts_of_another_form_are_refused" {
  command = plan

  variables {
    project_id            = "123456789012"
    region                = "us-east4-a"
    redis_provisioned     = false
    redis_rest_url        = "https://mine.upstash.io"
    redis_rest_token      = "my-token"
    name_suffix           = "2"
    neon_org_id           = "My organisation"
    build_region          = "global"
    name                  = "a-name-that-is-far-too-long"
    alert_email           = "oncall"
    notification_channels = ["slack"]
    operations_url        = "https://example.com/operations.md#shedding"
    operators             = ["ann@example.com"]
    neon_region           = "europe-west1"
    drain_paused          = ["a|b"]
    cors_origins          = ["https://app.example.com/path"]
    flush_trigger         = "http"
  }

  expect_failures = [
    var.project_id,
    var.region,
    var.name,
    var.name_suffix,
    var.neon_org_id,
    var.build_region,
    var.alert_email,
    var.notification_channels,
    var.operations_url,
    var.operators,
    var.neon_region,
    var.drain_paused,
    var.cors_origins,
    var.flush_trigger,
  ]
}

run "a_raw_key_is_refused" {
  command = plan

  variables {
    api_keys = { app = { sha256 = "my-raw-key" } }
  }

  expect_failures = [
    var.api_keys,
  ]
}

run "no_key_at_all_is_refused" {
  command = plan

  variables {
    api_keys = {}
  }

  expect_failures = [
    var.api_keys,
  ]
}

run "a_keys_name_with_a_colon_is_refused" {
  command = plan

  variables {
    api_keys = { "a:b" = { sha256 = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae" } }
  }

  expect_failures = [
    var.api_keys,
  ]
}

run "a_keys_stream_with_a_separator_is_refused" {
  command = plan

  variables {
    api_keys = { app = { sha256 = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae", streams = ["visits|calls"] } }
  }

  expect_failures = [
    var.api_keys,
  ]
}

run "a_curl_line_for_what_can_be_no_stream_is_refused" {
  command = plan

  variables {
    curl_example = { stream = "Visits/1", event = {} }
  }

  expect_failures = [
    var.curl_example,
  ]
}

run "values_that_contradict_each_other_are_refused" {
  command = plan

  variables {
    region               = "europe-west3" # without a Redis of one's own
    flush_max_concurrent = 80             # as many as the supervisor takes
    batch_max_rows       = 500            # of 32 KB: more than one answer of Upstash
    ingest_min_instances = 11
  }

  expect_failures = [
    var.region,
    var.supervisor_concurrency,
    var.event_max_bytes,
    var.ingest_min_instances,
  ]
}

run "redis_in_the_clear_and_another_database_than_postgres_are_refused" {
  command = plan

  variables {
    redis_rest_url       = "http://mine.upstash.io"
    database_url         = "mysql://me:secret@host/app"
    redis_rest_token     = "my-token"
    event_max_bytes      = 255
    ingest_min_instances = -1
  }

  expect_failures = [
    var.redis_rest_url,
    var.database_provisioned,
    var.event_max_bytes,
    var.ingest_min_instances,
  ]
}

run "a_redis_url_without_its_token_is_refused" {
  command = plan

  variables {
    redis_rest_url = "https://mine.upstash.io"
  }

  expect_failures = [
    var.redis_rest_url,
  ]
}

run "a_database_of_ones_own_that_is_not_named_is_refused" {
  command = plan

  variables {
    redis_provisioned    = false
    database_provisioned = false
  }

  expect_failures = [
    var.redis_rest_url,
    var.database_provisioned,
  ]
}

run "the_address_of_the_playbooks_is_no_path" {
  command = plan

  variables {
    operations_url = "docs/operations.md"
  }

  expect_failures = [
    var.operations_url,
  ]
}

run "a_pooled_connection_and_a_repository_elsewhere_are_refused" {
  command = plan

  variables {
    build_repository = "projects/my-project/locations/europe-west1/connections/github/repositories/me-spillway"
    database_url     = "postgres://me:secret@ep-mine-pooler.us-east-1.aws.neon.tech/app?sslmode=require"
  }

  expect_failures = [
    var.database_provisioned,
    var.build_repository,
  ]
}

run "provisioning_without_accounts_is_refused" {
  command = plan

  variables {
    upstash_api_key = null
    neon_api_key    = null
  }

  expect_failures = [
    var.upstash_email,
    var.database_provisioned,
  ]
}

run "provisioning_without_an_address_and_an_organisation_is_refused" {
  command = plan

  variables {
    upstash_email = null
    neon_org_id   = null
  }

  expect_failures = [
    var.upstash_email,
    var.neon_org_id,
  ]
}

run "a_region_far_from_neon_is_pointed_out" {
  command = plan

  variables {
    region            = "europe-west3"
    redis_provisioned = false
    redis_rest_url    = "https://mine.upstash.io"
    redis_rest_token  = "my-token"
  }

  expect_failures = [neon_project.this]
}

run "a_key_with_an_empty_list_of_streams_is_refused" {
  command = plan

  variables {
    api_keys = { app = { sha256 = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae", streams = [] } }
  }

  expect_failures = [
    var.api_keys,
  ]
}

run "one_key_under_two_names_is_refused" {
  command = plan

  variables {
    api_keys = {
      app   = { sha256 = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae" }
      phone = { sha256 = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae" }
    }
  }

  expect_failures = [
    var.api_keys,
  ]
}

run "an_origin_with_a_slash_at_the_end_is_refused" {
  command = plan

  variables {
    cors_origins = ["https://app.example.com/"]
  }

  expect_failures = [
    var.cors_origins,
  ]
}

run "an_origin_with_its_default_port_is_refused" {
  command = plan

  variables {
    cors_origins = ["https://app.example.com:443"]
  }

  expect_failures = [
    var.cors_origins,
  ]
}

run "every_origin_beside_one_origin_is_refused" {
  command = plan

  variables {
    cors_origins = ["*", "https://app.example.com"]
  }

  expect_failures = [
    var.cors_origins,
  ]
}

run "secrets_of_webhooks_have_names_of_variables_and_values" {
  command = plan

  variables {
    webhook_secrets = { stripe = "whsec_a", B = " ", DATABASE_URL = "whsec_b" }
  }

  expect_failures = [var.webhook_secrets]
}
