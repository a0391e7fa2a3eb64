mock_resource "neon_project" {
  override_during = plan
  defaults = {
    connection_uri        = "postgres://spillway:made@ep-made-up.us-east-1.aws.neon.tech/spillway?sslmode=require"
    connection_uri_pooler = "postgres://spillway:made@ep-made-up-pooler.us-east-1.aws.neon.tech/spillway?sslmode=require"
  }
}
