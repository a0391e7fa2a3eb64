#!/usr/bin/env bash
# Migrates the database of DATABASE_URL: a step of an installation's build, which runs in the new image. It leaves that to the job of Terraform's
# migrations.tf, if there is one (release.sh runs it). One transaction under an advisory lock; run twice, it does nothing.
set -euo pipefail
if [ -n "${_MIGRATE_JOB:-}" ]; then
  echo "the job $_MIGRATE_JOB migrates"
  exit 0
fi
exec node "$(dirname "$0")/../dist/drizzle/migrate.js"
