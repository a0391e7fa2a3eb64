# Artifact Registry: the one image that both services run.

resource "google_artifact_registry_repository" "this" {
  project       = local.project
  location      = var.region
  repository_id = var.name
  format        = "DOCKER"
  description   = "Spillway's image"

  cleanup_policy_dry_run = false

  # Keep wins over delete: the last ten can be rolled back to, whatever their age.
  cleanup_policies {
    id     = "keep-the-last-ten"
    action = "KEEP"
    most_recent_versions {
      keep_count = 10
    }
  }

  cleanup_policies {
    id     = "delete-after-30-days"
    action = "DELETE"
    condition {
      tag_state  = "ANY"
      older_than = "2592000s"
    }
  }
}
