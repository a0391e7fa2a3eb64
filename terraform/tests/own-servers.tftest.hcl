# Servers of one's own over TCP: any Redis and any Postgres by their URLs, Cloud SQL by its connection name, and private addresses.

mock_provider "google" { source = "./tests/mocks/google" }
mock_provider "upstash" { source = "./tests/mocks/upstash" }
mock_provider "neon" { source = "./tests/mocks/neon" }

variables {
  upstash_email        = null
  upstash_api_key      = null
  neon_api_key         = null
  neon_org_id          = null
  redis_provisioned    = false
  database_provisioned = false

  redis_url                = "rediss://me:p%40ss@cache.example.org:6380/0"
  database_url             = "postgres://me:p%40ss@db.example.org/app?sslmode=verify-full"
  database_max_connections = 100
}

run "any_redis_and_any_postgres_by_their_urls" {
  command = plan

  assert {
    condition     = nonsensitive(google_secret_manager_secret_version.this["redis-url"].secret_data) == "rediss://me:p%40ss@cache.example.org:6380/0" && nonsensitive(google_secret_manager_secret_version.this["database-url"].secret_data) == "postgres://me:p%40ss@db.example.org/app?sslmode=verify-full"
    error_message = "A URL is not kept as a secret as it was given."
  }

  assert {
    condition = alltrue([for service in [module.ingest.service, module.supervisor.service] :
      toset([for env in service.template[0].containers[0].env : env.name if strcontains(env.name, "REDIS") || strcontains(env.name, "DATABASE")]) == toset(["REDIS_URL", "DATABASE_URL"])
    ])
    error_message = "A service finds another Redis or Postgres than those two, or a part of Upstash's beside them, with which it does not start."
  }

  assert {
    condition = alltrue(flatten([for service in [module.ingest.service, module.supervisor.service] :
      [for env in service.template[0].containers[0].env : length(env.value_source) == 1 if contains(["REDIS_URL", "DATABASE_URL"], env.name)]
    ]))
    error_message = "A URL with a password stands in the environment in the clear."
  }

  assert {
    condition     = !contains(keys(google_secret_manager_secret.this), "redis-rest-token") && toset([for name in keys(google_secret_manager_secret_iam_member.reader) : name if strcontains(name, "redis")]) == toset(["ingest/redis-url", "supervisor/redis-url"])
    error_message = "There is a secret of Upstash's, or another than the two services reads the Redis's URL."
  }

  assert {
    condition     = !contains(keys(google_monitoring_alert_policy.query), "upstash-quota-nearly-used") && contains(keys(google_monitoring_alert_policy.query), "key-throttled")
    error_message = "An alert watches Upstash's quota, though nothing is at Upstash."
  }

  assert {
    condition     = length(google_cloud_run_v2_job.migrate) == 0 && !contains(keys(local.build_substitutions), "_MIGRATE_JOB")
    error_message = "A migration takes the way through a job, though the build reaches the database itself."
  }
}

run "a_provisioned_redis_is_kept_while_the_services_use_another_over_tcp" {
  command = plan

  variables {
    redis_provisioned = true
    upstash_email     = "me@example.com"
    upstash_api_key   = "an-upstash-key"
  }

  assert {
    condition     = length(upstash_redis_database.this) == 1 && nonsensitive(google_secret_manager_secret_version.this["redis-url"].secret_data) == "rediss://me:p%40ss@cache.example.org:6380/0"
    error_message = "The provisioned Redis is not kept, or is used still."
  }
}

run "cloud_sql_by_its_connection_name" {
  command = plan

  variables {
    cloud_sql_instance = "my-project:us-east4:main-db"
    database_url       = "postgres://me:secret@/app?host=/cloudsql/my-project:us-east4:main-db"
  }

  assert {
    condition = alltrue([for template in [module.ingest.service.template[0], module.supervisor.service.template[0], google_cloud_run_v2_job.migrate[0].template[0].template[0]] :
      toset(template.volumes[0].cloud_sql_instance[0].instances) == toset(["my-project:us-east4:main-db"]) && one(template.containers[0].volume_mounts).name == template.volumes[0].name && one(template.containers[0].volume_mounts).mount_path == "/cloudsql"
    ])
    error_message = "The instance's socket is not where the URL looks for it."
  }

  assert {
    condition     = toset([for member in values(google_project_iam_member.cloud_sql) : "${member.project} ${member.role} ${member.member}"]) == toset([for account in ["ingest", "supervisor", "build"] : "my-project roles/cloudsql.client serviceAccount:${account}@example.com"])
    error_message = "A service, or the migration, may not connect to the instance, or may do more."
  }

  assert {
    condition     = contains(keys(google_project_service.this), "sqladmin.googleapis.com")
    error_message = "Cloud SQL's API is not on, and without it Cloud Run makes no socket."
  }
}

run "a_cloud_sql_of_another_project" {
  command = plan

  variables {
    cloud_sql_instance = "example.com:other-project:us-east4:main-db"
    database_url       = "postgres://me:secret@/app?host=/cloudsql/example.com:other-project:us-east4:main-db"
  }

  assert {
    condition     = toset([for member in values(google_project_iam_member.cloud_sql) : member.project]) == toset(["example.com:other-project"])
    error_message = "The right to connect is given in a project where the instance is not."
  }
}

run "migrations_run_where_the_database_can_be_reached" {
  command = plan

  variables {
    cloud_sql_instance = "my-project:us-east4:main-db"
    database_url       = "postgres://me:secret@/app?host=/cloudsql/my-project:us-east4:main-db"
  }

  assert {
    condition     = google_cloud_run_v2_job.migrate[0].template[0].template[0].containers[0].command == tolist(["node"]) && google_cloud_run_v2_job.migrate[0].template[0].template[0].containers[0].args == tolist(["/app/dist/drizzle/migrate.js"])
    error_message = "The job does something else than the build's own step."
  }

  assert {
    condition     = one(google_cloud_run_v2_job.migrate[0].template[0].template[0].containers[0].env).name == "DATABASE_URL" && one(google_cloud_run_v2_job.migrate[0].template[0].template[0].containers[0].env).value_source[0].secret_key_ref[0].version == "7"
    error_message = "The job does not find the database, or finds more than that."
  }

  assert {
    condition     = google_cloud_run_v2_job.migrate[0].template[0].template[0].service_account == google_service_account.build.email && google_cloud_run_v2_job.migrate[0].template[0].template[0].max_retries == 0
    error_message = "The job runs as another than the build, or runs again what has failed."
  }

  assert {
    condition     = google_cloud_run_v2_job_iam_member.build_migrates[0].role == "roles/run.developer" && google_cloud_run_v2_job_iam_member.build_migrates[0].member == google_service_account.build.member && google_service_account_iam_member.build_acts_as_itself[0].role == "roles/iam.serviceAccountUser" && google_service_account_iam_member.build_acts_as_itself[0].service_account_id == google_service_account.build.name
    error_message = "The build may not run the job."
  }

  assert {
    condition     = local.build_substitutions._MIGRATE_JOB == google_cloud_run_v2_job.migrate[0].name && strcontains(output.deploy_command, "_MIGRATE_JOB=spillway-migrate")
    error_message = "The build does not know the job."
  }
}

run "private_addresses" {
  command = plan

  variables {
    redis_url      = "redis://10.1.2.3:6379"
    database_url   = "postgres://me:secret@172.20.0.4:5432/app"
    vpc_network    = "projects/host-project/global/networks/main"
    vpc_subnetwork = "projects/host-project/regions/us-east4/subnetworks/run"
  }

  assert {
    condition = alltrue([for template in [module.ingest.service.template[0], module.supervisor.service.template[0], google_cloud_run_v2_job.migrate[0].template[0].template[0]] :
      template.vpc_access[0].network_interfaces[0].network == "projects/host-project/global/networks/main" && template.vpc_access[0].network_interfaces[0].subnetwork == "projects/host-project/regions/us-east4/subnetworks/run" && template.vpc_access[0].egress == "PRIVATE_RANGES_ONLY"
    ])
    error_message = "A private address is not reached through the network, or Google's and other public addresses are not reached past it."
  }

  assert {
    condition     = length(google_project_iam_member.cloud_sql) == 0 && contains(keys(google_project_service.this), "compute.googleapis.com") && !contains(keys(google_project_service.this), "sqladmin.googleapis.com")
    error_message = "Rights or APIs of Cloud SQL are given without one, or that of networks is not on."
  }
}

run "without_a_network_of_ones_own_nothing_goes_through_one" {
  command = plan

  assert {
    condition     = length(module.ingest.service.template[0].vpc_access) == 0 && length(module.supervisor.service.template[0].volumes) == 0 && !contains(keys(google_project_service.this), "compute.googleapis.com")
    error_message = "There is a network or a volume that nobody asked for."
  }
}

run "a_pooler_with_the_direct_url_for_migrations" {
  command = plan

  variables {
    database_url           = "postgres://me:secret@pgbouncer.example.org:6432/app?sslmode=require"
    database_migration_url = "postgres://owner:secret@db.example.org:5432/app?sslmode=require"
  }

  assert {
    condition     = nonsensitive(google_secret_manager_secret_version.this["database-url"].secret_data) == "postgres://me:secret@pgbouncer.example.org:6432/app?sslmode=require" && nonsensitive(google_secret_manager_secret_version.this["migration-url"].secret_data) == "postgres://owner:secret@db.example.org:5432/app?sslmode=require"
    error_message = "The services do not go through the pooler, or migrations do."
  }

  assert {
    condition     = local.build_substitutions._DATABASE_URL_SECRET == google_secret_manager_secret.this["migration-url"].secret_id && toset([for name in keys(google_secret_manager_secret_iam_member.reader) : name if strcontains(name, "/migration-url") || startswith(name, "build/")]) == toset(["build/migration-url"])
    error_message = "The build migrates by another URL, or a service can read the one of migrations."
  }
}

run "connections_over_tcp_are_counted" {
  command = plan

  variables {
    drain_concurrency         = 6
    ingest_max_instances      = 4
    write_through_concurrency = 3
    database_max_connections  = 23 # 6 + 4 × (3 + 1) + 1
  }

  # Two revisions at once would be 45, which is pointed out and not refused.
  expect_failures = [check.connections_suffice_while_a_revision_replaces_another]
}

run "connections_for_two_revisions_at_once" {
  command = plan

  variables {
    drain_concurrency         = 6
    ingest_max_instances      = 4
    write_through_concurrency = 3
    database_max_connections  = 45
  }

  assert {
    condition     = output.postgres_connections_max == 23
    error_message = "The connections are counted in another way than the services open them."
  }
}

run "over_http_no_connections_are_held_against_a_maximum" {
  command = plan

  variables {
    database_url             = "postgres://me:secret@ep-mine.eu-central-1.aws.neon.tech/app?sslmode=require"
    database_max_connections = null
    ingest_max_instances     = 100
  }

  assert {
    condition     = output.postgres_connections_max == 208
    error_message = "What Neon is asked at once is counted in another way than the services ask it."
  }
}
