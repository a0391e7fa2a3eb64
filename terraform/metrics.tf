# Log-based metrics: numbers out of the structured log events that docs/operations.md lists. A log entry becomes a
# point of a distribution (its value) or of a counter (its occurrence).

locals {
  from_ingest     = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"${module.ingest.service.name}\""
  from_supervisor = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"${module.supervisor.service.name}\""
  from_both       = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=(\"${module.ingest.service.name}\" OR \"${module.supervisor.service.name}\")"

  counted = "${local.from_ingest} AND jsonPayload.event=\"ingest.counted\""
  drained = "${local.from_supervisor} AND jsonPayload.event=\"drain.finished\""

  # Values: the sum over a window is the number of events, the mean is the depth, age or duration.
  value_metrics = {
    accepted       = { filter = local.counted, field = "accepted", unit = "{event}", labels = ["stream"], description = "Events that ingest accepted" }
    rejected       = { filter = local.counted, field = "rejected", unit = "{event}", labels = ["stream"], description = "Events that ingest rejected as invalid" }
    shed           = { filter = local.counted, field = "shed", unit = "{event}", labels = ["stream"], description = "Events that ingest shed: the buffer is full, nothing answers (503), or the key is over its rate (429)" }
    throttled      = { filter = "${local.from_ingest} AND jsonPayload.event=\"key.throttled\"", field = "requests", unit = "{request}", labels = ["key"], description = "Requests of a key that were answered 429" }
    stored_through = { filter = local.counted, field = "storedThrough", unit = "{event}", labels = ["stream"], description = "Events of buffered streams that ingest stored itself" }
    stored         = { filter = local.drained, field = "stored", unit = "{event}", labels = [], description = "Events that drains stored" }
    dead           = { filter = local.drained, field = "dead", unit = "{event}", labels = [], description = "Events that drains buried" }
    held           = { filter = local.drained, field = "held", unit = "{event}", labels = [], description = "Events that drains set aside without proof, to be tried again" }
    depth          = { filter = local.drained, field = "depth", unit = "{event}", labels = [], description = "Events that a drain left behind" }
    oldest_age     = { filter = local.drained, field = "oldestAgeSeconds", unit = "s", labels = [], description = "Age of the oldest event that a drain met" }
    drain_duration = { filter = local.drained, field = "durationMs", unit = "ms", labels = ["outcome"], description = "How long a drain call took" }
  }

  # Occurrences.
  event_metrics = {
    drains          = { filter = local.drained, labels = ["outcome"], description = "Drain calls, by outcome" }
    busy_drains     = { filter = "${local.drained} AND (jsonPayload.stored>0 OR jsonPayload.dead>0 OR jsonPayload.held>0)", labels = [], description = "Drain calls that found something" }
    burials         = { filter = "${local.from_supervisor} AND jsonPayload.event=\"event.buried\"", labels = ["stream", "sqlstate"], description = "Burials: events that became dead letters" }
    crashes         = { filter = "${local.from_supervisor} AND jsonPayload.event=\"claim.recovered\"", labels = ["stream"], description = "Batches and envelopes that were taken up again after a crash" }
    misconfigured   = { filter = "${local.from_both} AND jsonPayload.event=\"store.misconfigured\"", labels = ["stream", "sqlstate"], description = "Refusals of Postgres that the table or the settings are to blame for" }
    breaker         = { filter = "${local.from_ingest} AND jsonPayload.event=(\"breaker.opened\" OR \"breaker.probed\" OR \"breaker.closed\")", labels = ["event"], description = "The breaker's changes of state" }
    buffer_deep     = { filter = "${local.from_ingest} AND jsonPayload.event=\"buffer.deep\"", labels = ["stream"], description = "Partitions that passed half of the high-water mark" }
    quota_exhausted = { filter = "${local.from_both} AND jsonPayload.event=\"quota.exhausted\"", labels = [], description = "Upstash refused because the quota or the budget is used up" }
    flush_failed    = { filter = "${local.from_ingest} AND jsonPayload.event=\"flush.failed\"", labels = [], description = "Eager flushes that were not sent" }
    errors          = { filter = "${local.from_both} AND severity>=ERROR AND NOT logName:\"run.googleapis.com%2Frequests\"", labels = [], description = "Log entries of severity ERROR and above, without Cloud Run's own log of requests" }
  }

  label_descriptions = {
    stream   = "The event type"
    outcome  = "The worst outcome of the call's streams"
    event    = "The log event's name"
    sqlstate = "What Postgres said; absent where the event killed its drainer"
    key      = "The API key's name"
  }

  # How PromQL calls them.
  prom = { for name in concat(keys(local.value_metrics), keys(local.event_metrics)) :
    name => "logging_googleapis_com:user_${replace(var.name, "-", "_")}_${name}"
  }
}

resource "google_logging_metric" "value" {
  for_each = local.value_metrics

  project         = local.project
  name            = "${var.name}/${each.key}"
  description     = each.value.description
  filter          = each.value.filter
  value_extractor = "EXTRACT(jsonPayload.${each.value.field})"

  label_extractors = { for label in each.value.labels : label => "EXTRACT(jsonPayload.${label})" }

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "DISTRIBUTION"
    unit        = each.value.unit

    dynamic "labels" {
      for_each = each.value.labels
      content {
        key         = labels.value
        value_type  = "STRING"
        description = local.label_descriptions[labels.value]
      }
    }
  }

  bucket_options {
    exponential_buckets {
      num_finite_buckets = 40
      growth_factor      = 2
      scale              = 1
    }
  }
}

resource "google_logging_metric" "event" {
  for_each = local.event_metrics

  project     = local.project
  name        = "${var.name}/${each.key}"
  description = each.value.description
  filter      = each.value.filter

  label_extractors = { for label in each.value.labels : label => "EXTRACT(jsonPayload.${label})" }

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
    unit        = "1"

    dynamic "labels" {
      for_each = each.value.labels
      content {
        key         = labels.value
        value_type  = "STRING"
        description = local.label_descriptions[labels.value]
      }
    }
  }
}
