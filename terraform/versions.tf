# Versions and providers. The state holds the secrets' values: keep it where few people can read it, for example
#   backend "gcs" { bucket = "…-terraform-state" }
# in a file of your own, with versioning on and public access prevented.

terraform {
  # 1.11: mocked providers that answer during plan (tests), validations that look at several variables (1.9).
  required_version = ">= 1.11"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 6.50.0"
    }
    upstash = {
      source  = "upstash/upstash"
      version = "~> 2.0.1"
    }
    neon = {
      source  = "kislerdm/neon"
      version = "~> 0.15.0"
    }
  }
}

provider "google" {
  project = var.project_id
  region  = var.region
}

# "unused": the provider insists on a value even where the database is brought along and nothing is provisioned.
provider "upstash" {
  email   = coalesce(var.upstash_email, "unused")
  api_key = coalesce(var.upstash_api_key, "unused")
}

provider "neon" {
  api_key = coalesce(var.neon_api_key, "unused")
}
