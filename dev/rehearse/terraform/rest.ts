/**
 * Where each type of resource is in the vendors' APIs, and how its attributes become the JSON of a request: the names are the APIs', in
 * snake_case. A type that is not here is kept in Terraform's state alone.
 */
import type { Block } from "./declared.ts";

type Attributes = Record<string, unknown>;

export interface Place {
  /** Where a new one is posted. */
  create: (one: Attributes) => string;
  /** The request's body, if it is not simply all attributes. */
  body?: (one: Attributes) => unknown;
  /** Where it is afterwards. @default the collection's host, and the answer's name */
  url?: (answer: Attributes, one: Attributes) => string;
  /** Attributes that the answer has elsewhere, or under another name. */
  computed?: (answer: Attributes, one: Attributes) => Attributes;
  /** True: deleting leaves it. */
  stays?: boolean;
}

const google = (api: string, path: string) => `https://${api}.googleapis.com/${path}`;
const inProject = (api: string, version: string, what: string) => (one: Attributes) =>
  google(api, `${version}/projects/${one.project}/${what}`);
const inLocation = (api: string, version: string, what: string, id?: string) => (one: Attributes) =>
  google(
    api,
    `${version}/projects/${one.project}/locations/${one.location ?? one.region}/${what}${id ? `?${id}=${one.name ?? one.repository_id}` : ""}`,
  );

/** What says where a resource is, and is not in its body; and what only Terraform knows. */
const OF_TERRAFORM = new Set(
  "id project location region deletion_protection disable_on_destroy deletion_policy force_destroy".split(
    " ",
  ),
);

/** By the type of resource. */
export const PLACES: Record<string, Place> = {
  google_project_service: {
    create: ({ project, service }) =>
      google("serviceusage", `v1/projects/${project}/services/${service}:enable`),
    url: (_, { project, service }) => google("serviceusage", `v1/projects/${project}/services/${service}`),
    stays: true,
  },
  google_service_account: {
    create: inProject("iam", "v1", "serviceAccounts"),
    body: ({ account_id, display_name }) => ({
      accountId: account_id,
      serviceAccount: { displayName: display_name },
    }),
    computed: ({ email, name }) => ({ email, name, member: `serviceAccount:${email}` }),
  },
  google_secret_manager_secret: {
    create: ({ project, secret_id }) =>
      google("secretmanager", `v1/projects/${project}/secrets?secretId=${secret_id}`),
  },
  google_secret_manager_secret_version: {
    create: ({ secret }) => google("secretmanager", `v1/${secret}:addVersion`),
    body: ({ secret_data }) => ({ payload: { data: Buffer.from(`${secret_data}`).toString("base64") } }),
    computed: ({ name }) => ({ name, version: `${name}`.replace(/^.*\//, "") }),
    stays: true,
  },
  google_cloud_run_v2_service: { create: inLocation("run", "v2", "services", "serviceId") },
  google_cloud_run_v2_job: { create: inLocation("run", "v2", "jobs", "jobId") },
  google_cloud_tasks_queue: { create: inLocation("cloudtasks", "v2", "queues") },
  google_cloud_scheduler_job: { create: inLocation("cloudscheduler", "v1", "jobs") },
  google_artifact_registry_repository: {
    create: inLocation("artifactregistry", "v1", "repositories", "repositoryId"),
    computed: (_, { repository_id }) => ({ name: repository_id }),
  },
  google_storage_bucket: { create: ({ project }) => google("storage", `storage/v1/b?project=${project}`) },
  google_logging_metric: { create: inProject("logging", "v2", "metrics") },
  google_monitoring_notification_channel: { create: inProject("monitoring", "v3", "notificationChannels") },
  google_monitoring_alert_policy: { create: inProject("monitoring", "v3", "alertPolicies") },
  google_monitoring_dashboard: { create: inProject("monitoring", "v1", "dashboards") },
  upstash_redis_database: {
    create: () => "https://api.upstash.com/v2/redis/database",
    body: ({ id: _, ...one }) => one,
    url: ({ database_id }) => `https://api.upstash.com/v2/redis/database/${database_id}`,
  },
  neon_project: {
    create: () => "https://console.neon.tech/api/v2/projects",
    body: ({ id: _, ...project }) => ({ project }),
    url: ({ project }) => `https://console.neon.tech/api/v2/projects/${(project as Attributes).id}`,
    computed: ({ connection_uris: uris }) => ({ ...(uris as Attributes[])[0] }),
  },
};

/** Whose policy an iam_member is part of. Its URL without :getIamPolicy. */
export function policyUrl(type: string, one: Attributes): { read: string; write: string } {
  const at = (base: string) => ({ read: `${base}:getIamPolicy`, write: `${base}:setIamPolicy` });
  const in_ = (api: string, version: string, what: string) =>
    at(google(api, `${version}/projects/${one.project}/locations/${one.location}/${what}`));
  switch (type) {
    case "google_project_iam_member":
      return at(google("cloudresourcemanager", `v1/projects/${one.project}`));
    case "google_service_account_iam_member":
      return at(google("iam", `v1/${one.service_account_id}`));
    case "google_secret_manager_secret_iam_member":
      return at(google("secretmanager", `v1/projects/${one.project}/secrets/${one.secret_id}`));
    case "google_cloud_run_v2_service_iam_member":
      return in_("run", "v2", `services/${one.name}`);
    case "google_cloud_run_v2_job_iam_member":
      return in_("run", "v2", `jobs/${one.name}`);
    case "google_cloud_tasks_queue_iam_member":
      return in_("cloudtasks", "v2", `queues/${one.name}`);
    case "google_artifact_registry_repository_iam_member":
      return in_("artifactregistry", "v1", `repositories/${one.repository}`);
    case "google_storage_bucket_iam_member": {
      const url = google("storage", `storage/v1/b/${one.bucket}/iam`);
      return { read: url, write: url };
    }
    default:
      throw new Error(`the rehearsal knows no policy for ${type}`);
  }
}

const camel = (name: string) => name.replaceAll(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());

/** Blocks of which an API has a list, even if there is one; of any other block it has an object. */
const LISTS = new Set(
  "containers env volumes volume_mounts network_interfaces conditions cleanup_policies lifecycle_rule labels traffic".split(
    " ",
  ),
);

/** The attributes as an API writes them. */
export function toBody(one: Attributes, block: Block, isTop = true): Attributes {
  const body: Attributes = {};
  for (const [name, { isComputed }] of block.attributes)
    if (!isComputed && one[name] !== undefined && !(isTop && OF_TERRAFORM.has(name)))
      body[camel(name)] = one[name];
  for (const [name, inner] of block.blocks) {
    const all = ((one[name] ?? []) as Attributes[]).map((value) => toBody(value, inner, false));
    if (all.length > 0) body[camel(name)] = LISTS.has(name) ? all : all[0];
  }
  return body;
}

/** The same backwards: what Terraform knows of the resource. */
export function fromBody(body: Attributes, block: Block): Attributes {
  const one: Attributes = {};
  for (const name of block.attributes.keys()) one[name] = body[camel(name)];
  for (const [name, inner] of block.blocks) {
    const given = body[camel(name)];
    const all = given === undefined ? [] : Array.isArray(given) ? given : [given];
    one[name] = all.map((value) => fromBody(value as Attributes, inner));
  }
  return one;
}
