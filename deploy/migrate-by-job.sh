#!/usr/bin/env bash
# Migrates by the job of Terraform's migrations.tf, with the new image, and waits until it has ended. Needs gcloud, PROJECT, REGION,
# JOB and IMAGE; without JOB there is nothing to do. What a migration says is in the job's log, which a build may not read.
set -euo pipefail

if [ -z "${JOB:-}" ]; then
  echo "the step before has migrated"
  exit 0
fi

if gcloud run jobs update "$JOB" --project="$PROJECT" --region="$REGION" --image="$IMAGE" --execute-now --wait --quiet; then
  echo "the job $JOB has migrated"
else
  echo "FAIL  the job $JOB. Its log says why:"
  echo "      gcloud logging read 'resource.type=\"cloud_run_job\" resource.labels.job_name=\"$JOB\"' --project=$PROJECT --freshness=1h --limit=20 --order=desc --format='value(textPayload)'"
  exit 1
fi
