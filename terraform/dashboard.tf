# The dashboard: from the door to the table, left to right and top to bottom.
#
# Cloud Monitoring drops a zero and an empty text, and Terraform would then find a change in every plan. So neither is sent.

locals {
  revision = "monitored_resource=\"cloud_run_revision\""

  # Events a second, by stream where there is one.
  rate = { for name in ["accepted", "rejected", "shed", "stored_through", "stored", "dead", "held"] :
    name => "sum(rate(${local.prom[name]}_sum{${local.revision}}[$${__interval}]))"
  }
  mean = { for name in ["depth", "oldest_age"] :
    name => "sum(increase(${local.prom[name]}_sum{${local.revision}}[$${__interval}])) / sum(increase(${local.prom[name]}_count{${local.revision}}[$${__interval}]))"
  }

  tiles = [
    { title = "Events a second: accepted, stored, stored through", unit = "1/s", lines = {
      accepted = local.rate.accepted, stored = local.rate.stored, "stored through" = local.rate.stored_through
    } },
    { title = "Events a second: rejected, shed, held, dead", unit = "1/s", lines = {
      rejected = local.rate.rejected, shed = local.rate.shed, held = local.rate.held, dead = local.rate.dead
    } },
    { title = "Depth: events that drains left behind (mean)", unit = "1", lines = { depth = local.mean.depth } },
    { title = "Age of the oldest event that drains met (mean)", unit = "s", lines = { age = local.mean.oldest_age } },
    { title = "Drains a minute, by outcome", unit = "1", lines = {
      drains = "sum by (outcome) (60 * rate(${local.prom.drains}{${local.revision}}[$${__interval}]))"
    } },
    { title = "Drain duration, p50 and p95", unit = "ms", lines = {
      p50 = "histogram_quantile(0.5, sum by (le) (increase(${local.prom.drain_duration}_bucket{${local.revision}}[$${__interval}])))"
      p95 = "histogram_quantile(0.95, sum by (le) (increase(${local.prom.drain_duration}_bucket{${local.revision}}[$${__interval}])))"
    } },
    { title = "Breaker: opened, probed, closed", unit = "1", lines = {
      breaker = "sum by (event) (increase(${local.prom.breaker}{${local.revision}}[$${__interval}]))"
    } },
    { title = "Trouble: burials, crashes, misconfigured, deep partitions, failed flushes, quota, errors", unit = "1", lines = {
      for name in ["burials", "crashes", "misconfigured", "buffer_deep", "flush_failed", "quota_exhausted", "errors"] :
      name => "sum(increase(${local.prom[name]}{${local.revision}}[$${__interval}]))"
    } },
    { title = "Throttled requests a second, by key", unit = "1/s", lines = {
      throttled = "sum by (key) (rate(${local.prom.throttled}_sum{${local.revision}}[$${__interval}]))"
    } },
    { title = "Requests a second, by service and class", unit = "1/s", lines = {
      requests = "sum by (service_name, response_code_class) (rate(run_googleapis_com:request_count{${local.revision},service_name=~\"${module.ingest.service.name}|${module.supervisor.service.name}\"}[$${__interval}]))"
    } },
    { title = "Request latency at ingest, p50 and p99", unit = "ms", lines = {
      p50 = "histogram_quantile(0.5, sum by (le) (rate(run_googleapis_com:request_latencies_bucket{${local.revision},service_name=\"${module.ingest.service.name}\"}[$${__interval}])))"
      p99 = "histogram_quantile(0.99, sum by (le) (rate(run_googleapis_com:request_latencies_bucket{${local.revision},service_name=\"${module.ingest.service.name}\"}[$${__interval}])))"
    } },
    { title = "Instances", unit = "1", lines = {
      instances = "sum by (service_name) (max_over_time(run_googleapis_com:container_instance_count{${local.revision},service_name=~\"${module.ingest.service.name}|${module.supervisor.service.name}\"}[$${__interval}]))"
    } },
  ]
}

resource "google_monitoring_dashboard" "this" {
  project = local.project

  dashboard_json = jsonencode({
    displayName = var.name
    mosaicLayout = {
      columns = 12
      tiles = [for index, tile in local.tiles : merge(index % 2 == 0 ? {} : { xPos = 6 }, index < 2 ? {} : { yPos = floor(index / 2) * 4 }, {
        width  = 6
        height = 4
        widget = {
          title = tile.title
          xyChart = {
            dataSets = [for legend, query in tile.lines : merge(length(tile.lines) == 1 ? {} : { legendTemplate = legend }, {
              plotType   = "LINE"
              targetAxis = "Y1"
              timeSeriesQuery = {
                prometheusQuery = query
                unitOverride    = tile.unit
              }
            })]
            yAxis = { scale = "LINEAR" }
          }
        }
      })]
    }
  })

  depends_on = [google_logging_metric.value, google_logging_metric.event]
}
