# The regions that are known: a misspelt one is refused before anything is made. A region that is younger than this file is added here.

locals {
  # Where Cloud Tasks makes a queue. Cloud Run, Cloud Scheduler and Artifact Registry are in all of these, and in some more.
  # Today's list: gcloud tasks locations list. Source: cloud.google.com/tasks/docs/locations.
  service_regions = [
    "asia-east1", "asia-east2", "asia-northeast1", "asia-northeast2", "asia-northeast3", "asia-south1", "asia-southeast1",
    "asia-southeast2", "australia-southeast1", "europe-central2", "europe-west1", "europe-west2", "europe-west3", "europe-west6",
    "northamerica-northeast1", "southamerica-east1", "us-central1", "us-east1", "us-east4", "us-west1", "us-west2", "us-west3",
    "us-west4",
  ]

  # Where Cloud Build builds. Source: cloud.google.com/build/docs/locations.
  build_regions = concat(local.service_regions, [
    "africa-south1", "asia-south2", "australia-southeast2", "europe-north1", "europe-north2", "europe-southwest1", "europe-west4",
    "europe-west8", "europe-west9", "europe-west10", "europe-west12", "me-central1", "me-central2", "me-west1",
    "northamerica-northeast2", "northamerica-south1", "southamerica-west1", "us-east5", "us-south1",
  ])

  # Where Upstash offers Redis on Google Cloud.
  upstash_regions = ["us-central1", "us-east4", "europe-west1", "asia-northeast1"]

  # Where Neon makes a project. Source: neon.com/docs/introduction/regions.
  neon_own_regions = [
    "aws-us-east-1", "aws-us-east-2", "aws-us-west-2", "aws-eu-central-1", "aws-eu-west-2", "aws-ap-southeast-1",
    "aws-ap-southeast-2", "aws-sa-east-1", "azure-eastus2", "azure-westus3", "azure-gwc",
  ]
}
