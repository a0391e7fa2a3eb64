# What terraform.tfvars says, and the secrets, which come from the environment (TF_VAR_…). The module checks each value, and says what it expects.

variable "project_id" {
  type = string
}

variable "region" {
  type    = string
  default = "us-east4"
}

variable "alert_email" {
  type = string
}

variable "operators" {
  type    = list(string)
  default = []
}

variable "api_keys" {
  type      = any # the module refuses a misspelt attribute, which map(object({…})) would leave out
  sensitive = true
}

variable "redis_provisioned" {
  type    = bool
  default = true
}

variable "upstash_email" {
  type    = string
  default = null
}

variable "upstash_api_key" {
  type      = string
  default   = null
  sensitive = true
}

variable "redis_rest_url" {
  type    = string
  default = null
}

variable "redis_rest_token" {
  type      = string
  default   = null
  sensitive = true
}

variable "redis_url" {
  type      = string
  default   = null
  sensitive = true
}

variable "database_provisioned" {
  type    = bool
  default = true
}

variable "neon_org_id" {
  type    = string
  default = null
}

variable "neon_api_key" {
  type      = string
  default   = null
  sensitive = true
}

variable "database_url" {
  type      = string
  default   = null
  sensitive = true
}

variable "database_migration_url" {
  type      = string
  default   = null
  sensitive = true
}

variable "database_max_connections" {
  type    = number
  default = null
}

variable "cloud_sql_instance" {
  type    = string
  default = null
}

variable "vpc_network" {
  type    = string
  default = null
}

variable "vpc_subnetwork" {
  type    = string
  default = null
}

variable "webhook_secrets" {
  type      = map(string)
  default   = {}
  sensitive = true
}
