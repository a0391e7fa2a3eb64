# docs/operations.md, "The region is down": a second installation in another region, on the database of the first.

mock_provider "google" { source = "./tests/mocks/google" }
mock_provider "upstash" { source = "./tests/mocks/upstash" }
mock_provider "neon" { source = "./tests/mocks/neon" }

run "a_second_installation_stores_into_the_first_ones_database" {
  command = plan

  variables {
    name                 = "spillway-b"
    region               = "europe-west1"
    build_region         = "europe-west1"
    database_provisioned = false
    database_url         = "postgres://spillway:made@ep-made-up.us-east-1.aws.neon.tech/spillway?sslmode=require"
    neon_api_key         = null
    neon_org_id          = null
  }

  assert {
    condition     = length(neon_project.this) == 0 && nonsensitive(google_secret_manager_secret_version.this["database-url"].secret_data) == "postgres://spillway:made@ep-made-up.us-east-1.aws.neon.tech/spillway?sslmode=require"
    error_message = "It stores elsewhere than the first installation."
  }

  assert {
    condition     = upstash_redis_database.this[0].primary_region == "europe-west1" && module.ingest.service.name == "spillway-b-ingest" && module.ingest.service.location == "europe-west1"
    error_message = "It shares something with the region that is down."
  }
}
