# In what two services of Spillway differ. Nothing here has a default: both say all of it.

variable "project" {
  description = "The project's id."
  type        = string
}

variable "region" {
  description = "The Cloud Run region."
  type        = string
}

variable "name" {
  description = "The service's name."
  type        = string
}

variable "target" {
  description = "The function that it serves: ingest or supervisor."
  type        = string
}

variable "service_account" {
  description = "The e-mail address of the account that it runs as."
  type        = string
}

variable "is_open_to_anyone" {
  description = "Whether Cloud Run lets every caller in without looking for a token."
  type        = bool
}

variable "deletion_protection" {
  description = "Whether Terraform refuses to delete it."
  type        = bool
}

variable "initial_image" {
  description = "What it runs until the first build has deployed Spillway."
  type        = string
}

variable "concurrency" {
  description = "Requests at once in one instance."
  type        = number
}

variable "timeout_seconds" {
  description = "After so many seconds Cloud Run ends a request."
  type        = number
}

variable "min_instances" {
  description = "Instances that are kept warm."
  type        = number
}

variable "max_instances" {
  description = "The most instances."
  type        = number
}

variable "environment" {
  description = "Name => value, each not empty. The names are known before anything is made."
  type        = map(string)
}

variable "secrets" {
  description = "Name in the environment => the secret and its version."
  type        = map(object({ secret = string, version = string }))
}

variable "cloud_sql_instance" {
  description = "The connection name of the Cloud SQL instance whose socket it gets. null: none."
  type        = string
}

variable "vpc_network" {
  description = "The network through which it reaches private addresses. null: it reaches none."
  type        = string
}

variable "vpc_subnetwork" {
  description = "The subnetwork of vpc_network. null where that is null."
  type        = string
}
