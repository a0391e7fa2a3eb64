#!/usr/bin/env bash
# Gives a service's latest revision all traffic, if it is that of this build: move-traffic.sh SERVICE. "To latest", not to this revision: a
# change that Terraform makes later gets its traffic by itself, until the next build's deployment or a rollback pins traffic to a revision.
set -euo pipefail
. "$(dirname "$0")/candidate.sh"
candidate "$1"
change_traffic "$1" --to-latest
