# An installation of an earlier release keeps its two services: they are moved in the state, not destroyed and made again.

mock_provider "google" {}
mock_provider "upstash" {}
mock_provider "neon" {}

run "an_earlier_release" {
  state_key = "an installation"

  module {
    source = "./tests/before"
  }
}

run "this_release_finds_its_services" {
  command   = plan
  state_key = "an installation"

  # Of a service that is made again, Google's own id is not known before it is made.
  assert {
    condition     = [module.ingest.service.uid, module.supervisor.service.uid] == run.an_earlier_release.uids
    error_message = "The services are made again."
  }
}
