# What an installation has to say, for every test of this folder: terraform test reads this file by itself. A test file or
# a run may say something else.

project_id      = "my-project"
alert_email     = "oncall@example.com"
upstash_email   = "me@example.com"
upstash_api_key = "an-upstash-key"
neon_api_key    = "a-neon-key"
neon_org_id     = "org-quiet-river-12345678"

grant_wait_seconds = 0 # no right is given, so nothing has to become known

api_keys = {
  app = { sha256 = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae" }
}
