# The tick, the flush, and the times that have to fit into one another.

mock_provider "google" { source = "./tests/mocks/google" }
mock_provider "upstash" { source = "./tests/mocks/upstash" }
mock_provider "neon" { source = "./tests/mocks/neon" }

run "the_tick" {
  command = plan

  assert {
    condition     = google_cloud_scheduler_job.drain.schedule == "* * * * *" && google_cloud_scheduler_job.drain.http_target[0].http_method == "POST" && google_cloud_scheduler_job.drain.http_target[0].uri == "${module.supervisor.service.uri}/drain"
    error_message = "The scheduler does not POST /drain every minute."
  }

  assert {
    condition     = google_cloud_scheduler_job.drain.retry_config[0].retry_count == 0
    error_message = "The scheduler tries a failed tick again, though the next minute is the retry."
  }
}

run "deadlines_nest" {
  command = plan

  assert {
    condition     = tonumber(trimsuffix(module.supervisor.service.template[0].timeout, "s")) * 1000 >= var.drain_deadline_ms + 10000
    error_message = "Cloud Run would cut a drain off before its deadline and the last insert."
  }

  assert {
    condition     = tonumber(trimsuffix(google_cloud_scheduler_job.drain.attempt_deadline, "s")) * 1000 > var.drain_deadline_ms
    error_message = "The scheduler would give a drain up before the drain's own deadline."
  }

  assert {
    condition     = tonumber(trimsuffix(google_cloud_scheduler_job.drain.attempt_deadline, "s")) > tonumber(trimsuffix(module.supervisor.service.template[0].timeout, "s"))
    error_message = "The scheduler would give up before Cloud Run does, and could call again while the first call still runs."
  }
}

run "deadlines_follow_the_drains" {
  command = plan

  variables {
    drain_deadline_ms = 20500
  }

  assert {
    condition     = module.supervisor.service.template[0].timeout == "51s" && google_cloud_scheduler_job.drain.attempt_deadline == "61s"
    error_message = "The supervisor's timeout and the scheduler's deadline do not follow from drain_deadline_ms."
  }
}

run "a_drain_longer_than_a_minute_is_pointed_out" {
  command = plan

  variables {
    drain_deadline_ms = 120000
  }

  expect_failures = [check.ticks_do_not_overlap]
}

run "one_supervisor" {
  command = plan

  assert {
    condition     = module.supervisor.service.template[0].scaling[0].max_instance_count == 1
    error_message = "DRAIN_CONCURRENCY bounds the database's connections only where there is one supervisor."
  }

  assert {
    condition     = module.supervisor.service.template[0].max_instance_request_concurrency > google_cloud_tasks_queue.flush.rate_limits[0].max_concurrent_dispatches
    error_message = "Flushes can fill the supervisor, so that the tick waits."
  }
}

run "the_queue" {
  command = plan

  assert {
    condition     = google_cloud_tasks_queue.flush.retry_config[0].max_attempts == 1
    error_message = "The queue tries a 503 again."
  }

  assert {
    condition     = google_cloud_tasks_queue.flush.rate_limits[0].max_dispatches_per_second <= 500 && google_cloud_tasks_queue.flush.rate_limits[0].max_concurrent_dispatches <= 64
    error_message = "The queue's dispatches are not capped."
  }
}

run "idle_costs_nearly_nothing" {
  command = plan

  assert {
    condition     = module.ingest.service.template[0].scaling[0].min_instance_count == 0 && module.supervisor.service.template[0].scaling[0].min_instance_count == 0
    error_message = "An idle system keeps instances."
  }

  assert {
    condition     = module.ingest.service.template[0].containers[0].resources[0].cpu_idle && module.supervisor.service.template[0].containers[0].resources[0].cpu_idle
    error_message = "A service is billed by instance, not by request."
  }
}

run "one_image_two_targets" {
  command = plan

  assert {
    condition     = module.ingest.service.template[0].containers[0].args == tolist(["--target=ingest"]) && module.supervisor.service.template[0].containers[0].args == tolist(["--target=supervisor"])
    error_message = "A service does not start the function that it is named for."
  }

  assert {
    condition = alltrue([for service in [module.ingest.service, module.supervisor.service] :
      service.template[0].containers[0].startup_probe[0].http_get[0].path == "/health" &&
      service.template[0].containers[0].liveness_probe[0].http_get[0].path == "/health"
    ])
    error_message = "A service's probes do not ask /health."
  }
}
