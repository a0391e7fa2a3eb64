# Servers of one's own: an address that can't work, or not safely, is refused with a sentence before anything is made.

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

run "one_redis_not_two" {
  command = plan

  variables {
    redis_rest_url   = "https://mine.upstash.io"
    redis_rest_token = "my-token"
  }

  expect_failures = [var.redis_rest_url]
}

run "no_redis_at_all" {
  command = plan

  variables {
    redis_url = null
  }

  expect_failures = [var.redis_rest_url]
}

run "a_redis_url_of_another_kind" {
  command = plan

  variables {
    redis_url = "https://mine.upstash.io"
  }

  expect_failures = [var.redis_provisioned]
}

run "a_redis_url_with_a_space" {
  command = plan

  variables {
    redis_url = "rediss://me:p ss@cache.example.org:6380"
  }

  expect_failures = [var.redis_provisioned]
}

run "a_redis_url_with_a_database_that_is_no_number" {
  command = plan

  variables {
    redis_url = "rediss://cache.example.org:6380/main"
  }

  expect_failures = [var.redis_provisioned]
}

run "a_redis_url_with_a_query" {
  command = plan

  variables {
    redis_url = "rediss://cache.example.org:6380/0?tls=true"
  }

  expect_failures = [var.redis_provisioned]
}

run "a_redis_password_that_is_not_encoded" {
  command = plan

  variables {
    redis_url = "rediss://me:p@ss@cache.example.org:6380"
  }

  expect_failures = [var.redis_provisioned]
}

run "a_redis_port_that_does_not_exist" {
  command = plan

  variables {
    redis_url = "rediss://cache.example.org:70000"
  }

  expect_failures = [var.redis_provisioned]
}

run "a_redis_port_of_zero" {
  command = plan

  variables {
    redis_url = "rediss://cache.example.org:0"
  }

  expect_failures = [var.redis_provisioned]
}

run "redis_in_the_clear_at_a_public_address" {
  command = plan

  variables {
    redis_url      = "redis://203.0.113.7:6379"
    vpc_network    = "main"
    vpc_subnetwork = "run"
  }

  expect_failures = [var.redis_provisioned]
}

run "redis_in_the_clear_outside_a_network" {
  command = plan

  variables {
    redis_url = "redis://cache.example.org:6379"
  }

  expect_failures = [var.vpc_network]
}

run "a_private_redis_without_its_network" {
  command = plan

  variables {
    redis_url = "rediss://192.168.1.9:6379"
  }

  expect_failures = [var.vpc_network]
}

run "a_redis_of_this_machine" {
  command = plan

  variables {
    redis_url      = "redis://localhost:6379"
    vpc_network    = "main"
    vpc_subnetwork = "run"
  }

  expect_failures = [var.redis_provisioned]
}

run "a_database_url_with_a_space" {
  command = plan

  variables {
    database_url = "postgres://me:p ss@db.example.org/app?sslmode=require"
  }

  expect_failures = [var.database_provisioned]
}

run "a_database_url_without_a_database" {
  command = plan

  variables {
    database_url = "postgres://me:secret@db.example.org?sslmode=require"
  }

  expect_failures = [var.database_provisioned]
}

run "a_database_password_that_is_not_encoded" {
  command = plan

  variables {
    database_url = "postgres://me:p@ss@db.example.org/app?sslmode=require"
  }

  expect_failures = [var.database_provisioned]
}

run "several_database_hosts" {
  command = plan

  variables {
    database_url = "postgres://me:secret@a.example.org,b.example.org/app?sslmode=require"
  }

  expect_failures = [var.database_provisioned]
}

run "a_database_port_that_does_not_exist" {
  command = plan

  variables {
    database_url = "postgres://me:secret@db.example.org:65536/app?sslmode=require"
  }

  expect_failures = [var.database_provisioned]
}

run "a_database_without_sslmode" {
  command = plan

  variables {
    database_url = "postgres://me:secret@db.example.org/app"
  }

  expect_failures = [var.database_provisioned]
}

run "a_neon_host_without_sslmode" {
  command = plan

  variables {
    database_url             = "postgres://me:secret@ep-mine.eu-central-1.aws.neon.tech/app"
    database_max_connections = null
  }

  expect_failures = [var.database_provisioned]
}

run "an_sslmode_that_the_server_may_talk_down" {
  command = plan

  variables {
    database_url = "postgres://me:secret@db.example.org/app?sslmode=prefer"
  }

  expect_failures = [var.database_provisioned]
}

run "a_public_database_in_the_clear" {
  command = plan

  variables {
    database_url   = "postgres://me:secret@203.0.113.7/app?sslmode=disable"
    vpc_network    = "main"
    vpc_subnetwork = "run"
  }

  expect_failures = [var.database_provisioned]
}

run "a_named_database_in_the_clear_outside_a_network" {
  command = plan

  variables {
    database_url = "postgres://me:secret@db.example.org/app?sslmode=disable"
  }

  expect_failures = [var.vpc_network]
}

run "a_private_database_without_its_network" {
  command = plan

  variables {
    database_url = "postgres://me:secret@10.0.0.3/app"
  }

  expect_failures = [var.vpc_network]
}

run "a_pooler_without_a_direct_url_for_migrations" {
  command = plan

  variables {
    database_url = "postgres://me:secret@pgbouncer.example.org:6432/app?sslmode=require"
  }

  expect_failures = [var.database_provisioned]
}

run "neons_pooler_without_a_direct_url_for_migrations" {
  command = plan

  variables {
    database_url             = "postgres://me:secret@ep-mine-pooler.eu-central-1.aws.neon.tech/app?sslmode=require"
    database_max_connections = null
  }

  expect_failures = [var.database_provisioned]
}

run "a_pooler_for_migrations" {
  command = plan

  variables {
    database_migration_url = "postgres://me:secret@ep-mine-pooler.eu-central-1.aws.neon.tech/app?sslmode=require"
  }

  expect_failures = [var.database_provisioned]
}

run "migrations_in_the_clear" {
  command = plan

  variables {
    database_migration_url = "postgres://me:secret@db.example.org/app"
  }

  expect_failures = [var.database_provisioned]
}

run "a_socket_without_its_instance" {
  command = plan

  variables {
    database_url = "postgres://me:secret@/app?host=/cloudsql/my-project:us-east4:main-db"
  }

  expect_failures = [var.cloud_sql_instance]
}

run "a_socket_that_cloud_run_does_not_have" {
  command = plan

  variables {
    database_url = "postgres://me:secret@/app?host=/var/run/postgresql"
  }

  expect_failures = [var.database_provisioned]
}

run "an_instance_without_its_socket" {
  command = plan

  variables {
    cloud_sql_instance = "my-project:us-east4:main-db"
  }

  expect_failures = [var.cloud_sql_instance]
}

run "the_socket_of_another_instance" {
  command = plan

  variables {
    cloud_sql_instance = "my-project:us-east4:main-db"
    database_url       = "postgres://me:secret@/app?host=/cloudsql/my-project:us-east4:other-db"
  }

  expect_failures = [var.cloud_sql_instance]
}

run "an_instance_by_another_name_than_its_connection_name" {
  command = plan

  variables {
    cloud_sql_instance = "main-db"
    database_url       = "postgres://me:secret@/app?host=/cloudsql/main-db"
  }

  expect_failures = [var.cloud_sql_instance]
}

run "a_socket_with_tls" {
  command = plan

  variables {
    cloud_sql_instance = "my-project:us-east4:main-db"
    database_url       = "postgres://me:secret@/app?host=/cloudsql/my-project:us-east4:main-db&sslmode=require"
  }

  expect_failures = [var.database_provisioned]
}

run "a_socket_whose_path_is_too_long" {
  command = plan

  variables {
    cloud_sql_instance = "a-project-with-a-long-name-123:northamerica-northeast1:an-instance-whose-name-is-longer-than-a-path"
    database_url       = "postgres://me:secret@/app?host=/cloudsql/a-project-with-a-long-name-123:northamerica-northeast1:an-instance-whose-name-is-longer-than-a-path"
  }

  expect_failures = [var.cloud_sql_instance]
}

run "migrations_at_the_socket_of_another_instance" {
  command = plan

  variables {
    cloud_sql_instance     = "my-project:us-east4:main-db"
    database_url           = "postgres://me:secret@/app?host=/cloudsql/my-project:us-east4:main-db"
    database_migration_url = "postgres://me:secret@/app?host=/cloudsql/my-project:us-east4:other-db"
  }

  expect_failures = [var.cloud_sql_instance]
}

run "a_network_without_its_subnetwork" {
  command = plan

  variables {
    vpc_network = "main"
  }

  expect_failures = [var.vpc_subnetwork]
}

run "a_subnetwork_without_its_network" {
  command = plan

  variables {
    vpc_subnetwork = "run"
  }

  expect_failures = [var.vpc_subnetwork]
}

run "a_subnetwork_of_another_region" {
  command = plan

  variables {
    vpc_network    = "main"
    vpc_subnetwork = "projects/my-project/regions/europe-west1/subnetworks/run"
  }

  expect_failures = [var.vpc_subnetwork]
}

run "a_network_by_its_url" {
  command = plan

  variables {
    vpc_network    = "https://www.googleapis.com/compute/v1/projects/my-project/global/networks/main"
    vpc_subnetwork = "run"
  }

  expect_failures = [var.vpc_network]
}

run "a_subnetwork_by_another_name" {
  command = plan

  variables {
    vpc_network    = "main"
    vpc_subnetwork = "My subnetwork"
  }

  expect_failures = [var.vpc_subnetwork]
}

run "a_database_over_tcp_without_a_maximum" {
  command = plan

  variables {
    database_max_connections = null
  }

  expect_failures = [var.database_max_connections]
}

run "more_connections_than_there_are" {
  command = plan

  variables {
    database_max_connections = 38
  }

  expect_failures = [var.database_max_connections]
}

run "a_maximum_that_is_no_whole_number" {
  command = plan

  variables {
    database_max_connections = 100.5
  }

  expect_failures = [var.database_max_connections]
}
