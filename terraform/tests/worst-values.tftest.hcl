# Values that look right, and that an API or a service would refuse half way through an apply or at the first build. Each is refused
# by its variable, before anything is made.

mock_provider "google" { source = "./tests/mocks/google" }
mock_provider "upstash" { source = "./tests/mocks/upstash" }
mock_provider "neon" { source = "./tests/mocks/neon" }

run "parts_of_a_whole_are_refused" {
  command = plan

  variables {
    redis_monthly_commands         = 50000.5
    neon_max_cu                    = 1.5
    neon_history_retention_seconds = 0.5
    ingest_max_instances           = 1.5
    ingest_concurrency             = 80.5
    flush_threshold                = 100.5
    flush_max_concurrent           = 32.5
    batch_max_rows                 = 100.5
    lease_ms                       = 20000.5
    drain_deadline_ms              = 50000.5
    drain_concurrency              = 8.5
    write_through_concurrency      = 2.5
    body_max_bytes                 = 8388608.5
    events_max                     = 1000.5
    buffer_max_bytes               = 40000000.5
    key_events_per_second          = 100.5
  }

  expect_failures = [
    var.redis_monthly_commands,
    var.neon_max_cu,
    var.neon_history_retention_seconds,
    var.ingest_max_instances,
    var.ingest_concurrency,
    var.flush_threshold,
    var.flush_max_concurrent,
    var.batch_max_rows,
    var.lease_ms,
    var.drain_deadline_ms,
    var.drain_concurrency,
    var.write_through_concurrency,
    var.body_max_bytes,
    var.events_max,
    var.buffer_max_bytes,
    var.key_events_per_second,
  ]
}

# Terraform looks at these only if the settings beside which they are bounded are right.
run "parts_of_a_whole_beside_another_setting_are_refused" {
  command = plan

  variables {
    ingest_min_instances   = 0.5
    supervisor_concurrency = 80.5
    event_max_bytes        = 32768.5
  }

  expect_failures = [var.ingest_min_instances, var.supervisor_concurrency, var.event_max_bytes]
}

run "more_than_a_vendor_gives_is_refused" {
  command = plan

  variables {
    neon_max_cu                    = 9
    neon_history_retention_seconds = 2592001
    ingest_max_instances           = 1001
    event_max_bytes                = 8000001 # the services' own bound, whatever the batch
    batch_max_rows                 = 1
  }

  expect_failures = [
    var.neon_max_cu,
    var.neon_history_retention_seconds,
    var.ingest_max_instances,
    var.event_max_bytes,
  ]
}

run "regions_that_are_not_there_are_refused" {
  command = plan

  variables {
    region            = "us-easr4"
    redis_provisioned = false
    redis_rest_url    = "https://mine.upstash.io"
    redis_rest_token  = "my-token"
    build_region      = "us-cental1"
    neon_region       = "aws-us-east-9"
  }

  expect_failures = [var.region, var.build_region, var.neon_region]
}

run "a_region_without_cloud_tasks_is_refused" {
  command = plan

  variables {
    region            = "us-south1"
    neon_region       = "aws-us-east-2"
    redis_provisioned = false
    redis_rest_url    = "https://mine.upstash.io"
    redis_rest_token  = "my-token"
  }

  expect_failures = [var.region]
}

run "a_region_of_another_cloud_is_refused" {
  command = plan

  variables {
    region       = "us-east-1"
    build_region = "eastus"
    neon_region  = "us-east-1"
  }

  expect_failures = [var.region, var.build_region, var.neon_region]
}

run "what_the_example_leaves_open_is_refused" {
  command = plan

  variables {
    project_id       = "MY_PROJECT"
    alert_email      = "…"
    upstash_email    = "…"
    neon_org_id      = "org-…"
    redis_rest_url   = "https://….upstash.io"
    redis_rest_token = "my-token"
    operators        = ["user:…"]
    operations_url   = "https://…"
    initial_image    = "…"
  }

  expect_failures = [
    var.project_id,
    var.alert_email,
    var.upstash_email,
    var.neon_org_id,
    var.redis_rest_url,
    var.operators,
    var.operations_url,
    var.initial_image,
  ]
}

run "empty_texts_are_refused" {
  command = plan

  variables {
    project_id       = ""
    region           = ""
    name             = ""
    alert_email      = ""
    upstash_email    = ""
    redis_rest_url   = ""
    redis_rest_token = "my-token"
    neon_org_id      = ""
    neon_region      = ""
    operators        = [""]
    operations_url   = ""
    initial_image    = ""
    build_region     = ""
    build_branch     = ""
  }

  expect_failures = [
    var.project_id,
    var.region,
    var.name,
    var.alert_email,
    var.upstash_email,
    var.redis_rest_url,
    var.neon_org_id,
    var.neon_region,
    var.operators,
    var.operations_url,
    var.initial_image,
    var.build_region,
    var.build_branch,
  ]
}

run "texts_with_something_around_them_are_refused" {
  command = plan

  variables {
    project_id       = "my project"
    name             = "Spillway"
    alert_email      = "On call <oncall@example.com>"
    upstash_email    = "me"
    redis_rest_url   = "https://mine.upstash.io/"
    redis_rest_token = "my-token"
    operators        = ["user:ann@example.com,bob@example.com"]
    initial_image    = "https://us-docker.pkg.dev/cloudrun/container/hello"
    build_branch     = "main("
    build_repository = "https://github.com/me/spillway"
  }

  expect_failures = [
    var.project_id,
    var.name,
    var.alert_email,
    var.upstash_email,
    var.redis_rest_url,
    var.operators,
    var.initial_image,
    var.build_branch,
    var.build_repository,
  ]
}

# A secret text is looked at only if the setting beside it is right.
run "a_token_that_was_left_open_is_refused" {
  command = plan

  variables {
    database_url     = "postgres://…:…@…/…"
    upstash_api_key  = "…"
    redis_rest_url   = "https://mine.upstash.io"
    redis_rest_token = "…"
  }

  expect_failures = [var.upstash_email, var.redis_rest_url, var.database_provisioned]
}

run "an_empty_token_is_refused" {
  command = plan

  variables {
    database_url     = ""
    build_repository = ""
    upstash_api_key  = ""
    redis_rest_url   = "https://mine.upstash.io"
    redis_rest_token = " "
  }

  expect_failures = [var.upstash_email, var.redis_rest_url, var.database_provisioned, var.build_repository]
}

run "a_token_with_something_around_it_is_refused" {
  command = plan

  variables {
    database_url     = "psql 'postgres://me:secret@ep-mine.eu-central-1.aws.neon.tech/app'"
    upstash_api_key  = "an-upstash-key\n"
    redis_rest_url   = "https://mine.upstash.io"
    redis_rest_token = "\"my-token\""
  }

  expect_failures = [var.upstash_email, var.redis_rest_url, var.database_provisioned]
}

run "a_neon_key_that_was_left_open_is_refused" {
  command = plan

  variables {
    neon_api_key = "…"
  }

  expect_failures = [var.database_provisioned]
}

run "an_empty_neon_key_is_refused" {
  command = plan

  variables {
    neon_api_key = ""
  }

  expect_failures = [var.database_provisioned]
}

run "a_neon_key_with_a_space_before_it_is_refused" {
  command = plan

  variables {
    neon_api_key = " a-neon-key"
  }

  expect_failures = [var.database_provisioned]
}

run "the_address_that_other_clients_of_redis_take_is_refused" {
  command = plan

  variables {
    name             = "google-events" # no bucket may have a name with google
    alert_email      = "mailto:oncall@example.com"
    operators        = ["domain:example.com"]
    redis_rest_url   = "redis://default:my-token@mine.upstash.io:6379"
    redis_rest_token = "my-token"
    database_url     = "postgres://me:secret@ep-mine.eu-central-1.aws.neon.tech"
  }

  expect_failures = [var.name, var.alert_email, var.operators, var.redis_rest_url, var.database_provisioned]
}

run "an_address_with_a_password_in_it_is_refused" {
  command = plan

  variables {
    alert_email      = "oncall@example.com;boss@example.com"
    operators        = ["user:ann"]
    redis_rest_url   = "https://default:my-token@mine.upstash.io"
    redis_rest_token = "my-token"
    database_url     = "postgres://me@ep-mine.eu-central-1.aws.neon.tech/app"
  }

  expect_failures = [var.alert_email, var.operators, var.redis_rest_url, var.database_provisioned]
}

run "a_key_with_a_misspelt_attribute_is_refused" {
  command = plan

  # An object type would leave the attribute out without a word, and the key could use every stream.
  variables {
    api_keys = { app = { sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", stream = ["visits"] } }
  }

  expect_failures = [var.api_keys]
}

run "a_digest_without_its_braces_is_refused" {
  command = plan

  variables {
    api_keys = { app = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" }
  }

  expect_failures = [var.api_keys]
}

run "the_digest_of_an_empty_key_is_refused" {
  command = plan

  variables {
    api_keys = { app = { sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" } }
  }

  expect_failures = [var.api_keys]
}

run "the_key_of_readme_in_place_of_its_digest_is_refused" {
  command = plan

  variables {
    api_keys = { app = { sha256 = "key_9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" } }
  }

  expect_failures = [var.api_keys]
}

run "an_upper_case_digest_is_refused" {
  command = plan

  variables {
    api_keys = { app = { sha256 = "9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08" } }
  }

  expect_failures = [var.api_keys]
}

run "streams_that_are_no_list_are_refused" {
  command = plan

  variables {
    api_keys = { app = { sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", streams = "visits" } }
  }

  expect_failures = [var.api_keys]
}

run "keys_that_are_no_map_are_refused" {
  command = plan

  variables {
    api_keys = ["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"]
  }

  expect_failures = [var.api_keys]
}

run "the_name_of_a_setting_is_refused_for_a_webhooks_secret" {
  command = plan

  variables {
    webhook_secrets = { PARTITIONS = "whsec_a" }
  }

  expect_failures = [var.webhook_secrets]
}

run "a_name_that_cloud_run_keeps_is_refused_for_a_webhooks_secret" {
  command = plan

  variables {
    webhook_secrets = { PORT = "whsec_a" }
  }

  expect_failures = [var.webhook_secrets]
}

run "null_means_the_default" {
  command = plan

  variables {
    region                 = null
    name                   = null
    deletion_protection    = null
    operators              = null
    notification_channels  = null
    redis_budget_usd       = null
    initial_image          = null
    ingest_max_instances   = null
    supervisor_concurrency = null
    flush_trigger          = null
    partitions             = null
    drain_paused           = null
    cors_origins           = null
    build_region           = null
    build_branch           = null
  }

  assert {
    condition     = local.ingest_env.PARTITIONS == "8" && module.ingest.service.name == "spillway-ingest" && upstash_redis_database.this[0].budget == 500
    error_message = "A setting that is null is not its default."
  }
}
