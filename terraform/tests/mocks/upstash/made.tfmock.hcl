mock_resource "upstash_redis_database" {
  override_during = plan
  defaults = {
    endpoint   = "made-up.upstash.io"
    rest_token = "a-made-token"
  }
}
