#!/usr/bin/env bash
# Proves the two revisions that this build has deployed, before they get traffic: who is let in, and one event on its whole way, from ingest
# through Redis and the drain into Postgres. It is an event of Spillway's own stream spillway_rollouts, sent with a key that is good for this
# stream alone and for ten minutes; so it needs no stream, no table and no key of yours, and touches none. While spillway_rollouts is paused,
# nothing may drain it: then the event waits in Redis, the rest is proven, and a line says so.
#
# Whatever fails is tried again for half a minute: a new address and a new key take a moment to be known, and a network or a database may be
# away for one. The tag `candidate` gives a revision without traffic an address. It is there only while this runs. A build that is killed
# leaves it, and the next one moves it.
#
# Leaves the proven revisions in the file PROVEN, for move-traffic.sh.
set -euo pipefail
cd "$(dirname "$0")"
. ./candidate.sh

stream=spillway_rollouts
answer=$(mktemp)
# The status of the last answer; 000: there was none.
got=000
# Of this build alone: another one may run at the same time.
name="smoke-test-$BUILD"
# Whether a key was asked for. It may be there even if no answer came.
asked=
# The revision that was given the tag, by service.
declare -A given=()
tag='[one for one in service["status"]["traffic"] if one.get("tag") == "candidate"]'

finish() {
  local result=$?
  set +e
  [ -z "$asked" ] || revoke_key
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

# curl with a token or a key, which no list of processes shows: bearer SECRET ARGUMENT…
bearer() { curl -s -K - "${@:2}" <<<"header = \"authorization: Bearer $1\""; }
as_operator() { bearer "$token" --max-time 90 "$@"; }
with_key() { bearer "$key" --max-time 20 "$@"; }
ask_keys() { as_operator -X POST -H 'content-type: application/json' -d "$1" "$supervisor/keys" "${@:2}"; }
revoke_key() { ask_keys "{\"action\":\"revoke\",\"name\":\"$name\"}" -o /dev/null || true; }

fail() {
  echo "FAILED $1"
  head -c 2000 "$answer" || true
  return 1
}

# Whether a command succeeds within half a minute.
soon() {
  for _ in $(seq "${TRIES:-15}"); do
    ! "$@" || return 0
    sleep 2
  done
  return 1
}

# Whether curl is answered with this status: answers STATUS COMMAND…
answers() {
  : >"$answer" # curl leaves it as it was if it can't connect, and the last answer may hold the key
  got=$("${@:2}" -o "$answer" -w '%{http_code}' || true)
  [[ $got =~ ^($1)$ ]]
}

# expect STATUS WHAT COMMAND… Several statuses have | between them.
expect() {
  soon answers "$1" "${@:3}" || fail "$2: expected $1, got $got" || return
  echo "ok    $2: $got"
}

# Reads the last answer: said EXPRESSION, a Python expression of `answer`.
said() { python3 -c 'import json, sys; answer = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$answer" "$1"; }

# Whether the supervisor can count the letters of every stream, which are in Postgres.
counts_letters() {
  answers 200 as_operator "$supervisor/status" &&
    blind=$(said '", ".join(one["stream"] for one in answer["streams"] if one["deadLetters"] is None)') && [ -z "$blind" ]
}

# An answer can get lost after the key was made. So what this name has is revoked, and the name is free again.
make_key() {
  asked=yes
  ! answers 201 ask_keys "{\"action\":\"create\",\"name\":\"$name\",\"streams\":[\"$stream\"],\"expires\":\"10min\"}" || return 0
  revoke_key
  return 1
}

# Posts an event and drains it. Exit status 1: this supervisor has stored nothing, and so has proven nothing yet.
store_one() {
  expect 202 "ingest buffers an event in Redis" \
    with_key -X POST -H 'content-type: application/json' -d "{\"build\":\"$BUILD\"}" "$ingest/v1/$stream" || exit 1
  id=$(said 'answer["ids"][0]')
  expect 200 "the supervisor drains" as_operator -X POST "$supervisor/drain/$stream?wait=1" || exit 1
  [ "$(said 'sum(one["stored"] for one in answer["streams"])')" -gt 0 ]
}

# Says in `pause` why the stream is paused; nothing: it is not.
read_pause() {
  expect 200 "the supervisor tells its pauses" as_operator "$supervisor/status"
  pause=$(said "next((json.dumps(one[\"paused\"]) for one in answer[\"streams\"] if one[\"stream\"] == \"$stream\" and one[\"isPaused\"]), \"\")")
}

# Another supervisor may be faster: the one that serves, at a tick. That one proves nothing of this one, so another event is sent.
prove_drain() {
  for _ in 1 2 3; do
    if store_one; then
      echo "ok    the supervisor stores the event in Postgres"
      expect 200 "ingest finds the event in Postgres" with_key "$ingest/v1/$stream/$id"
      return
    fi
    read_pause
    if [ -n "$pause" ]; then
      expect '404|200' "ingest looks for the event in Postgres" with_key "$ingest/v1/$stream/$id"
      echo "UNSEEN whether the supervisor stores the event in Postgres: $stream is paused, $pause"
      return
    fi
  done
  fail "the supervisor stores the event in Postgres: three times the one that serves was faster. Nothing else is known to be wrong: build again"
}

trap finish EXIT
give_tag "$INGEST"
give_tag "$SUPERVISOR"
ingest=$(field "$INGEST" "$tag[0][\"url\"]")
supervisor=$(field "$SUPERVISOR" "$tag[0][\"url\"]")

# An operator's token, for the service's own address: that is the audience of a tagged revision, too.
token=$(bearer "$(gcloud auth print-access-token)" -S --fail -X POST -H 'content-type: application/json' \
  -d "{\"audience\":\"$(field "$SUPERVISOR" 'service["status"]["url"]')\",\"includeEmail\":true}" \
  "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/$OPERATOR:generateIdToken" |
  python3 -c 'import json, sys; print(json.load(sys.stdin)["token"])')

expect 200 "ingest answers" curl -s --max-time 20 "$ingest/health"
expect 401 "ingest wants a key" curl -s --max-time 20 -X POST -d '{}' "$ingest/v1/$stream"
expect 403 "the supervisor refuses strangers" curl -s --max-time 20 "$supervisor/health"
expect 200 "the supervisor answers an operator" as_operator "$supervisor/health"
expect 200 "the supervisor reaches Redis" as_operator "$supervisor/status"
soon counts_letters || fail "the supervisor reaches Postgres: it can't count the letters of ${blind:-any stream}"
echo "ok    the supervisor reaches Postgres"
soon make_key || fail "the supervisor makes a key in Postgres: expected 201, got $got"
echo "ok    the supervisor makes a key in Postgres: 201"
key=$(said 'answer["key"]')
prove_drain

for service in "${!given[@]}"; do echo "$service ${given[$service]}"; done >"$PROVEN"
