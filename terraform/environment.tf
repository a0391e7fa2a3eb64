# What each service finds in its environment: exactly the names of lib/config.ts, and a test compares them
# (test/unit/terraform-environment.test.ts). A value that is not set is the code's default.

locals {
  # Both services must agree on these.
  common_env = {
    UPSTASH_REDIS_REST_URL = local.redis_rest_url
    BATCH_MAX_ROWS         = tostring(var.batch_max_rows)
    EVENT_MAX_BYTES        = tostring(var.event_max_bytes)
    LEASE_MS               = tostring(var.lease_ms) # ingest's write-through inserts have the same timeout
    # The supervisor's doctor compares these with the lists and with public keys.
    BUFFER_MAX_BYTES = tostring(var.buffer_max_bytes)
    CORS_ORIGINS     = join(",", var.cors_origins)
  }

  ingest_env = {
    PARTITIONS                = tostring(var.partitions)
    FLUSH_TRIGGER             = var.flush_trigger
    FLUSH_THRESHOLD           = tostring(var.flush_threshold)
    SUPERVISOR_URL            = module.supervisor.service.uri
    TASKS_QUEUE               = google_cloud_tasks_queue.flush.id # projects/P/locations/L/queues/Q
    WRITE_THROUGH_CONCURRENCY = tostring(var.write_through_concurrency)
    BODY_MAX_BYTES            = tostring(var.body_max_bytes)
    EVENTS_MAX                = tostring(var.events_max)
    KEY_EVENTS_PER_SECOND     = tostring(var.key_events_per_second)
  }

  supervisor_env = {
    DRAIN_DEADLINE_MS = tostring(var.drain_deadline_ms)
    DRAIN_CONCURRENCY = tostring(var.drain_concurrency)
    DRAIN_PAUSED      = join("|", var.drain_paused)
    DRAIN_CALLERS     = join(",", [google_service_account.scheduler.email, google_service_account.tasks.email])
    KEEP_LETTERS_DAYS = tostring(var.keep_letters_days)
    KEEP_USAGE_DAYS   = tostring(var.keep_usage_days)
  }

  # Not set, because they are empty or another stands in their place. They are told by name, because a first plan does not know every value: it could not tell
  # which of them are empty, and so not which names there are.
  unset = concat(
    length(var.cors_origins) == 0 ? ["CORS_ORIGINS"] : [],
    length(var.drain_paused) == 0 ? ["DRAIN_PAUSED"] : [],
    # There is one Redis, by REST or over TCP.
    local.redis_is_over_tcp ? ["UPSTASH_REDIS_REST_URL", "UPSTASH_REDIS_REST_TOKEN"] : ["REDIS_URL"],
  )

  # Name in the environment => secret in secrets.tf. Each service can read these and no others.
  ingest_secrets = {
    UPSTASH_REDIS_REST_TOKEN = "redis-rest-token"
    REDIS_URL                = "redis-url"
    DATABASE_URL             = "database-url" # write-through, ack=stored, GET /v1/{stream}/{id}
    INGEST_API_KEYS          = "api-keys"
  }

  # The secrets of webhooks, by the names that streams choose (secretEnv). Only ingest checks signatures.
  webhook_secrets = {
    for name in nonsensitive(keys(var.webhook_secrets)) : name => "webhook-${replace(lower(name), "_", "-")}"
  }

  supervisor_secrets = {
    UPSTASH_REDIS_REST_TOKEN = "redis-rest-token"
    REDIS_URL                = "redis-url"
    DATABASE_URL             = "database-url"
  }

  # Every name of lib/config.ts. A webhook's secret can't have one of them. It is a list of its own, because a variable's check can't
  # look at the maps above: they wait for the services.
  own_names = [
    "BATCH_MAX_ROWS",
    "BODY_MAX_BYTES",
    "BUFFER_MAX_BYTES",
    "CORS_ORIGINS",
    "DATABASE_URL",
    "DRAIN_CALLERS",
    "DRAIN_CONCURRENCY",
    "DRAIN_DEADLINE_MS",
    "DRAIN_EVERY",
    "DRAIN_PAUSED",
    "EVENTS_MAX",
    "EVENT_MAX_BYTES",
    "FLUSH_THRESHOLD",
    "FLUSH_TRIGGER",
    "INGEST_API_KEYS",
    "KEEP_LETTERS_DAYS",
    "KEEP_USAGE_DAYS",
    "KEY_EVENTS_PER_SECOND",
    "LEASE_MS",
    "NEON_HTTP_URL",
    "OPERATOR_TOKEN",
    "PARTITIONS",
    "REDIS_URL",
    "SUPERVISOR_HOST",
    "SUPERVISOR_PORT",
    "SUPERVISOR_URL",
    "TASKS_QUEUE",
    "UPSTASH_REDIS_REST_TOKEN",
    "UPSTASH_REDIS_REST_URL",
    "WRITE_THROUGH_CONCURRENCY",
  ]

  # The job that migrates, where there is one.
  migration_secrets = {
    DATABASE_URL = local.migration_secret
  }

  # Known to the code, and left to it on purpose.
  deliberately_default = [
    "NEON_HTTP_URL", # follows from DATABASE_URL wherever that is Neon's; only a laptop needs it
    # Outside Cloud Run: here the platform checks who asks the supervisor, and Cloud Scheduler makes the ticks.
    "OPERATOR_TOKEN", "SUPERVISOR_HOST", "SUPERVISOR_PORT", "DRAIN_EVERY",
  ]
}
