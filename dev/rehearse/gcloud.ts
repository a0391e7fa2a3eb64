/**
 * The commands of gcloud that the deployment runs, for the rehearsal: they ask the addresses that gcloud asks, and behave as it does in
 * what matters here. A deployment with `--no-traffic` pins traffic to the revision that has it; one with `--tag` names its revision.
 */
import { parseArgs } from "node:util";
import type { Service, TrafficTarget } from "./cloud-run.ts";
import type { Job } from "./jobs.ts";

const { positionals, values } = parseArgs({
  allowPositionals: true,
  strict: false,
  args: process.argv.slice(2),
  options: Object.fromEntries(
    ["project", "region", "image", "tag", "update-tags", "remove-tags", "to-revisions", "format"]
      .concat(["config", "service-account", "substitutions", "gcs-source-staging-dir", "audiences"])
      .concat(["impersonate-service-account"])
      .map((name) => [name, { type: "string" as const }]),
  ),
});
const command = positionals.join(" ");
const option = (name: string): string => `${values[name] ?? ""}`;
const has = (name: string): boolean => values[name] !== undefined;

async function accessToken(): Promise<string> {
  const url = "http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/token";
  const answer = await fetch(url, { headers: { "metadata-flavor": "Google" } });
  return ((await answer.json()) as { access_token: string }).access_token;
}

async function ask(method: string, url: string, body?: unknown): Promise<Response> {
  const headers = { authorization: `Bearer ${await accessToken()}`, "content-type": "application/json" };
  const answer = await fetch(url, { method, headers, ...(body ? { body: JSON.stringify(body) } : {}) });
  if (!answer.ok) {
    console.error(
      `ERROR: (gcloud) ${((await answer.json()) as { error: { message: string } }).error.message}`,
    );
    process.exit(1);
  }
  return answer;
}

const serviceUrl = (name: string) =>
  `https://run.googleapis.com/v2/projects/${option("project")}/locations/${option("region")}/services/${name}`;
const service = async (name: string) => (await (await ask("GET", serviceUrl(name))).json()) as Service;
const short = (name: string) => name.slice(name.lastIndexOf("/") + 1);
const LATEST = "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST" as const;
const REVISION = "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION" as const;
const byRevision = (revision: string, more: Partial<TrafficTarget>): TrafficTarget => ({
  type: REVISION,
  revision,
  ...more,
});

/** gcloud leaves its name on what it changes. */
const CLIENT = { client: "gcloud", clientVersion: "550.0.0" };

async function deploy(name: string): Promise<void> {
  const known = await service(name);
  const template = structuredClone(known.template);
  delete template.revision;
  for (const container of template.containers) container.image = option("image");
  const serving = short(known.latestReadyRevision);
  const pin = (one: TrafficTarget) =>
    one.type === LATEST ? byRevision(serving, { percent: one.percent ?? 0 }) : one;
  let traffic = values["no-traffic"] ? known.traffic.map(pin) : known.traffic;
  if (has("tag")) {
    template.revision = `${name}-${Date.now().toString(36)}-tag`;
    traffic = [
      ...traffic.filter(({ tag }) => tag !== option("tag")),
      byRevision(template.revision, { tag: option("tag") }),
    ];
  }
  const answer = await ask("PATCH", serviceUrl(name), { template, ...CLIENT });
  const { latestReadyRevision } = (await answer.json()) as Service;
  await ask("PATCH", serviceUrl(name), { traffic });
  console.log(`Service [${name}] revision [${short(latestReadyRevision)}] has been deployed.`);
}

/** Tags and percentages are changed apart; a target that has neither goes. */
async function updateTraffic(name: string): Promise<void> {
  const { traffic } = await service(name);
  const [tag, tagged = ""] = option("update-tags").split("=");
  const gone = new Set([tag, ...option("remove-tags").split(",")]);
  let tags = traffic.filter((one) => one.tag).map(({ percent: _, ...one }) => one);
  tags = tags.filter((one) => !gone.has(one.tag));
  if (tag) tags.push(byRevision(tagged, { tag }));
  let shares = traffic.filter((one) => one.percent).map(({ tag: _, ...one }) => one);
  if (values["to-latest"]) shares = [{ type: LATEST, percent: 100 }];
  if (has("to-revisions"))
    shares = [byRevision(option("to-revisions").split("=")[0] ?? "", { percent: 100 })];
  await ask("PATCH", serviceUrl(name), { traffic: [...shares, ...tags], ...CLIENT });
  console.log(`Traffic of [${name}] is updated.`);
}

/** As `--format=json` prints it: in the form of the older API. */
async function describe(name: string): Promise<void> {
  const { uri, template, traffic, latestCreatedRevision, latestReadyRevision } = await service(name);
  const ready = short(latestReadyRevision);
  const told = traffic.map(({ type, revision = ready, percent, tag }) => ({
    revisionName: revision,
    ...(type === LATEST ? { latestRevision: true } : {}),
    ...(percent ? { percent } : {}),
    ...(tag ? { tag, url: uri.replace("://", `://${tag}---`) } : {}),
  }));
  const status = {
    url: uri,
    latestCreatedRevisionName: short(latestCreatedRevision),
    latestReadyRevisionName: ready,
  };
  const spec = { template: { spec: { containers: template.containers.map(({ image }) => ({ image })) } } };
  console.log(JSON.stringify({ spec, status: { ...status, traffic: told } }));
}

/** The new image, and then an execution of it, to its end. */
async function updateJob(name: string): Promise<void> {
  const url = serviceUrl(name).replace("/services/", "/jobs/");
  const { template } = (await (await ask("GET", url)).json()) as Job;
  for (const container of template.template.containers) container.image = option("image");
  await ask("PATCH", url, { template, ...CLIENT });
  if (has("execute-now")) await ask("POST", `${url}:run`, {});
  console.log(`Job [${name}] has been updated.`);
}

/** Shows the log as it comes. */
async function submit(): Promise<void> {
  const pairs = option("substitutions")
    .split(",")
    .map((one) => one.split(/=(.*)/s, 2));
  const url = `https://cloudbuild.googleapis.com/v1/projects/${option("project")}/locations/${option("region")}/builds`;
  const body = { substitutions: Object.fromEntries(pairs), serviceAccount: option("service-account") };
  const { body: log } = await ask("POST", url, body);
  let last = "";
  for await (const piece of log ?? []) {
    last = Buffer.from(piece as Uint8Array).toString();
    process.stdout.write(last);
  }
  if (!last.includes(" SUCCESS")) process.exit(1);
}

async function printIdentityToken(): Promise<void> {
  const account = option("impersonate-service-account");
  const url = `https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/${account}:generateIdToken`;
  const answer = await ask("POST", url, { audience: option("audiences"), includeEmail: true });
  console.log(((await answer.json()) as { token: string }).token);
}

const [name = ""] = positionals.slice(-1);
if (command === "auth print-access-token") console.log(await accessToken());
else if (command === "auth print-identity-token") await printIdentityToken();
else if (command.startsWith("run deploy ")) await deploy(name);
else if (command.startsWith("run services update-traffic ")) await updateTraffic(name);
else if (command.startsWith("run services describe ")) await describe(name);
else if (command.startsWith("run jobs update ")) await updateJob(name);
else if (command.startsWith("builds submit")) await submit();
else {
  console.error(`ERROR: (gcloud) the rehearsal does not know: gcloud ${command}`);
  process.exit(2);
}
