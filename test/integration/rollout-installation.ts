/** An installation as terraform apply makes it, made by hand in a world of its own, for the tests of the build. */
import pg from "pg";
import type { Service } from "../../dev/rehearse/cloud-run.ts";
import { openWorld, type World } from "../../dev/rehearse/world.ts";

export const PROJECT = "my-project";
export const REGION = "us-east4";
const PLACE = `projects/${PROJECT}/locations/${REGION}`;
export const emailOf = (name: string) => `spillway-${name}@${PROJECT}.iam.gserviceaccount.com`;
const accountOf = (name: string) => `projects/${PROJECT}/serviceAccounts/${emailOf(name)}`;

/** What `Builds.run` is asked for. */
export const asked = { project: PROJECT, substitutions: {}, serviceAccount: accountOf("build") };

export const serviceOf = ({ cloud }: World, name: string) =>
  cloud.resources.get(`${PLACE}/services/spillway-${name}`) as Service;

/** A world with the installation in it, and a way to its Postgres. */
export async function openInstalled() {
  const world = await openWorld();
  const sql = new pg.Pool({ connectionString: world.databaseUrl });
  const close = async () => {
    await sql.end();
    await world.close();
  };
  try {
    await install(world);
  } catch (error) {
    await close();
    throw error;
  }
  return { world, sql, close };
}

/**
 * Makes it. Its settings are the worst for a smoke test: each event crosses the flush threshold and is a full batch, so an eager flush would drain
 * it at once, by the supervisor that serves.
 */
async function install({ cloud }: World): Promise<void> {
  const { resources } = cloud;
  const allow = (name: string, role: string, ...accounts: string[]) =>
    resources.setPolicy(name, [
      ...resources.policyOf(name),
      { role, members: accounts.map((one) => `serviceAccount:${emailOf(one)}`) },
    ]);
  for (const api of ["run", "secretmanager", "iamcredentials", "cloudbuild", "cloudtasks"])
    resources.create({ name: `projects/${PROJECT}/services/${api}.googleapis.com` });
  const redis = await cloud.vendors.makeRedis({ region: "gcp-global", primary_region: REGION });
  const { connection_uris: uris } = cloud.vendors.makeProject({ project: { org_id: "org-1" } });
  const secrets = { "redis-rest-token": redis.rest_token, "database-url": uris[0]?.connection_uri ?? "" };
  for (const [id, value] of Object.entries(secrets)) {
    const name = `projects/${PROJECT}/secrets/spillway-${id}`;
    resources.create({ name });
    resources.create({
      name: `${name}/versions/1`,
      payload: { data: Buffer.from(value).toString("base64") },
    });
    allow(name, "roles/secretmanager.secretAccessor", "ingest", "supervisor", "build");
  }
  allow(accountOf("operator"), "roles/iam.serviceAccountOpenIdTokenCreator", "build");
  allow(`${PLACE}/repositories/spillway`, "roles/artifactregistry.writer", "build");
  allow(`storage/v1/b/${PROJECT}-spillway-sources`, "roles/storage.admin", "build");
  const queue = `${PLACE}/queues/spillway-flush`;
  const audience = "https://spillway-supervisor-rehearsal-uk.a.run.app";
  const httpTarget = { oidcToken: { serviceAccountEmail: emailOf("tasks"), audience } };
  resources.create({ name: queue, httpTarget });
  allow(queue, "roles/cloudtasks.enqueuer", "ingest");
  allow(accountOf("tasks"), "roles/iam.serviceAccountUser", "ingest");
  const settings = {
    ...{ SUPERVISOR_URL: audience, FLUSH_TRIGGER: "tasks", TASKS_QUEUE: queue },
    ...{ FLUSH_THRESHOLD: "1", BATCH_MAX_ROWS: "1" },
  };
  const secretEnv = (name: string, id: string) => ({
    name,
    valueSource: { secretKeyRef: { secret: `spillway-${id}`, version: "1" } },
  });
  for (const target of ["ingest", "supervisor"]) {
    const env = [
      { name: "UPSTASH_REDIS_REST_URL", value: `https://${redis.endpoint}` },
      ...Object.entries(settings).map(([name, value]) => ({ name, value })),
      secretEnv("UPSTASH_REDIS_REST_TOKEN", "redis-rest-token"),
      secretEnv("DATABASE_URL", "database-url"),
    ];
    const image = "us-docker.pkg.dev/cloudrun/container/hello";
    await cloud.run.createService(`${PLACE}/services/spillway-${target}`, {
      invokerIamDisabled: target === "ingest",
      template: {
        serviceAccount: emailOf(target),
        timeout: "60s",
        containers: [{ image, args: [`--target=${target}`], env }],
      },
    });
    allow(`${PLACE}/services/spillway-${target}`, "roles/run.developer", "build");
    allow(accountOf(target), "roles/iam.serviceAccountUser", "build");
  }
  allow(`${PLACE}/services/spillway-supervisor`, "roles/run.invoker", "operator", "tasks");
}
