# How earlier releases had the two services in their state: a test plans over this (tests/moved.tftest.hcl).

terraform {
  required_providers {
    google = {
      source = "hashicorp/google"
    }
  }
}

resource "google_cloud_run_v2_service" "ingest" {
  project  = "my-project"
  name     = "spillway-ingest"
  location = "us-east4"

  template {
    containers {
      image = "us-docker.pkg.dev/cloudrun/container/hello"
    }
  }
}

resource "google_cloud_run_v2_service" "supervisor" {
  project  = "my-project"
  name     = "spillway-supervisor"
  location = "us-east4"

  template {
    containers {
      image = "us-docker.pkg.dev/cloudrun/container/hello"
    }
  }
}

output "uids" {
  value = [google_cloud_run_v2_service.ingest.uid, google_cloud_run_v2_service.supervisor.uid]
}
