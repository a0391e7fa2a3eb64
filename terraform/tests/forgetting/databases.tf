# Terraform refuses to destroy a provisioned database, at the end of a test, too. So the last run of such a test applies this,
# which forgets the two databases and destroys all else.

terraform {
  required_providers {
    google = {
      source = "hashicorp/google"
    }
    upstash = {
      source = "upstash/upstash"
    }
    neon = {
      source = "kislerdm/neon"
    }
  }
}

removed {
  from = upstash_redis_database.this
  lifecycle {
    destroy = false
  }
}

removed {
  from = neon_project.this
  lifecycle {
    destroy = false
  }
}
