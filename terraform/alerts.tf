# Ten alerts, each for something that a person has to do, each with its playbook in docs/operations.md.
#
# Where one log entry is reason enough, the alert matches the log: no window can miss a single dead letter, and the
# incident lives as long as such entries come. Where the reason is something that did not happen, or a pace, it asks
# PromQL.

locals {
  log_alerts = {
    oldest-event-is-old = {
      name     = "Oldest event older than 5 minutes"
      severity = "CRITICAL"
      filter   = "${local.drained} AND jsonPayload.oldestAgeSeconds>300"
      labels   = {}
      summary  = "Events were acknowledged more than five minutes ago and are not in Postgres yet."
    }
    dead-letter = {
      name     = "Dead letter"
      severity = "ERROR"
      filter   = "${local.from_supervisor} AND jsonPayload.event=\"event.buried\""
      labels   = { stream = "EXTRACT(jsonPayload.stream)", sqlstate = "EXTRACT(jsonPayload.sqlstate)" }
      summary  = "Postgres refused an event of stream $${log.extracted_label.stream} (SQLSTATE $${log.extracted_label.sqlstate}). It is kept in dead_letters."
    }
    stream-misconfigured = {
      name     = "Stream misconfigured"
      severity = "ERROR"
      # letters: what is held is the next alert's
      filter  = "${local.from_both} AND jsonPayload.event=\"store.misconfigured\" AND NOT jsonPayload.letters:*"
      labels  = { stream = "EXTRACT(jsonPayload.stream)", sqlstate = "EXTRACT(jsonPayload.sqlstate)", reason = "EXTRACT(jsonPayload.reason)" }
      summary = "Postgres refuses events of stream $${log.extracted_label.stream}, and not for what is in them (SQLSTATE $${log.extracted_label.sqlstate}): $${log.extracted_label.reason}. They are kept: the table or the settings are at fault."
    }
    held-without-proof = {
      name     = "Events held without proof"
      severity = "ERROR"
      filter   = "${local.from_supervisor} AND jsonPayload.event=\"store.misconfigured\" AND jsonPayload.heldForSeconds>600"
      labels   = { stream = "EXTRACT(jsonPayload.stream)", sqlstate = "EXTRACT(jsonPayload.sqlstate)", reason = "EXTRACT(jsonPayload.reason)" }
      summary  = "Postgres has refused events of stream $${log.extracted_label.stream} (SQLSTATE $${log.extracted_label.sqlstate}) for more than ten minutes, and took no other event meanwhile: $${log.extracted_label.reason}. They are kept and tried again: the table is probably at fault."
    }
    shedding = {
      name     = "Shedding"
      severity = "CRITICAL"
      # not ingest.counted's "shed": a client over its key's rate counts there too
      filter  = "${local.from_ingest} AND jsonPayload.event=\"shedding.started\""
      labels  = { stream = "EXTRACT(jsonPayload.stream)" }
      summary = "Stream $${log.extracted_label.stream} is over its high-water mark. Clients get 503 with Retry-After."
    }
    write-through-active = {
      name     = "Write-through active"
      severity = "ERROR"
      # one probe every 30 s keeps the incident open
      filter  = "${local.from_ingest} AND jsonPayload.event=(\"breaker.opened\" OR \"breaker.probed\")"
      labels  = {}
      summary = "Ingest cannot reach Redis and writes to Postgres itself."
    }
    buffer-nearly-full = {
      name     = "Depth near the high-water mark"
      severity = "WARNING"
      filter   = "${local.from_ingest} AND jsonPayload.event=\"buffer.deep\""
      labels   = { stream = "EXTRACT(jsonPayload.stream)" }
      summary  = "A partition of stream $${log.extracted_label.stream} passed half of BUFFER_MAX_BYTES. Past the whole, ingest sheds."
    }
  }

  # A tick a minute: ten are due in ten minutes, and a metric out of the log may be four minutes late. `or vector(0)`: no
  # data at all is no drain either.
  query_alerts = {
    no-successful-drain = {
      name     = "No successful drain for 10 minutes"
      severity = "CRITICAL"
      query    = "(sum(increase(${local.prom.drains}{monitored_resource=\"cloud_run_revision\",outcome!~\"unavailable|misconfigured\"}[10m])) or vector(0)) < 1"
      summary  = "No drain call has ended well for ten minutes. Events are buffered, and nothing reaches Postgres."
    }

    # One burst is the sender's affair. A key that is throttled in five of ten minutes needs another rate, or its sender another pace.
    key-throttled = {
      name     = "Key throttled"
      severity = "WARNING"
      query    = "count_over_time((sum by (key) (increase(${local.prom.throttled}_count{monitored_resource=\"cloud_run_revision\"}[1m])) > 0)[10m:1m]) >= 5"
      summary  = "A key was over its rate in five of the last ten minutes: its sender gets 429, and nothing of these requests is kept."
    }

    # Upstash reports no commands, so this is an upper estimate from what Spillway promises: a push a request, 30
    # commands for a drain that finds little, a quarter of one for each event it stores, 1 for an idle tick.
    upstash-quota-nearly-used = {
      name     = "Upstash's budget or monthly quota nearly used"
      severity = "WARNING"
      query = join(" ", [
        "30 * (",
        "(sum(increase(run_googleapis_com:request_count{monitored_resource=\"cloud_run_revision\",service_name=\"${module.ingest.service.name}\",response_code_class=\"2xx\"}[1d])) or vector(0))",
        "+ (sum(increase(${local.prom.drains}{monitored_resource=\"cloud_run_revision\"}[1d])) or vector(0))",
        "+ 30 * (sum(increase(${local.prom.busy_drains}{monitored_resource=\"cloud_run_revision\"}[1d])) or vector(0))",
        "+ 0.25 * (sum(increase(${local.prom.stored}_sum{monitored_resource=\"cloud_run_revision\"}[1d])) or vector(0))",
        ") > ${floor(local.redis_monthly_commands * 0.8)}",
        "or (sum(increase(${local.prom.quota_exhausted}{monitored_resource=\"cloud_run_revision\"}[10m])) or vector(0)) > 0",
      ])
      summary = "At the pace of the last day a month takes more than 80 % of the ${local.redis_monthly_commands} commands that Upstash allows, or it has refused one. Past that it throttles."
    }
  }

  # A link where the page has an address, else the words to look for.
  playbooks = { for anchor in concat(keys(local.log_alerts), keys(local.query_alerts)) :
    anchor => var.operations_url == null ? "Playbook: docs/operations.md, #${anchor}" : "[Playbook](${var.operations_url}#${anchor})"
  }

  channels = concat([google_monitoring_notification_channel.email.id], var.notification_channels)
}

resource "google_monitoring_notification_channel" "email" {
  project      = local.project
  display_name = "${var.name} on call"
  type         = "email"
  labels       = { email_address = var.alert_email }
}

resource "google_monitoring_alert_policy" "log" {
  for_each = local.log_alerts

  project               = local.project
  display_name          = "${var.name}: ${each.value.name}"
  severity              = each.value.severity
  combiner              = "OR"
  notification_channels = local.channels

  conditions {
    display_name = each.value.name
    condition_matched_log {
      filter           = each.value.filter
      label_extractors = each.value.labels
    }
  }

  alert_strategy {
    auto_close = "1800s" # the shortest there is
    notification_rate_limit {
      period = "300s"
    }
  }

  documentation {
    mime_type = "text/markdown"
    content   = "${each.value.summary}\n\n${local.playbooks[each.key]}"
  }
}

resource "google_monitoring_alert_policy" "query" {
  # A Redis over TCP has no commands to be counted.
  for_each = { for anchor, alert in local.query_alerts : anchor => alert if anchor != "upstash-quota-nearly-used" || !local.redis_is_over_tcp }

  project               = local.project
  display_name          = "${var.name}: ${each.value.name}"
  severity              = each.value.severity
  combiner              = "OR"
  notification_channels = local.channels

  conditions {
    display_name = each.value.name
    condition_prometheus_query_language {
      query                     = each.value.query
      duration                  = "0s"
      evaluation_interval       = "60s"
      disable_metric_validation = true # the metrics exist from their first point on
    }
  }

  alert_strategy {
    auto_close = "1800s"
  }

  documentation {
    mime_type = "text/markdown"
    content   = "${each.value.summary}\n\n${local.playbooks[each.key]}"
  }

  depends_on = [google_logging_metric.value, google_logging_metric.event]
}
