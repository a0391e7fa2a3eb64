# Redis: an Upstash database beside Cloud Run, the one that redis_rest_url names, or any Redis by redis_url, over TCP. Whether
# there is a database of Terraform's own is a setting apart: a provisioned one is kept while the services use another, and
# nothing destroys it.

locals {
  redis_is_over_tcp = nonsensitive(var.redis_url != null)

  # Over Upstash's REST. null: neither is provisioned nor brought along, and the services go by redis_url.
  redis_rest_url   = var.redis_rest_url != null ? var.redis_rest_url : one([for host in upstash_redis_database.this[*].endpoint : "https://${host}"])
  redis_rest_token = var.redis_rest_url != null ? var.redis_rest_token : one(upstash_redis_database.this[*].rest_token)

  # $0.20 buys 100,000 commands.
  redis_monthly_commands = var.redis_monthly_commands != null ? var.redis_monthly_commands : var.redis_budget_usd * 500000
}

resource "upstash_redis_database" "this" {
  count = var.redis_provisioned ? 1 : 0

  database_name  = "${var.name}${var.name_suffix}"
  region         = "gcp-global" # Upstash's word for Google Cloud; this one has no read regions
  primary_region = var.region

  tls      = true  # the provider's default is false
  eviction = false # a full buffer refuses pushes, and ingest sheds; evicting would lose acknowledged events

  # Neither a plan's limits nor the provider's $20 may throttle in silence: plans are raised, the budget is far away,
  # and an alert watches the pace (alerts.tf).
  auto_scale = true
  budget     = var.redis_budget_usd

  lifecycle {
    prevent_destroy = true # it may hold events that were acknowledged and are not in Postgres yet

    # Upstash answers with its own words for the first two, and a database can be renamed. None is a reason to make another.
    ignore_changes = [region, multizone, database_name]
  }
}
