# What may be turned. Every default is a working one; without a default are only the project, who is called at
# night, and who may post. Values that the code knows too have the code's bounds (lib/config.ts).
#
# Terraform prints the value of the variable whose own check fails, also if the variable is sensitive. So a text that is secret has no
# check of its own: the setting beside it has one.

# ── Where ────────────────────────────────────────────────────────────────────────────────────────────────────

variable "project_id" {
  description = "The Google Cloud project that everything is created in. It must exist and have billing."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "project_id: expected a project's id (6 to 30 of a-z, 0-9 and -), not its number or its display name."
  }
}

variable "region" {
  description = "The Cloud Run region. A provisioned Redis stands beside it, so it is one of Upstash's Google Cloud regions unless redis_provisioned is false. us-east4 is nearest to both Upstash and Neon."
  type        = string
  default     = "us-east4"
  nullable    = false

  validation {
    condition     = contains(local.service_regions, var.region)
    error_message = "region: expected a Google Cloud region in which Cloud Tasks has queues, such as us-east4, and not a zone. If yours is in what `gcloud tasks locations list` prints, add it to terraform/regions.tf."
  }

  validation {
    condition     = !var.redis_provisioned || contains(local.upstash_regions, var.region)
    error_message = "region: Upstash offers ${join(", ", local.upstash_regions)} on Google Cloud. Choose one of them, or bring a Redis along: redis_provisioned = false, and redis_url, or redis_rest_url and redis_rest_token."
  }
}

variable "name" {
  description = "What every resource's name begins with. A second installation in one project needs another."
  type        = string
  default     = "spillway"
  nullable    = false

  validation {
    condition     = !can(regex("google|^goog", var.name))
    error_message = "name: expected a name without google, because Cloud Storage refuses it in a bucket's name."
  }

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,16}[a-z0-9]$", var.name))
    error_message = "name: expected 3 to 18 of a-z, 0-9 and -, beginning with a letter (a service account's id has 30 characters at most)."
  }
}

variable "name_suffix" {
  description = "What is appended to the names that stay taken for a while after terraform destroy: the queue's (Cloud Tasks may refuse it for 3 days) and the Redis database's. Another one for each installation that takes the place of a destroyed one."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^(-[a-z0-9]{1,16})?$", var.name_suffix))
    error_message = "name_suffix: expected nothing, or - and 1 to 16 of a-z and 0-9, such as -2."
  }
}

variable "deletion_protection" {
  description = "Whether Terraform refuses to delete the two Cloud Run services."
  type        = bool
  default     = true
  nullable    = false
}

# ── Who ──────────────────────────────────────────────────────────────────────────────────────────────────────

variable "api_keys" {
  description = "Who may post: name => { sha256 = the key's SHA-256 in hex, streams = those it may use (left out: all) }. Never the key itself."
  sensitive   = true
  nullable    = false

  # Not map(object({…})): that leaves a misspelt attribute out without a word, and a key with `stream` would open every stream.
  type = any

  validation {
    condition     = try(length(keys(var.api_keys)) > 0, false)
    error_message = "api_keys: expected at least one key, as { NAME = { sha256 = \"…\" } }, or nobody can post."
  }

  validation {
    condition     = try(alltrue([for name in keys(var.api_keys) : can(regex("^[A-Za-z0-9_.-]{1,64}$", name))]), true)
    error_message = "api_keys: expected names of letters, digits, _, - and ., 64 characters at most."
  }

  validation {
    condition     = try(alltrue([for key in values(var.api_keys) : length(setsubtract(keys(key), ["sha256", "streams"])) == 0]), false)
    error_message = "api_keys: expected { sha256 = \"…\" } or { sha256 = \"…\", streams = [\"…\"] } after each name, and nothing else in it."
  }

  validation {
    condition     = try(alltrue([for key in values(var.api_keys) : can(regex("^[0-9a-f]{64}$", key.sha256))]), false)
    error_message = "api_keys: expected each sha256 to be 64 lower-case hex digits, from printf %s \"$KEY\" | openssl dgst -sha256 -r | cut -d' ' -f1. Never the key itself."
  }

  validation {
    condition     = try(alltrue([for key in values(var.api_keys) : key.sha256 != sha256("")]), true)
    error_message = "api_keys: expected the SHA-256 of a key, got that of nothing: KEY was not set in that shell."
  }

  validation {
    condition     = try(length(distinct([for key in values(var.api_keys) : key.sha256])) == length(var.api_keys), true)
    error_message = "api_keys: expected another sha256 under each name, or it is unclear whose key it is."
  }

  validation {
    condition     = try(alltrue([for key in values(var.api_keys) : length(tolist(key.streams)) > 0 if try(key.streams, null) != null]), false)
    error_message = "api_keys: expected a list of at least one stream in streams. Leave streams out if the key may use all."
  }

  validation {
    condition     = try(alltrue(flatten([for key in values(var.api_keys) : [for stream in tolist(key.streams) : can(regex("^[a-z][a-z0-9_]{0,62}$", stream))] if try(key.streams, null) != null])), true)
    error_message = "api_keys: expected streams named as their files under lib/streams are: a-z, 0-9 and _."
  }
}

variable "webhook_secrets" {
  description = "The secrets of signed webhooks (TF_VAR_webhook_secrets): the name that a stream's secretEnv has => the secret that the sender shows, or several with spaces between them while it changes."
  type        = map(string)
  default     = {}
  nullable    = false
  sensitive   = true

  validation {
    condition     = alltrue([for name in keys(var.webhook_secrets) : can(regex("^[A-Z][A-Z0-9_]{0,127}$", name))])
    error_message = "webhook_secrets: expected names of variables, in A-Z, 0-9 and _, such as STRIPE_WEBHOOK_SECRET."
  }

  validation {
    condition     = alltrue([for secret in values(var.webhook_secrets) : trimspace(secret) != ""])
    error_message = "webhook_secrets: expected each secret to be a text that is not empty."
  }

  validation {
    condition     = length(setintersection(keys(var.webhook_secrets), local.own_names)) == 0
    error_message = "webhook_secrets: expected names other than those of Spillway's own settings: ${join(", ", local.own_names)}."
  }

  validation {
    condition     = alltrue([for name in keys(var.webhook_secrets) : !can(regex("^(PORT$|PATH$|HOME$|K_|X_GOOGLE_|GOOGLE_|CLOUD_RUN_|FUNCTION_|NODE_)", name))])
    error_message = "webhook_secrets: expected names other than PORT, PATH and HOME, and other than those that begin with K_, X_GOOGLE_, GOOGLE_, CLOUD_RUN_, FUNCTION_ or NODE_: Cloud Run or Node uses them."
  }
}

variable "curl_example" {
  description = "A stream of yours and one event of it, which the output curl posts. null: that output asks for /health."
  type        = object({ stream = string, event = any })
  default     = null

  validation {
    condition     = var.curl_example == null || can(regex("^[a-z][a-z0-9_]{0,62}$", var.curl_example.stream))
    error_message = "curl_example: expected a stream named as its file under lib/streams is: a-z, 0-9 and _."
  }
}

variable "ingest_public_by_iam" {
  description = "How ingest is public. false: Cloud Run looks for no token. true: allUsers is an invoker, for an organisation that enforces run.managed.requireInvokerIam and lets allUsers be a member. Before you change it: docs/operations.md, \"How ingest is public\"."
  type        = bool
  default     = false
  nullable    = false
}

variable "operators" {
  description = "Members (user:…, group:…) who may operate the deployed system (spillway --prod): keys, dead letters, status, drain. They get tokens of the operators' service account; the supervisor's own list of callers does not grow."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for member in var.operators : can(regex("^(user|group|serviceAccount):[^\\s@,:;<>…]+@[^\\s@,:;<>…]+\\.[^\\s@,:;<>…]+$", member))])
    error_message = "operators: expected one member in each text, such as user:ann@example.com or group:oncall@example.com."
  }
}

variable "alert_email" {
  description = "The address that alerts are sent to."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[^\\s@,:;<>…]+@[^\\s@,:;<>…]+\\.[^\\s@,:;<>…]+$", var.alert_email))
    error_message = "alert_email: expected one e-mail address, such as oncall@example.com. Further ones are notification_channels."
  }
}

variable "notification_channels" {
  description = "Further Cloud Monitoring notification channels (projects/P/notificationChannels/N), for a pager or a chat."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for channel in var.notification_channels : can(regex("^projects/[^/]+/notificationChannels/[0-9]+$", channel))])
    error_message = "notification_channels: expected names such as projects/P/notificationChannels/123."
  }
}

variable "operations_url" {
  description = "Where docs/operations.md can be read by whoever is on call; alerts link to its playbooks. null: alerts name the file and the playbook, without a link."
  type        = string
  default     = null

  validation {
    condition     = var.operations_url == null || can(regex("^https?://[^#\\s…]+$", var.operations_url))
    error_message = "operations_url: expected the address of the page, https://…, without #fragment."
  }
}

# ── Redis ────────────────────────────────────────────────────────────────────────────────────────────────────

variable "redis_provisioned" {
  description = "Whether Terraform makes a Redis at Upstash, and keeps it. false: only a Redis of your own is used. With true and redis_rest_url or redis_url set, the services use yours, and the provisioned one is kept: a way out of a disaster."
  type        = bool
  default     = true
  nullable    = false

  validation {
    condition     = var.redis_provisioned == null || (var.redis_url == null || can(regex("^rediss?://([^/?#@\\s]*@)?([a-zA-Z0-9._-]+|\\[[0-9a-fA-F:.]+\\])(:[0-9]{1,5})?(/[0-9]{0,4})?$", var.redis_url)))
    error_message = "redis_url: expected rediss://user:password@host:port/0, with the special characters of a password percent-encoded; for Upstash's REST, redis_rest_url."
  }

  validation {
    condition     = var.redis_provisioned == null || (try(tonumber(regex(":([0-9]+)(/[0-9]*)?$", var.redis_url)[0]) >= 1 && tonumber(regex(":([0-9]+)(/[0-9]*)?$", var.redis_url)[0]) <= 65535, true))
    error_message = "redis_url: expected a port from 1 to 65535."
  }

  validation {
    condition     = var.redis_provisioned == null || (var.redis_url == null || !can(regex("(@|//)(localhost|127\\.[0-9.]+|\\[::1\\])(:|/|$)", var.redis_url)))
    error_message = "redis_url: expected a host other than this machine: an instance of Cloud Run has no Redis beside it."
  }

  validation {
    condition     = var.redis_provisioned == null || (var.redis_url == null || can(regex("^rediss:|(@|//)${local.private_host}(:|/|$)", var.redis_url)) || !can(regex("(@|//)${local.public_host}", var.redis_url)))
    error_message = "redis_url: expected rediss:// (TLS) at a public address; Spillway does not send events in the clear."
  }
}

variable "upstash_email" {
  description = "The e-mail address of the Upstash account. Not needed with redis_provisioned = false."
  type        = string
  default     = null

  validation {
    condition     = var.upstash_email == null ? !var.redis_provisioned : can(regex("^[^\\s@,:;<>…]+@[^\\s@,:;<>…]+\\.[^\\s@,:;<>…]+$", var.upstash_email))
    error_message = "upstash_email: expected the e-mail address of the Upstash account, and upstash_api_key with it. Or bring a Redis along: redis_provisioned = false, and redis_url, or redis_rest_url and redis_rest_token."
  }

  validation {
    condition     = !var.redis_provisioned || var.upstash_email == null || can(regex("^[!#-&(-~]+$", var.upstash_api_key))
    error_message = "upstash_api_key: expected a management API key (TF_VAR_upstash_api_key), without quotes, spaces or a line's end around it. Or bring a Redis along: redis_provisioned = false, and redis_url, or redis_rest_url and redis_rest_token."
  }
}

variable "upstash_api_key" {
  description = "A management API key of the Upstash account (TF_VAR_upstash_api_key). Not needed with redis_provisioned = false."
  type        = string
  default     = null
  sensitive   = true
}

variable "redis_rest_url" {
  description = "The REST URL of an Upstash database of your own, which the services use. null: they use the provisioned one."
  type        = string
  default     = null

  validation {
    condition     = var.redis_rest_url == null || can(regex("^https://[a-zA-Z0-9.-]+(:[0-9]+)?$", var.redis_rest_url))
    error_message = "redis_rest_url: expected https://HOST, without a path, a slash at the end or a password. It is the REST URL of Upstash's console; a rediss:// address is for redis_url."
  }

  validation {
    condition     = var.redis_provisioned || var.redis_rest_url != null || var.redis_url != null
    error_message = "redis_rest_url: expected it and redis_rest_token, or redis_url in their place, because redis_provisioned is false."
  }

  validation {
    condition     = var.redis_rest_url == null || var.redis_url == null
    error_message = "redis_rest_url: expected it or redis_url, because there is one Redis."
  }

  validation {
    condition     = (var.redis_rest_token == null) == (var.redis_rest_url == null)
    error_message = "redis_rest_token: expected redis_rest_url and redis_rest_token (TF_VAR_redis_rest_token) together, or neither."
  }

  validation {
    condition     = var.redis_rest_url == null || var.redis_rest_token == null || can(regex("^[!#-&(-~]+$", var.redis_rest_token))
    error_message = "redis_rest_token: expected the REST token, without quotes, spaces or a line's end around it."
  }
}

variable "redis_rest_token" {
  description = "The REST token that goes with redis_rest_url (TF_VAR_redis_rest_token). Not the read-only one."
  type        = string
  default     = null
  sensitive   = true
}

variable "redis_budget_usd" {
  description = "Upstash's monthly budget. Past it Upstash throttles, so it is a ceiling to stay far below; an alert compares the pace with it. $0.20 buys 100,000 commands."
  type        = number
  default     = 500
  nullable    = false

  validation {
    condition     = var.redis_budget_usd > 20 && floor(var.redis_budget_usd) == var.redis_budget_usd
    error_message = "redis_budget_usd: expected a whole number above 20. Upstash's own default of $20 is 10 million commands, four a second over a month, and then it throttles."
  }
}

variable "redis_monthly_commands" {
  description = "The commands that a database of your own may run in a month (500000 on Upstash's free plan). null: what redis_budget_usd buys."
  type        = number
  default     = null

  validation {
    condition     = var.redis_monthly_commands == null || try(var.redis_monthly_commands >= 50000 && floor(var.redis_monthly_commands) == var.redis_monthly_commands, false)
    error_message = "redis_monthly_commands: expected a whole number of at least 50000, which is what an idle month needs."
  }
}

# ── Postgres ─────────────────────────────────────────────────────────────────────────────────────────────────

variable "database_provisioned" {
  description = "Whether Terraform makes a Neon project, and keeps it. false: only a database of your own is used. With true and database_url set, the services use yours, and the provisioned one is kept: a way out of a disaster."
  type        = bool
  default     = true
  nullable    = false

  validation {
    condition     = !var.database_provisioned || can(regex("^[!#-&(-~]+$", var.neon_api_key))
    error_message = "neon_api_key: expected an API key of Neon (TF_VAR_neon_api_key), without quotes, spaces or a line's end around it. Or bring a database along: database_provisioned = false, and database_url."
  }

  validation {
    condition     = var.database_provisioned || var.database_url != null
    error_message = "database_url: expected it (TF_VAR_database_url), because database_provisioned is false."
  }

  validation {
    condition     = var.database_provisioned == null || (var.database_url == null || (can(regex(local.postgres_form, var.database_url)) && can(regex("[?&]host=", var.database_url)) == can(regex("@/", var.database_url))))
    error_message = "database_url: expected postgres://user:password@host/database, with the special characters of a password percent-encoded, or postgres://user:password@/database?host=/cloudsql/project:region:instance."
  }

  validation {
    condition     = var.database_provisioned == null || (try(tonumber(regex("@[^/]*:([0-9]+)/", var.database_url)[0]) >= 1 && tonumber(regex("@[^/]*:([0-9]+)/", var.database_url)[0]) <= 65535, true))
    error_message = "database_url: expected a port from 1 to 65535."
  }

  validation {
    condition     = var.database_provisioned == null || (var.database_url == null || !can(regex("[?&]host=/", var.database_url)) || can(regex("[?&]host=/cloudsql/[^/]+(&|$)", var.database_url)))
    error_message = "database_url: expected a socket in /cloudsql/: Cloud Run makes those of Cloud SQL's instances, and no other."
  }

  validation {
    condition     = var.database_provisioned == null || (var.database_url == null || !can(regex("[?&]sslmode=", var.database_url)) || can(regex("[?&]sslmode=(disable|require|verify-full)(&|$)|[?&]sslrootcert=[^&]", var.database_url)))
    error_message = "database_url: expected an sslmode of disable, require or verify-full; verify-ca wants sslrootcert beside it, a file of the image. prefer and allow would send the events in the clear if the server, or somebody between, says so."
  }

  validation {
    condition     = var.database_provisioned == null || (var.database_url == null || !can(regex("@/", var.database_url)) || !can(regex("[?&]sslmode=", var.database_url)))
    error_message = "database_url: expected no sslmode at a socket: Cloud Run encrypts what goes through it."
  }

  validation {
    condition     = var.database_provisioned == null || (var.database_url == null || can(regex("[?&]sslmode=[^d]|@/|@${local.private_host}[:/]", var.database_url)) || (can(regex("[?&]sslmode=disable(&|$)", var.database_url)) && !can(regex("@${local.public_host}", var.database_url))))
    error_message = "database_url: expected sslmode=verify-full, or require for a server whose certificate nobody signed: without it the events and the password would go over the Internet in the clear, and Neon refuses migrations."
  }

  validation {
    condition     = var.database_provisioned == null || (var.database_url == null || !can(regex(local.pooler, var.database_url)) || var.database_migration_url != null)
    error_message = "database_url: expected the direct host, not a pooler's, or database_migration_url with the direct one beside it: a pooler in transaction mode suits the services, and can't hold the session's advisory lock of migrations."
  }

  validation {
    condition     = var.database_provisioned == null || (var.database_migration_url == null || (can(regex(local.postgres_form, var.database_migration_url)) && can(regex("[?&]host=", var.database_migration_url)) == can(regex("@/", var.database_migration_url))))
    error_message = "database_migration_url: expected postgres://user:password@host/database, with the special characters of a password percent-encoded."
  }

  validation {
    condition     = var.database_provisioned == null || (var.database_migration_url == null || can(regex("[?&]sslmode=(require|verify-ca|verify-full)(&|$)|@/|@${local.private_host}[:/]", var.database_migration_url)) || (can(regex("[?&]sslmode=disable(&|$)", var.database_migration_url)) && !can(regex("@${local.public_host}", var.database_migration_url))))
    error_message = "database_migration_url: expected sslmode=verify-full, or require: without it a password would go over the Internet in the clear."
  }

  validation {
    condition     = var.database_provisioned == null || (var.database_migration_url == null || !can(regex(local.pooler, var.database_migration_url)))
    error_message = "database_migration_url: expected the direct host, not a pooler's: migrations hold a session's advisory lock."
  }
}

variable "neon_api_key" {
  description = "An API key of the Neon account (TF_VAR_neon_api_key). Not needed with database_provisioned = false."
  type        = string
  default     = null
  sensitive   = true
}

variable "neon_org_id" {
  description = "The Neon organisation that the project is created in: org-…, from Neon's console (the organisation's settings). Not needed with database_provisioned = false."
  type        = string
  default     = null

  validation {
    condition     = !var.database_provisioned || var.neon_org_id != null
    error_message = "neon_org_id: expected the organisation that the project belongs to (org-…, in Neon's console under the organisation's settings): Neon refuses to make one without it if the API key is a person's. Or bring a database along: database_provisioned = false, and database_url."
  }

  validation {
    condition     = var.neon_org_id == null || can(regex("^org-[a-z0-9-]+$", var.neon_org_id))
    error_message = "neon_org_id: expected an organisation's id such as org-quiet-river-12345678, not its name. With database_provisioned = false leave it out."
  }
}

variable "neon_region" {
  description = "The Neon region. null: the one nearest to region."
  type        = string
  default     = null

  validation {
    condition     = var.neon_region == null || contains(local.neon_own_regions, coalesce(var.neon_region, "-"))
    error_message = "neon_region: expected one of ${join(", ", local.neon_own_regions)}. If Neon has added yours since, add it to terraform/regions.tf."
  }
}

variable "neon_max_cu" {
  description = "The most compute units that Neon may scale to. It counts when the project is made; later change the compute in Neon's console, too."
  type        = number
  default     = 2
  nullable    = false

  validation {
    condition     = contains([0.25, 0.5, 1, 2, 3, 4, 5, 6, 7, 8], var.neon_max_cu)
    error_message = "neon_max_cu: expected 0.25, 0.5 or a whole number from 1 to 8: Neon lets most be 8 above least, which is 0.25 here."
  }
}

variable "neon_history_retention_seconds" {
  description = "How far back Neon can restore. The default is the most that its free plan allows."
  type        = number
  default     = 21600
  nullable    = false

  validation {
    condition     = var.neon_history_retention_seconds >= 0 && var.neon_history_retention_seconds <= 2592000 && floor(var.neon_history_retention_seconds) == var.neon_history_retention_seconds
    error_message = "neon_history_retention_seconds: expected a whole number from 0 to 2592000, which is 30 days."
  }
}

variable "database_url" {
  description = "postgres://user:password@host/database?sslmode=verify-full of a Postgres of your own, which the services use (TF_VAR_database_url): Neon's over HTTP, any other over TCP. A Cloud SQL instance's socket: cloud_sql_instance. null: they use the provisioned one."
  type        = string
  default     = null
  sensitive   = true
}

# ── Cloud Run ────────────────────────────────────────────────────────────────────────────────────────────────

variable "initial_image" {
  description = "What both services run until the first build has deployed Spillway: any image that answers /health with 200 and ignores its arguments."
  type        = string
  default     = "us-docker.pkg.dev/cloudrun/container/hello"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9._-]+)+([:@][A-Za-z0-9_.:-]+)?$", var.initial_image))
    error_message = "initial_image: expected an image such as us-docker.pkg.dev/cloudrun/container/hello, without https://."
  }
}

variable "grant_wait_seconds" {
  description = "How long terraform apply waits after a new right to read a secret was given, so that it is known everywhere when a service starts. Google says 2 minutes, and at times 7 or more."
  type        = number
  default     = 120
  nullable    = false

  validation {
    condition     = var.grant_wait_seconds >= 0 && var.grant_wait_seconds <= 900 && floor(var.grant_wait_seconds) == var.grant_wait_seconds
    error_message = "grant_wait_seconds: expected a whole number from 0 to 900."
  }
}

variable "ingest_min_instances" {
  description = "Ingest instances that are kept warm. 0: an idle system costs nearly nothing, and the first request after a pause waits for a start."
  type        = number
  default     = 0
  nullable    = false

  validation {
    condition     = var.ingest_min_instances >= 0 && var.ingest_min_instances <= var.ingest_max_instances && floor(var.ingest_min_instances) == var.ingest_min_instances
    error_message = "ingest_min_instances: expected a whole number from 0 to ingest_max_instances."
  }
}

variable "ingest_max_instances" {
  description = "The most ingest instances. Each may add write_through_concurrency inserts at Postgres."
  type        = number
  default     = 10
  nullable    = false

  validation {
    condition     = var.ingest_max_instances >= 1 && var.ingest_max_instances <= 1000 && floor(var.ingest_max_instances) == var.ingest_max_instances
    error_message = "ingest_max_instances: expected a whole number from 1 to 1000."
  }
}

variable "ingest_concurrency" {
  description = "Requests at once in one ingest instance. They share pushes, so more is cheaper until the CPU is full."
  type        = number
  default     = 80
  nullable    = false

  validation {
    condition     = var.ingest_concurrency >= 1 && var.ingest_concurrency <= 1000 && floor(var.ingest_concurrency) == var.ingest_concurrency
    error_message = "ingest_concurrency: expected a whole number from 1 to 1000."
  }
}

variable "supervisor_concurrency" {
  description = "Requests at once in the one supervisor instance: the tick, the queue's flushes, and you."
  type        = number
  default     = 80
  nullable    = false

  validation {
    condition     = var.supervisor_concurrency > var.flush_max_concurrent && var.supervisor_concurrency <= 1000 && floor(var.supervisor_concurrency) == var.supervisor_concurrency
    error_message = "supervisor_concurrency: expected a whole number of more than flush_max_concurrent, so that the tick always gets in, and of at most 1000."
  }
}

# ── The eager flush ──────────────────────────────────────────────────────────────────────────────────────────

variable "flush_trigger" {
  description = "tasks: a push that crosses the threshold has its partition drained at once. off: only the tick drains."
  type        = string
  default     = "tasks"
  nullable    = false

  validation {
    condition     = contains(["tasks", "off"], var.flush_trigger)
    error_message = "flush_trigger: expected tasks or off. http is for a laptop: on Cloud Run nothing may run on after the answer."
  }
}

variable "flush_threshold" {
  description = "The depth whose crossing, times 2^k, triggers an eager flush (FLUSH_THRESHOLD)."
  type        = number
  default     = 100
  nullable    = false

  validation {
    condition     = var.flush_threshold >= 1 && var.flush_threshold <= 1000000 && floor(var.flush_threshold) == var.flush_threshold
    error_message = "flush_threshold: expected a whole number from 1 to 1000000."
  }
}

variable "flush_max_per_second" {
  description = "The most flushes a second that the queue sends to the supervisor."
  type        = number
  default     = 50
  nullable    = false

  validation {
    condition     = var.flush_max_per_second > 0 && var.flush_max_per_second <= 500
    error_message = "flush_max_per_second: expected at most 500, which is what one queue can dispatch."
  }
}

variable "flush_max_concurrent" {
  description = "The most flushes at once. A partition is drained by one call at a time, so more than partitions × streams is waste."
  type        = number
  default     = 32
  nullable    = false

  validation {
    condition     = var.flush_max_concurrent >= 1 && floor(var.flush_max_concurrent) == var.flush_max_concurrent
    error_message = "flush_max_concurrent: expected a whole number of at least 1."
  }
}

# ── Spillway's own settings: README, "Configuration" ─────────────────────────────────────────────────────────

variable "partitions" {
  description = "Partitions that ingest pushes to (PARTITIONS). The supervisor always looks at all 16."
  type        = number
  default     = 8
  nullable    = false

  validation {
    condition     = var.partitions >= 1 && var.partitions <= 16 && floor(var.partitions) == var.partitions
    error_message = "partitions: expected a whole number from 1 to 16."
  }
}

variable "batch_max_rows" {
  description = "Rows in one insert (BATCH_MAX_ROWS)."
  type        = number
  default     = 100
  nullable    = false

  validation {
    condition     = var.batch_max_rows >= 1 && var.batch_max_rows <= 5000 && floor(var.batch_max_rows) == var.batch_max_rows
    error_message = "batch_max_rows: expected a whole number from 1 to 5000."
  }
}

variable "lease_ms" {
  description = "How long a claim holds its partition (LEASE_MS); an insert's timeout is min(10 s, half of it)."
  type        = number
  default     = 20000
  nullable    = false

  validation {
    condition     = var.lease_ms >= 1000 && var.lease_ms <= 600000 && floor(var.lease_ms) == var.lease_ms
    error_message = "lease_ms: expected a whole number from 1000 to 600000."
  }
}

variable "drain_deadline_ms" {
  description = "When a drain call stops claiming (DRAIN_DEADLINE_MS). The supervisor's timeout and the scheduler's attempt deadline follow from it."
  type        = number
  default     = 50000
  nullable    = false

  validation {
    condition     = var.drain_deadline_ms >= 1000 && var.drain_deadline_ms <= 1700000 && floor(var.drain_deadline_ms) == var.drain_deadline_ms
    error_message = "drain_deadline_ms: expected a whole number from 1000 to 1700000: Cloud Scheduler waits half an hour at most, and the last batch in hand needs some of it."
  }
}

variable "drain_concurrency" {
  description = "Inserts at once, over all streams (DRAIN_CONCURRENCY)."
  type        = number
  default     = 8
  nullable    = false

  validation {
    condition     = var.drain_concurrency >= 1 && var.drain_concurrency <= 64 && floor(var.drain_concurrency) == var.drain_concurrency
    error_message = "drain_concurrency: expected a whole number from 1 to 64."
  }
}

variable "drain_paused" {
  description = "Streams that are buffered but not drained (DRAIN_PAUSED), for a migration."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for stream in var.drain_paused : can(regex("^[a-z][a-z0-9_]{0,62}$", stream))])
    error_message = "drain_paused: expected streams named as their files under lib/streams are: a-z, 0-9 and _."
  }
}

variable "keep_letters_days" {
  description = "Days after which letters that were redriven or stored are deleted (KEEP_LETTERS_DAYS); 0 keeps them for ever."
  type        = number
  default     = 0
  nullable    = false

  validation {
    condition     = var.keep_letters_days >= 0 && var.keep_letters_days <= 36500 && floor(var.keep_letters_days) == var.keep_letters_days
    error_message = "keep_letters_days: expected a whole number from 0 to 36500."
  }
}

variable "keep_usage_days" {
  description = "Days after which the use of an hour is deleted from spillway_usage (KEEP_USAGE_DAYS); 0 keeps it for ever."
  type        = number
  default     = 90
  nullable    = false

  validation {
    condition     = var.keep_usage_days >= 0 && var.keep_usage_days <= 36500 && floor(var.keep_usage_days) == var.keep_usage_days
    error_message = "keep_usage_days: expected a whole number from 0 to 36500."
  }
}

variable "write_through_concurrency" {
  description = "Write-through inserts at once in one ingest instance (WRITE_THROUGH_CONCURRENCY)."
  type        = number
  default     = 2
  nullable    = false

  validation {
    condition     = var.write_through_concurrency >= 1 && var.write_through_concurrency <= 64 && floor(var.write_through_concurrency) == var.write_through_concurrency
    error_message = "write_through_concurrency: expected a whole number from 1 to 64."
  }
}

variable "body_max_bytes" {
  description = "A request's body, after inflating (BODY_MAX_BYTES)."
  type        = number
  default     = 8388608
  nullable    = false

  validation {
    condition     = var.body_max_bytes >= 1024 && var.body_max_bytes <= 32000000 && floor(var.body_max_bytes) == var.body_max_bytes
    error_message = "body_max_bytes: expected a whole number from 1024 to 32000000: Cloud Run takes 32 MB."
  }
}

variable "event_max_bytes" {
  description = "One event, as JSON (EVENT_MAX_BYTES)."
  type        = number
  default     = 32768
  nullable    = false

  validation {
    condition     = var.event_max_bytes >= 256 && var.event_max_bytes <= 8000000 && floor(var.event_max_bytes) == var.event_max_bytes
    error_message = "event_max_bytes: expected a whole number from 256 to 8000000."
  }

  validation {
    condition     = var.event_max_bytes * var.batch_max_rows <= 8388608
    error_message = "event_max_bytes: expected event_max_bytes × batch_max_rows of at most 8388608, because a claim has to fit into one answer of Upstash."
  }

  validation {
    condition     = var.event_max_bytes <= var.buffer_max_bytes
    error_message = "event_max_bytes: expected at most buffer_max_bytes, or one event fills a partition."
  }
}

variable "events_max" {
  description = "Events in one request (EVENTS_MAX)."
  type        = number
  default     = 1000
  nullable    = false

  validation {
    condition     = var.events_max >= 1 && var.events_max <= 100000 && floor(var.events_max) == var.events_max
    error_message = "events_max: expected a whole number from 1 to 100000."
  }
}

variable "buffer_max_bytes" {
  description = "The high-water mark of one partition (BUFFER_MAX_BYTES). Upstash refuses a list past 100 MB."
  type        = number
  default     = 40000000
  nullable    = false

  validation {
    condition     = var.buffer_max_bytes >= 1000 && var.buffer_max_bytes <= 90000000 && floor(var.buffer_max_bytes) == var.buffer_max_bytes
    error_message = "buffer_max_bytes: expected a whole number from 1000 to 90000000: past 100 MB Upstash refuses pushes while pops still work."
  }
}

variable "key_events_per_second" {
  description = "Events a second that one API key may send to one ingest instance (KEY_EVENTS_PER_SECOND)."
  type        = number
  default     = 100000
  nullable    = false

  validation {
    condition     = var.key_events_per_second >= 1 && var.key_events_per_second <= 10000000 && floor(var.key_events_per_second) == var.key_events_per_second
    error_message = "key_events_per_second: expected a whole number from 1 to 10000000."
  }
}

variable "cors_origins" {
  description = "Origins whose pages may use secret keys (CORS_ORIGINS), or [\"*\"]."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for origin in var.cors_origins : origin == "*" || can(regex("^[a-z][a-z0-9+.-]*://[^/?#@*, A-Z]+$", origin))])
    error_message = "cors_origins: expected origins as browsers send them, such as https://app.example.com: in lower case, without a path or a slash at the end. Or *."
  }

  validation {
    condition     = !contains(var.cors_origins, "*") || length(var.cors_origins) == 1
    error_message = "cors_origins: expected * alone, or origins without *."
  }

  validation {
    condition     = alltrue([for origin in var.cors_origins : !can(regex("^(http://.*:80|https://.*:443)$", origin))])
    error_message = "cors_origins: expected origins without the port that is the default: browsers leave it out."
  }
}

# ── The build ────────────────────────────────────────────────────────────────────────────────────────────────

variable "build_region" {
  description = "The Cloud Build region. Google lets a new project build in few regions, whatever region the services are in; this is one of them."
  type        = string
  default     = "us-central1"
  nullable    = false

  validation {
    condition     = contains(local.build_regions, var.build_region)
    error_message = "build_region: expected a Google Cloud region such as us-central1, and neither a zone nor global. If Cloud Build is in yours, add it to terraform/regions.tf."
  }
}

variable "build_repository" {
  description = "A repository that is connected to Cloud Build (projects/P/locations/BUILD_REGION/connections/C/repositories/R), to deploy every push. null: builds are started by hand."
  type        = string
  default     = null

  validation {
    condition     = var.build_repository == null || can(regex("^projects/[^/]+/locations/${var.build_region}/connections/[^/]+/repositories/[^/]+$", var.build_repository))
    error_message = "build_repository: expected projects/P/locations/BUILD_REGION/connections/C/repositories/R, in the region that build_region names."
  }
}

variable "build_branch" {
  description = "The branch whose pushes are deployed, as a regular expression."
  type        = string
  default     = "^main$"
  nullable    = false

  validation {
    condition     = var.build_branch != "" && can(regexall(var.build_branch, ""))
    error_message = "build_branch: expected a regular expression, such as ^main$."
  }
}
