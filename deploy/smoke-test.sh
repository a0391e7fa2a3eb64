#!/usr/bin/env bash
# Proves the two revisions that this build has deployed, before they get traffic: who is let in, and one event on its whole way, from ingest
# through Redis and the drain into Postgres. It is an event of Spillway's own stream spillway_rollouts, sent with a key that is good for this
# stream alone and for ten minutes; so it needs no stream, no table and no key of yours, and touches none.
#
# The tag `candidate` gives a revision without traffic an address. It is there only while this runs. A build that is killed leaves it, and
# the next one moves it.
set -euo pipefail
cd "$(dirname "$0")"
. ./candidate.sh

stream=spillway_rollouts
answer=$(mktemp)
# Of this build alone: another one may run at the same time.
name="smoke-test-$BUILD"
key=
# The revision that was given the tag, by service.
declare -A given=()
tag='[one for one in service["status"]["traffic"] if one.get("tag") == "candidate"]'

finish() {
  local result=$?
  set +e
  [ -z "$key" ] || revoke_key
  for service in "${!given[@]}"; do take_tag "$service"; done
  exit "$result"
}

# Gives the tag to the revision that this build has deployed.
give_tag() {
  given[$1]=$(candidate "$1")
  change_traffic "$1" --update-tags="candidate=${given[$1]}" >/dev/null
}

# Takes the tag away, unless a later build has moved it to its own revision meanwhile.
take_tag() {
  [ "$(field "$1" "[one[\"revisionName\"] for one in $tag]")" != "['${given[$1]}']" ] ||
    change_traffic "$1" --remove-tags=candidate >/dev/null
}

as_operator() { curl -s --max-time 90 -H "authorization: Bearer $token" "$@"; }
with_key() { curl -s --max-time 20 -H "authorization: Bearer $key" "$@"; }

revoke_key() {
  as_operator -o /dev/null -X POST -H 'content-type: application/json' \
    -d "{\"action\":\"revoke\",\"name\":\"$name\"}" "$supervisor/keys" || true
}

fail() {
  echo "FAILED $1"
  head -c 2000 "$answer" || true
  return 1
}

# Asks until the answer is the one that is expected, for half a minute: a new address, and a new key, take a moment to be known.
expect() {
  local wanted=$1 what=$2 got=000
  shift 2
  for _ in $(seq "${TRIES:-15}"); do
    : >"$answer" # curl leaves it as it was if it can't connect, and the last answer may hold the key
    got=$("$@" -o "$answer" -w '%{http_code}' || true)
    if [ "$got" = "$wanted" ]; then
      echo "ok    $what: $got"
      return 0
    fi
    sleep 2
  done
  fail "$what: expected $wanted, got $got"
}

# Reads the last answer: said EXPRESSION, a Python expression of `answer`.
said() { python3 -c 'import json, sys; answer = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$answer" "$1"; }

# Posts an event and drains it. Exit status 1: the supervisor that serves was faster, and this one has proven nothing yet.
store_one() {
  expect 202 "ingest buffers an event in Redis" \
    with_key -X POST -H 'content-type: application/json' -d "{\"build\":\"$BUILD\"}" "$ingest/v1/$stream" || exit 1
  id=$(said 'answer["ids"][0]')
  expect 200 "the supervisor drains" as_operator -X POST "$supervisor/drain/$stream?wait=1" || exit 1
  [ "$(said 'sum(one["stored"] for one in answer["streams"])')" -gt 0 ]
}

trap finish EXIT
give_tag "$INGEST"
give_tag "$SUPERVISOR"
ingest=$(field "$INGEST" "$tag[0][\"url\"]")
supervisor=$(field "$SUPERVISOR" "$tag[0][\"url\"]")

# An operator's token, for the service's own address: that is the audience of a tagged revision, too.
token=$(curl -sS --fail -X POST \
  -H "authorization: Bearer $(gcloud auth print-access-token)" -H 'content-type: application/json' \
  -d "{\"audience\":\"$(field "$SUPERVISOR" 'service["status"]["url"]')\",\"includeEmail\":true}" \
  "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/$OPERATOR:generateIdToken" |
  python3 -c 'import json, sys; print(json.load(sys.stdin)["token"])')

expect 200 "ingest answers" curl -s --max-time 20 "$ingest/health"
expect 401 "ingest wants a key" curl -s --max-time 20 -X POST -d '{}' "$ingest/v1/$stream"
expect 403 "the supervisor refuses strangers" curl -s --max-time 20 "$supervisor/health"
expect 200 "the supervisor answers an operator" as_operator "$supervisor/health"
expect 200 "the supervisor reaches Redis" as_operator "$supervisor/status"
blind=$(said '", ".join(one["stream"] for one in answer["streams"] if one["deadLetters"] is None)')
[ -z "$blind" ] || fail "the supervisor reaches Postgres: it can't count the letters of $blind"

expect 201 "the supervisor makes a key in Postgres" as_operator -X POST -H 'content-type: application/json' \
  -d "{\"action\":\"create\",\"name\":\"$name\",\"streams\":[\"$stream\"],\"expires\":\"10min\"}" "$supervisor/keys"
key=$(said 'answer["key"]')

store_one || store_one || store_one || fail "the supervisor stores the event in Postgres: three times another one was faster"
echo "ok    the supervisor stores the event in Postgres"
expect 200 "ingest finds the event in Postgres" with_key "$ingest/v1/$stream/$id"
