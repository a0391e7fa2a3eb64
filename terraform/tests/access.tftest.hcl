# Who may call what, and who may read what.

mock_provider "google" { source = "./tests/mocks/google" }
mock_provider "upstash" { source = "./tests/mocks/upstash" }
mock_provider "neon" { source = "./tests/mocks/neon" }

variables {
  api_keys = {
    app   = { sha256 = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae" }
    phone = { sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", streams = ["visits", "calls"] }
  }
}

run "ingest_is_public_and_the_supervisor_is_not" {
  command = plan

  assert {
    condition     = module.ingest.service.invoker_iam_disabled == true
    error_message = "Clients cannot reach ingest: Cloud Run wants a token of them."
  }

  assert {
    condition     = length(google_cloud_run_v2_service_iam_member.anyone_invokes_ingest) == 0
    error_message = "allUsers is a member, which many organisations refuse."
  }

  assert {
    condition     = module.ingest.service.ingress == "INGRESS_TRAFFIC_ALL" && module.supervisor.service.ingress == "INGRESS_TRAFFIC_ALL"
    error_message = "A service is not reachable at its run.app address; clients, the scheduler and the queue call it there."
  }

  assert {
    condition = alltrue([for binding in [
      google_cloud_run_v2_service_iam_member.scheduler_invokes,
      google_cloud_run_v2_service_iam_member.tasks_invokes,
      google_cloud_run_v2_service_iam_member.operator_invokes,
      google_cloud_run_v2_service_iam_member.build_deploys["supervisor"],
    ] : !contains(["allUsers", "allAuthenticatedUsers"], binding.member) || binding.name != module.supervisor.service.name])
    error_message = "The supervisor is public."
  }

  assert {
    condition     = module.supervisor.service.invoker_iam_disabled == false
    error_message = "Cloud Run does not check who calls the supervisor."
  }
}

run "ingest_is_public_by_a_binding_where_the_check_must_stay_on" {
  command = plan

  variables {
    ingest_public_by_iam = true
  }

  assert {
    condition     = module.ingest.service.invoker_iam_disabled == false && google_cloud_run_v2_service_iam_member.anyone_invokes_ingest[0].member == "allUsers" && google_cloud_run_v2_service_iam_member.anyone_invokes_ingest[0].role == "roles/run.invoker" && google_cloud_run_v2_service_iam_member.anyone_invokes_ingest[0].name == module.ingest.service.name
    error_message = "Clients cannot reach ingest: neither is the check off, nor may allUsers invoke it."
  }

  assert {
    condition     = module.supervisor.service.invoker_iam_disabled == false
    error_message = "Cloud Run does not check who calls the supervisor."
  }
}

run "the_supervisor_is_invoked_by_the_scheduler_and_the_queue" {
  command = plan

  assert {
    condition     = google_cloud_run_v2_service_iam_member.scheduler_invokes.role == "roles/run.invoker" && google_cloud_run_v2_service_iam_member.scheduler_invokes.member == google_service_account.scheduler.member && google_cloud_run_v2_service_iam_member.scheduler_invokes.name == module.supervisor.service.name
    error_message = "The scheduler may not invoke the supervisor."
  }

  assert {
    condition     = google_cloud_run_v2_service_iam_member.tasks_invokes.role == "roles/run.invoker" && google_cloud_run_v2_service_iam_member.tasks_invokes.member == google_service_account.tasks.member && google_cloud_run_v2_service_iam_member.tasks_invokes.name == module.supervisor.service.name
    error_message = "The queue may not invoke the supervisor."
  }

  assert {
    condition     = google_cloud_scheduler_job.drain.http_target[0].oidc_token[0].service_account_email == google_service_account.scheduler.email && google_cloud_scheduler_job.drain.http_target[0].oidc_token[0].audience == module.supervisor.service.uri
    error_message = "The scheduler does not show the supervisor a token of its own account."
  }

  assert {
    condition     = google_cloud_tasks_queue.flush.http_target[0].oidc_token[0].service_account_email == google_service_account.tasks.email && google_cloud_tasks_queue.flush.http_target[0].oidc_token[0].audience == module.supervisor.service.uri
    error_message = "The queue does not show the supervisor a token of its own account."
  }
}

run "each_service_runs_as_itself" {
  command = plan

  assert {
    condition     = module.ingest.service.template[0].service_account == google_service_account.ingest.email && module.supervisor.service.template[0].service_account == google_service_account.supervisor.email
    error_message = "A service does not run as its own service account."
  }

  assert {
    condition     = length(distinct([for account in [google_service_account.ingest, google_service_account.supervisor, google_service_account.scheduler, google_service_account.tasks, google_service_account.operator, google_service_account.build] : account.account_id])) == 6
    error_message = "Two roles share a service account."
  }
}

run "every_secret_is_a_reference" {
  command = plan

  assert {
    condition = toset([for env in module.ingest.service.template[0].containers[0].env : env.name if length(env.value_source) > 0]) == toset([
      "UPSTASH_REDIS_REST_TOKEN", "DATABASE_URL", "INGEST_API_KEYS",
    ])
    error_message = "Ingest's secrets are not exactly the Redis token, the database and the API keys, each by reference."
  }

  assert {
    condition = toset([for env in module.supervisor.service.template[0].containers[0].env : env.name if length(env.value_source) > 0]) == toset([
      "UPSTASH_REDIS_REST_TOKEN", "DATABASE_URL",
    ])
    error_message = "The supervisor's secrets are not exactly the Redis token and the database, each by reference."
  }

  assert {
    condition = alltrue([for env in concat(
      tolist(module.ingest.service.template[0].containers[0].env),
      tolist(module.supervisor.service.template[0].containers[0].env),
    ) : length(env.value_source) == 1 if can(regex("TOKEN|DATABASE|KEYS|SECRET|PASSWORD", env.name))])
    error_message = "A value that sounds like a secret stands in the environment in the clear."
  }

  assert {
    condition = alltrue([for env in concat(
      tolist(module.ingest.service.template[0].containers[0].env),
      tolist(module.supervisor.service.template[0].containers[0].env),
    ) : length(env.value_source) == 0 || try(env.value_source[0].secret_key_ref[0].version, "latest") != "latest"])
    error_message = "A secret's version is not pinned: an old revision would start with a new value."
  }
}

run "the_secrets_of_webhooks_reach_ingest_alone" {
  command = plan

  variables {
    webhook_secrets = { STRIPE_WEBHOOK_SECRET = "whsec_old whsec_new", GITHUB_SECRET = "hush" }
  }

  assert {
    condition = toset([for env in module.ingest.service.template[0].containers[0].env : env.name if length(env.value_source) > 0]) == toset([
      "UPSTASH_REDIS_REST_TOKEN", "DATABASE_URL", "INGEST_API_KEYS", "STRIPE_WEBHOOK_SECRET", "GITHUB_SECRET",
    ])
    error_message = "Ingest does not find the secrets of webhooks, each by reference."
  }

  assert {
    condition     = alltrue([for env in module.supervisor.service.template[0].containers[0].env : !contains(["STRIPE_WEBHOOK_SECRET", "GITHUB_SECRET"], env.name)])
    error_message = "The supervisor has a webhook's secret."
  }

  assert {
    condition     = nonsensitive(google_secret_manager_secret_version.this["webhook-stripe-webhook-secret"].secret_data) == "whsec_old whsec_new"
    error_message = "A webhook's secret is not stored as it was given."
  }

  assert {
    condition     = toset([for name in keys(google_secret_manager_secret_iam_member.reader) : name if strcontains(name, "webhook")]) == toset(["ingest/webhook-stripe-webhook-secret", "ingest/webhook-github-secret"])
    error_message = "A webhook's secret is readable by another than ingest."
  }
}

run "each_reads_only_its_own_secrets" {
  command = plan

  assert {
    condition = toset(keys(google_secret_manager_secret_iam_member.reader)) == toset([
      "ingest/redis-rest-token", "ingest/database-url", "ingest/api-keys",
      "supervisor/redis-rest-token", "supervisor/database-url",
      "build/database-url",
    ])
    error_message = "The readers of secrets are not exactly those that need them."
  }

  assert {
    condition = alltrue([for name, reader in google_secret_manager_secret_iam_member.reader :
      reader.role == "roles/secretmanager.secretAccessor" &&
      reader.secret_id == "spillway-${split("/", name)[1]}" &&
      reader.member == { ingest = google_service_account.ingest.member, supervisor = google_service_account.supervisor.member, build = google_service_account.build.member }[split("/", name)[0]]
    ])
    error_message = "A secret is readable by another than its entry says, or with more than secretAccessor."
  }
}

run "the_api_keys_secret_is_in_the_codes_format" {
  command = plan

  assert {
    condition     = nonsensitive(google_secret_manager_secret_version.this["api-keys"].secret_data) == "app:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae,phone:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08:visits|calls"
    error_message = "INGEST_API_KEYS is not name:sha256-hex[:stream|stream], comma-separated."
  }

  assert {
    condition     = alltrue([for version in google_secret_manager_secret_version.this : version.deletion_policy == "ABANDON"])
    error_message = "Rotating a value would delete the version that an older revision needs to start."
  }
}

run "ingest_may_create_tasks_and_nothing_else" {
  command = plan

  assert {
    condition     = google_cloud_tasks_queue_iam_member.ingest_enqueues.role == "roles/cloudtasks.enqueuer" && google_cloud_tasks_queue_iam_member.ingest_enqueues.member == google_service_account.ingest.member && google_cloud_tasks_queue_iam_member.ingest_enqueues.name == google_cloud_tasks_queue.flush.name
    error_message = "Ingest may not create flush tasks, or may do more with the queue."
  }

  assert {
    condition     = google_service_account_iam_member.ingest_acts_as_tasks.role == "roles/iam.serviceAccountUser" && google_service_account_iam_member.ingest_acts_as_tasks.member == google_service_account.ingest.member && google_service_account_iam_member.ingest_acts_as_tasks.service_account_id == google_service_account.tasks.name
    error_message = "Ingest may not have tasks run as the queue's account, or may act as another."
  }
}

run "the_build_has_what_a_deployment_needs" {
  command = plan

  assert {
    condition     = google_project_iam_member.build_logs.role == "roles/logging.logWriter"
    error_message = "The build has more than logWriter on the whole project."
  }

  assert {
    condition     = google_artifact_registry_repository_iam_member.build_pushes.role == "roles/artifactregistry.writer" && alltrue([for binding in google_cloud_run_v2_service_iam_member.build_deploys : binding.role == "roles/run.developer"]) && alltrue([for binding in google_service_account_iam_member.build_acts_as_service : binding.role == "roles/iam.serviceAccountUser"])
    error_message = "The build's roles are not those of pushing an image and deploying two services."
  }

  assert {
    condition     = google_service_account_iam_member.build_smokes_as_operator.role == "roles/iam.serviceAccountOpenIdTokenCreator" && google_service_account_iam_member.build_smokes_as_operator.service_account_id == google_service_account.operator.name
    error_message = "The smoke test cannot get the operators' identity token, or can get more than that."
  }

  assert {
    condition     = google_storage_bucket.sources.public_access_prevention == "enforced" && google_storage_bucket_iam_member.build_reads_sources.role == "roles/storage.objectViewer"
    error_message = "The sources' bucket may be public, or the build may write to it."
  }
}

run "operators_have_an_account_of_their_own" {
  command = plan

  variables {
    operators = ["user:ann@example.com"]
  }

  assert {
    condition     = google_service_account_iam_member.operator_impersonates["user:ann@example.com"].service_account_id == google_service_account.operator.name && google_service_account_iam_member.operator_impersonates["user:ann@example.com"].role == "roles/iam.serviceAccountTokenCreator"
    error_message = "An operator gets another account's tokens than the operators'."
  }

  assert {
    condition     = google_cloud_run_v2_service_iam_member.operator_invokes.role == "roles/run.invoker" && google_cloud_run_v2_service_iam_member.operator_invokes.member == google_service_account.operator.member && google_cloud_run_v2_service_iam_member.operator_invokes.name == module.supervisor.service.name
    error_message = "Operators may not invoke the supervisor."
  }

  assert {
    condition     = output.operator_service_account == google_service_account.operator.email
    error_message = "spillway --prod is not told whom to impersonate."
  }
}

run "the_scheduler_and_the_queue_may_only_drain" {
  command = plan

  assert {
    condition     = local.supervisor_env.DRAIN_CALLERS == "${google_service_account.scheduler.email},${google_service_account.tasks.email}"
    error_message = "The supervisor does not know who may only drain."
  }

  assert {
    condition     = !strcontains(local.supervisor_env.DRAIN_CALLERS, google_service_account.operator.email)
    error_message = "Operators may only drain."
  }
}

run "a_push_deploys_only_where_a_repository_is_connected" {
  command = plan

  assert {
    condition     = length(google_cloudbuild_trigger.push) == 0
    error_message = "There is a trigger without a repository."
  }
}

run "a_connected_repository_has_a_trigger" {
  command = plan

  variables {
    build_repository = "projects/my-project/locations/us-central1/connections/github/repositories/me-spillway"
  }

  assert {
    condition     = google_cloudbuild_trigger.push[0].filename == "cloudbuild.yaml" && google_cloudbuild_trigger.push[0].service_account == google_service_account.build.id && google_cloudbuild_trigger.push[0].repository_event_config[0].push[0].branch == "^main$"
    error_message = "The trigger does not run cloudbuild.yaml as the build's account on pushes to main."
  }

  assert {
    condition     = google_cloudbuild_trigger.push[0].location == "us-central1"
    error_message = "The trigger is in another region than its builds."
  }

  assert {
    condition     = google_cloudbuild_trigger.push[0].substitutions == tomap(local.build_substitutions)
    error_message = "The trigger and the deploy command do not pass the same substitutions."
  }
}

run "builds_run_where_a_new_project_may_build" {
  command = plan

  variables {
    region = "us-east4" # in which a new project may not build
  }

  assert {
    condition     = strcontains(output.deploy_command, " --region=us-central1 ") && google_storage_bucket.sources.location == "us-central1"
    error_message = "A build is started in a region that Google keeps from new projects."
  }

  assert {
    condition     = strcontains(output.deploy_command, "_REGION=us-east4") && module.ingest.service.location == "us-east4" && google_artifact_registry_repository.this.location == "us-east4"
    error_message = "The build's region has become that of the services."
  }
}

run "builds_run_where_they_are_told_to" {
  command = plan

  variables {
    build_region     = "europe-west1"
    build_repository = "projects/my-project/locations/europe-west1/connections/github/repositories/me-spillway"
  }

  assert {
    condition     = strcontains(output.deploy_command, " --region=europe-west1 ") && google_cloudbuild_trigger.push[0].location == "europe-west1"
    error_message = "build_region does not say where builds run."
  }
}
