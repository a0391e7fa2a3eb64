#!/bin/sh
# Sends one event. The id is made before the first try, so a repetition is stored once.
# Usage: INGEST_URL=http://127.0.0.1:8080 SPILLWAY_KEY=… ./send.sh
set -eu
id=$(cat /proc/sys/kernel/random/uuid 2>/dev/null || uuidgen | tr A-Z a-z)
curl --silent --show-error --fail-with-body --retry 5 --retry-connrefused \
  -H "Authorization: Bearer $SPILLWAY_KEY" -H 'Content-Type: application/json' \
  -d "{\"id\":\"$id\",\"type\":\"example.curl\",\"payload\":{\"from\":\"curl\"}}" \
  "$INGEST_URL/v1/events"
