# Every signal that an operator needs is there, and every alert leads to its playbook.

mock_provider "google" { source = "./tests/mocks/google" }
mock_provider "upstash" { source = "./tests/mocks/upstash" }
mock_provider "neon" { source = "./tests/mocks/neon" }

variables {
  operations_url = "https://example.com/operations.md"
}

run "the_metrics" {
  command = plan

  assert {
    condition     = toset(keys(google_logging_metric.value)) == toset(["accepted", "rejected", "shed", "throttled", "stored_through", "stored", "dead", "held", "depth", "oldest_age", "drain_duration"])
    error_message = "A value that operators watch has no metric."
  }

  assert {
    condition = { for name, metric in google_logging_metric.value : name => metric.value_extractor } == {
      accepted       = "EXTRACT(jsonPayload.accepted)"
      rejected       = "EXTRACT(jsonPayload.rejected)"
      shed           = "EXTRACT(jsonPayload.shed)"
      throttled      = "EXTRACT(jsonPayload.requests)"
      stored_through = "EXTRACT(jsonPayload.storedThrough)"
      stored         = "EXTRACT(jsonPayload.stored)"
      dead           = "EXTRACT(jsonPayload.dead)"
      held           = "EXTRACT(jsonPayload.held)"
      depth          = "EXTRACT(jsonPayload.depth)"
      oldest_age     = "EXTRACT(jsonPayload.oldestAgeSeconds)"
      drain_duration = "EXTRACT(jsonPayload.durationMs)"
    }
    error_message = "A metric reads another field than the log event has."
  }

  assert {
    condition     = alltrue([for name in ["accepted", "rejected", "shed", "stored_through"] : strcontains(google_logging_metric.value[name].filter, "jsonPayload.event=\"ingest.counted\"")]) && alltrue([for name in ["stored", "dead", "held", "depth", "oldest_age", "drain_duration"] : strcontains(google_logging_metric.value[name].filter, "jsonPayload.event=\"drain.finished\"")])
    error_message = "A metric reads another log event than the one that holds its field."
  }

  assert {
    condition     = alltrue([for event in ["breaker.opened", "breaker.probed", "breaker.closed"] : strcontains(google_logging_metric.event["breaker"].filter, event)])
    error_message = "The breaker's state cannot be told from its metric."
  }

  assert {
    condition     = strcontains(google_logging_metric.event["crashes"].filter, "jsonPayload.event=\"claim.recovered\"") && strcontains(google_logging_metric.event["burials"].filter, "jsonPayload.event=\"event.buried\"") && strcontains(google_logging_metric.event["misconfigured"].filter, "jsonPayload.event=\"store.misconfigured\"") && strcontains(google_logging_metric.value["throttled"].filter, "jsonPayload.event=\"key.throttled\"")
    error_message = "A crash, a burial, a refusal or a throttled key is not counted."
  }

  assert {
    condition     = strcontains(google_logging_metric.event["errors"].filter, "NOT logName:\"run.googleapis.com%2Frequests\"")
    error_message = "Each 503 that Cloud Run writes into its log of requests counts as an error of ours."
  }
}

run "the_alerts" {
  command = plan

  assert {
    condition = toset(concat(keys(google_monitoring_alert_policy.log), keys(google_monitoring_alert_policy.query))) == toset([
      "oldest-event-is-old", "dead-letter", "stream-misconfigured", "held-without-proof", "shedding", "no-successful-drain",
      "write-through-active", "buffer-nearly-full", "key-throttled", "upstash-quota-nearly-used",
    ])
    error_message = "The alerts are not the ten that page for a person's reason."
  }

  assert {
    condition     = alltrue([for anchor, policy in merge(google_monitoring_alert_policy.log, google_monitoring_alert_policy.query) : strcontains(policy.documentation[0].content, "(https://example.com/operations.md#${anchor})")])
    error_message = "An alert does not link its playbook."
  }

  assert {
    condition     = alltrue([for policy in merge(google_monitoring_alert_policy.log, google_monitoring_alert_policy.query) : contains(policy.notification_channels, google_monitoring_notification_channel.email.id)]) && google_monitoring_notification_channel.email.labels.email_address == "oncall@example.com"
    error_message = "An alert reaches nobody."
  }

  assert {
    condition     = strcontains(google_monitoring_alert_policy.log["oldest-event-is-old"].conditions[0].condition_matched_log[0].filter, "jsonPayload.oldestAgeSeconds>300")
    error_message = "The alert on the oldest event is not at five minutes."
  }

  assert {
    condition     = strcontains(google_monitoring_alert_policy.query["no-successful-drain"].conditions[0].condition_prometheus_query_language[0].query, "[10m]") && strcontains(google_monitoring_alert_policy.query["no-successful-drain"].conditions[0].condition_prometheus_query_language[0].query, "or vector(0)")
    error_message = "The alert on drains is not over ten minutes (metrics out of the log are up to four late), or is silent where there is no data."
  }

  assert {
    condition     = strcontains(google_monitoring_alert_policy.query["upstash-quota-nearly-used"].conditions[0].condition_prometheus_query_language[0].query, "> 200000000 or")
    error_message = "The alert on the quota is not at 80 % of what $500 buys, 250 million commands."
  }

  assert {
    condition     = strcontains(google_monitoring_alert_policy.query["no-successful-drain"].conditions[0].condition_prometheus_query_language[0].query, "logging_googleapis_com:user_spillway_drains{")
    error_message = "The alert on drains asks for another metric than ours."
  }

  assert {
    condition = { for anchor, policy in google_monitoring_alert_policy.log : anchor => join(" ", regexall("[a-z]+\\.(?:opened|probed|buried|misconfigured|started|deep|finished|counted)", policy.conditions[0].condition_matched_log[0].filter)) } == {
      oldest-event-is-old  = "drain.finished"
      dead-letter          = "event.buried"
      held-without-proof   = "store.misconfigured"
      stream-misconfigured = "store.misconfigured"
      shedding             = "shedding.started"
      write-through-active = "breaker.opened breaker.probed"
      buffer-nearly-full   = "buffer.deep"
    }
    error_message = "An alert matches other log events than those of its reason."
  }
}

run "an_alert_says_which_table_and_which_column" {
  command = plan

  # The reason names them: lib/store/say-stopped.ts.
  assert {
    condition = alltrue([for anchor in ["stream-misconfigured", "held-without-proof"] :
      google_monitoring_alert_policy.log[anchor].conditions[0].condition_matched_log[0].label_extractors["reason"] == "EXTRACT(jsonPayload.reason)" &&
      strcontains(google_monitoring_alert_policy.log[anchor].documentation[0].content, "$${log.extracted_label.reason}")
    ])
    error_message = "Whoever is called is not told why Postgres refuses the stream."
  }
}

run "an_alert_links_no_page_that_is_not_known" {
  command = plan

  variables {
    operations_url = null
  }

  assert {
    condition = alltrue([for policy in concat(values(google_monitoring_alert_policy.log), values(google_monitoring_alert_policy.query)) :
      !strcontains(policy.documentation[0].content, "](") && strcontains(policy.documentation[0].content, "Playbook: docs/operations.md, #")
    ])
    error_message = "An alert has a dead link, or does not say where its playbook is."
  }
}

run "the_dashboard" {
  command = plan

  assert {
    condition = alltrue([for name in ["accepted", "rejected", "shed", "stored_through", "stored", "dead", "held", "depth", "oldest_age", "drain_duration", "breaker", "burials", "crashes", "misconfigured", "throttled"] :
      strcontains(google_monitoring_dashboard.this.dashboard_json, "logging_googleapis_com:user_spillway_${name}")
    ])
    error_message = "The dashboard leaves a signal out."
  }
  # Cloud Monitoring drops these, so they would be a change in every plan.
  assert {
    condition     = length(regexall(":(0|\"\"|null|\\[\\]|\\{\\})[,}]", google_monitoring_dashboard.this.dashboard_json)) == 0
    error_message = "The dashboard says a zero, an empty text or nothing."
  }

  assert {
    condition     = [for tile in jsondecode(google_monitoring_dashboard.this.dashboard_json).mosaicLayout.tiles : [try(tile.xPos, 0), try(tile.yPos, 0)]] == [for index in range(length(local.tiles)) : [index % 2 * 6, floor(index / 2) * 4]]
    error_message = "Tiles of the dashboard lie upon each other."
  }
}
