#!/usr/bin/env bash
# Gives a service's latest revision all traffic, if the smoke test of this build has proven it: move-traffic.sh SERVICE. "To latest", not to
# this revision: a change that Terraform makes later gets its traffic by itself, until the next build's deployment or a rollback pins traffic
# to a revision. PROVEN is the file that smoke-test.sh leaves.
set -euo pipefail
. "$(dirname "$0")/candidate.sh"
revision=$(candidate "$1")
if ! grep -qxF "$1 $revision" "$PROVEN"; then
  echo "FAILED $1 has a newer revision than the smoke test has proven: $revision, by terraform apply perhaps. Build again." >&2
  exit 1
fi
change_traffic "$1" --to-latest
