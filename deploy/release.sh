#!/usr/bin/env bash
# The last step of an installation's cloudbuild.yaml: migrates by the job of Cloud Run, if there is one, deploys the build's image to both
# services without traffic, proves the two revisions, and then gives them traffic. Needs the build's substitutions in the environment
# (automapSubstitutions).
set -euo pipefail
cd "$(dirname "$0")"

export PROJECT=${PROJECT_ID:?} REGION=${_REGION:?} INGEST=${_INGEST:?} SUPERVISOR=${_SUPERVISOR:?}
export OPERATOR=${_OPERATOR_SERVICE_ACCOUNT:?} BUILD=${BUILD_ID:?}
export IMAGE=${_IMAGE:?}:$BUILD
export JOB=${_MIGRATE_JOB:-}
PROVEN=$(mktemp)
export PROVEN

bash ./migrate-by-job.sh

# Without a tag: with one, gcloud names the revision, and each plan of Terraform would want to take the name away.
for service in "$SUPERVISOR" "$INGEST"; do
  gcloud run deploy "$service" --project="$PROJECT" --region="$REGION" --image="$IMAGE" --no-traffic --quiet
done

bash ./smoke-test.sh

# The supervisor first: it understands what the old ingest buffers, but the old one may not understand the new's.
bash ./move-traffic.sh "$SUPERVISOR"
bash ./move-traffic.sh "$INGEST"
