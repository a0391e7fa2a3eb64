/** What two installations say to Terraform: one whose servers Terraform makes at Upstash and Neon, one that brings its own over TCP. */
import { OWNER } from "./asked.ts";
import type { World } from "./world.ts";

export const PROJECT = "my-project";
export const REGION = "us-east4";

const INSTANCE = `${PROJECT}:${REGION}:main-db`;

export const made = {
  upstash_email: OWNER,
  upstash_api_key: "upstash",
  neon_api_key: "neon",
  neon_org_id: "org-rehearsal",
};

/** Cloud SQL by its connection name, which no build reaches, and a Redis at a private address. */
export function brought({ databaseUrl }: World) {
  const { username, password, pathname } = new URL(databaseUrl);
  return {
    ...{ redis_provisioned: false, database_provisioned: false },
    redis_url: "redis://10.1.2.3:6379",
    ...{ vpc_network: "main", vpc_subnetwork: "run" },
    cloud_sql_instance: INSTANCE,
    database_url: `postgres://${username}:${password}@${pathname}?host=/cloudsql/${INSTANCE}`,
    database_max_connections: 100,
  };
}
