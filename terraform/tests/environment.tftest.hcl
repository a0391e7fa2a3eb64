# What each service finds in its environment. That the names are those of lib/config.ts is checked by
# test/unit/terraform-environment.test.ts.

mock_provider "google" { source = "./tests/mocks/google" }
mock_provider "upstash" { source = "./tests/mocks/upstash" }
mock_provider "neon" { source = "./tests/mocks/neon" }

variables {
  drain_paused = ["visits", "calls"]
  cors_origins = ["https://a.example.com", "https://b.example.com"]
}

run "the_services_get_what_environment_tf_says" {
  command = plan

  assert {
    condition     = toset([for env in module.ingest.service.template[0].containers[0].env : env.name]) == toset([for name in keys(merge(local.common_env, local.ingest_env, local.ingest_secrets)) : name if !contains(local.unset, name)])
    error_message = "Ingest's environment is not what environment.tf says."
  }

  assert {
    condition     = toset([for env in module.supervisor.service.template[0].containers[0].env : env.name]) == toset([for name in keys(merge(local.common_env, local.supervisor_env, local.supervisor_secrets)) : name if !contains(local.unset, name)])
    error_message = "The supervisor's environment is not what environment.tf says."
  }

  assert {
    condition     = length(setintersection(toset(local.deliberately_default), toset(concat(keys(local.common_env), keys(local.ingest_env), keys(local.supervisor_env), keys(local.ingest_secrets), keys(local.supervisor_secrets))))) == 0
    error_message = "A name is both set and left to its default."
  }
}

run "an_eager_flush_knows_its_queue_and_its_supervisor" {
  command = plan

  assert {
    condition     = local.ingest_env.FLUSH_TRIGGER == "tasks" && local.ingest_env.TASKS_QUEUE == google_cloud_tasks_queue.flush.id && local.ingest_env.SUPERVISOR_URL == module.supervisor.service.uri
    error_message = "Ingest does not know where to send its flushes."
  }
}

run "lists_are_in_the_codes_format" {
  command = plan

  assert {
    condition     = local.supervisor_env.DRAIN_PAUSED == "visits|calls" && local.common_env.CORS_ORIGINS == "https://a.example.com,https://b.example.com"
    error_message = "DRAIN_PAUSED is not a|b, or CORS_ORIGINS is not comma-separated."
  }
}

run "empty_values_are_not_set" {
  command = plan

  variables {
    drain_paused = []
    cors_origins = []
  }

  assert {
    condition     = length([for env in concat(tolist(module.ingest.service.template[0].containers[0].env), tolist(module.supervisor.service.template[0].containers[0].env)) : env if length(env.value_source) == 0 && env.value == ""]) == 0
    error_message = "An empty value is set."
  }
}

run "the_curl_line_posts_no_event_unless_it_is_told_one" {
  command = plan

  assert {
    condition     = output.curl == "# To post an event instead, set curl_example in terraform.tfvars.\ncurl -i https://made.run.app/health"
    error_message = "Without curl_example, the output curl does not ask for /health."
  }
}

run "the_curl_line_posts_the_event_of_the_stream_that_it_is_told" {
  command = plan

  variables {
    curl_example = {
      stream = "visits"
      event  = { page = "it's", seconds = 3, tags = ["a", { b = true }] }
    }
  }

  assert {
    condition     = output.curl == "curl -i https://made.run.app/v1/visits \\\n  -H \"authorization: Bearer $KEY\" -H \"content-type: application/json\" \\\n  -d '{\"page\":\"it'\\''s\",\"seconds\":3,\"tags\":[\"a\",{\"b\":true}]}'"
    error_message = "The output curl is not a line that a shell can run."
  }
}
