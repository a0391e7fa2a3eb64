# Sourced by the other scripts of this folder, which run in steps of cloudbuild.yaml. They need PROJECT, REGION and IMAGE.

# Reads one thing of a service: field SERVICE EXPRESSION, a Python expression of `service`, which is the service as JSON.
field() {
  gcloud run services describe "$1" --project="$PROJECT" --region="$REGION" --format=json |
    python3 -c 'import json, sys; service = json.load(sys.stdin); print(eval(sys.argv[1]))' "$2"
}

# The latest revision, if it has this build's image. Another build may have made a newer one meanwhile: then this build has proven nothing
# about the latest revision, and must not give it traffic. terraform apply keeps the image, so a revision that it has made meanwhile counts
# as this build's: the smoke test proves it like any other, and whichever comes after the smoke test is told by its name (move-traffic.sh).
candidate() {
  local image
  image=$(field "$1" 'service["spec"]["template"]["spec"]["containers"][0]["image"]')
  if [ "$image" != "$IMAGE" ]; then
    echo "FAILED $1 was deployed by another build meanwhile: its image is $image. Build again." >&2
    return 1
  fi
  field "$1" 'service["status"]["latestCreatedRevisionName"]'
}

change_traffic() {
  local service=$1
  shift
  gcloud run services update-traffic "$service" --project="$PROJECT" --region="$REGION" --quiet "$@"
}
