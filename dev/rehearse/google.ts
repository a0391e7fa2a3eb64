/**
 * Google's other APIs, for the rehearsal. Most of them only keep what they are given: create (POST to a collection), get, change
 * (PATCH), delete, and the policies. What else the deployment needs is in OWN: enabling an API, secrets' versions, tokens, tasks, images.
 * An API that is not enabled refuses. The Owner may do everything; anybody else needs the role that Terraform has to give.
 */
import { type Asked, type HttpTarget, OWNER } from "./asked.ts";
import type { Cloud } from "./cloud.ts";
import type { Service } from "./cloud-run.ts";
import { type Job, runJob } from "./jobs.ts";
import { Refused, type Resource } from "./resources.ts";

/** APIs that work before Terraform enables any (README, "Deploy"). */
const ALWAYS_ON = ["serviceusage.googleapis.com", "cloudresourcemanager.googleapis.com"];

/** Throws unless the caller is the Owner or has one of these roles on what it asks for. */
function demand(cloud: Cloud, { caller, path }: Asked, name: string, ...roles: string[]): void {
  if (caller === OWNER || cloud.resources.has(name, caller, ...roles)) return;
  const message = `Permission denied: ${caller ?? "a caller without a token"} needs ${roles.join(" or ") || "to be Owner"} on ${name} (${path})`;
  throw new Refused(403, message, "PERMISSION_DENIED");
}

const accountName = (project: string, email: string) => `projects/${project}/serviceAccounts/${email}`;
const projectOf = (path: string) => /^projects\/([^/]+)/.exec(path)?.[1] ?? "";

type Answer = (cloud: Cloud, asked: Asked, match: string[]) => unknown;

/** Answers a request, or throws Refused. */
export async function answerGoogle(cloud: Cloud, asked: Asked): Promise<unknown> {
  refuseDisabledApi(cloud, asked);
  for (const [method, host, path, answer] of OWN) {
    const match = path.exec(asked.path);
    if (asked.method === method && host.test(asked.host) && match)
      return answer(cloud, asked, match.slice(1));
  }
  return answerPolicy(cloud, asked) ?? keep(cloud, asked);
}

function refuseDisabledApi({ resources }: Cloud, { host, path }: Asked): void {
  if (!host.endsWith(".googleapis.com") || ALWAYS_ON.includes(host)) return;
  if (resources.names.some((name) => name.endsWith(`/services/${host}`))) return;
  throw new Refused(
    403,
    `${host} has not been used in project ${projectOf(path)} before or it is disabled.`,
    "SERVICE_DISABLED",
  );
}

/** NAME:getIamPolicy and NAME:setIamPolicy; Storage has NAME/iam, which is read and put. */
function answerPolicy(cloud: Cloud, asked: Asked): unknown {
  const [, name, what] = /^(.+)(:[gs]etIamPolicy|(?<=^storage.*)\/iam)$/.exec(asked.path) ?? [];
  if (name === undefined) return undefined;
  demand(cloud, asked, name);
  const { policy = asked.body } = asked.body as { policy?: { bindings?: [] } };
  const isChange = what === ":setIamPolicy" || asked.method === "PUT";
  if (isChange) cloud.resources.setPolicy(name, (policy.bindings as []) ?? []);
  return { bindings: cloud.resources.policyOf(name) };
}

/** Create, get, change, delete. The id of a new resource is in its query, its name or its body, as each API has it. */
function keep(cloud: Cloud, asked: Asked): Resource | object {
  const { method, path, body, query } = asked;
  const { resources } = cloud;
  if (method !== "GET") demand(cloud, asked, path);
  if (method === "GET") return resources.get(path);
  if (method === "PATCH" || method === "PUT") return Object.assign(resources.get(path), body);
  if (method === "DELETE") {
    resources.delete(path);
    return {};
  }
  const [given] = [...query].filter(([key]) => key.endsWith("Id")).map(([, value]) => value);
  const id = given ?? `${body.name ?? resources.names.length}`;
  return resources.create({ ...body, name: id.startsWith("projects/") ? id : `${path}/${id}` });
}

/** The metadata server gives tokens of whoever runs behind this door. */
const giveAccessToken: Answer = ({ credentials }, { through }) => ({
  access_token: credentials.accessToken(through),
  expires_in: 3599,
});

const enableApi: Answer = ({ resources }, _, [name = ""]) => {
  if (resources.find(name) === undefined) resources.create({ name, state: "ENABLED" });
  return { done: true };
};

const createAccount: Answer = (cloud, asked, [project = ""]) => {
  demand(cloud, asked, project);
  const { accountId, serviceAccount } = asked.body as { accountId: string; serviceAccount: object };
  const id = projectOf(asked.path);
  const email = `${accountId}@${id}.iam.gserviceaccount.com`;
  return cloud.resources.create({ ...serviceAccount, email, name: accountName(id, email) });
};

const giveIdToken: Answer = (cloud, asked, [email = ""]) => {
  const [project] = /(?<=@)[^.]+/.exec(email) ?? [];
  const roles = ["roles/iam.serviceAccountOpenIdTokenCreator", "roles/iam.serviceAccountTokenCreator"];
  const account = accountName(project ?? "", email);
  // The right to become an account is not among a project owner's.
  if (!cloud.resources.has(account, asked.caller, ...roles))
    throw new Refused(403, `Permission 'iam.serviceAccounts.getOpenIdToken' denied on ${account}`);
  return { token: cloud.credentials.idToken(email, `${asked.body.audience}`) };
};

const addVersion: Answer = (cloud, asked, [secret = ""]) => {
  demand(cloud, asked, secret);
  const number = cloud.resources.list(`${secret}/versions`).length + 1;
  return cloud.resources.create({ ...asked.body, name: `${secret}/versions/${number}` });
};

const accessVersion: Answer = (cloud, asked, [secret = "", , version]) => {
  demand(cloud, asked, secret, "roles/secretmanager.secretAccessor");
  const newest = cloud.resources.list(`${secret}/versions`).length;
  return cloud.resources.get(`${secret}/versions/${version === "latest" ? newest : version}`);
};

/** The queue's own target wins over the task's: it has the token. */
const createTask: Answer = (cloud, asked, [name = ""]) => {
  const queue = cloud.resources.get(name) as Resource & { httpTarget: HttpTarget };
  demand(cloud, asked, name, "roles/cloudtasks.enqueuer");
  const account = queue.httpTarget.oidcToken?.serviceAccountEmail ?? "";
  demand(cloud, asked, accountName(projectOf(name), account), "roles/iam.serviceAccountUser");
  const { task } = asked.body as { task: { httpRequest: HttpTarget } };
  cloud.beside(cloud.call("tasks", { ...task.httpRequest, ...queue.httpTarget }));
  return { name: `${name}/tasks/1` };
};

/** A revision runs as its account, so whoever deploys it needs to act as that. */
const patchService: Answer = (cloud, asked, [name = ""]) => {
  demand(cloud, asked, name, "roles/run.developer");
  const given = asked.body as Partial<Service>;
  const account = given.template?.serviceAccount;
  if (account) demand(cloud, asked, accountName(projectOf(name), account), "roles/iam.serviceAccountUser");
  return cloud.run.updateService(name, given);
};

/** As for a service, and running it is a right of the same role. */
const patchJob: Answer = (cloud, asked, [name = ""]) => {
  const { template } = (cloud.resources.get(name) as Job).template;
  demand(cloud, asked, name, "roles/run.developer");
  demand(cloud, asked, accountName(projectOf(name), template.serviceAccount), "roles/iam.serviceAccountUser");
  return Object.assign(cloud.resources.get(name), asked.body);
};

const startJob: Answer = (cloud, asked, [name = ""]) => {
  demand(cloud, asked, name, "roles/run.developer");
  return runJob(cloud, name);
};

const pushImage: Answer = (cloud, asked, [path = "", tag]) => {
  const [project, repository, image] = path.split("/");
  const location = asked.host.replace("-docker.pkg.dev", "");
  const name = `projects/${project}/locations/${location}/repositories/${repository}`;
  demand(cloud, asked, name, "roles/artifactregistry.writer");
  cloud.images.add(`${asked.host}/${project}/${repository}/${image}:${tag}`);
  return {};
};

/** What is more than keeping: method, host, path. */
const OWN: [string, RegExp, RegExp, Answer][] = [
  ["GET", /^metadata\.google\.internal$/, /project\/project-id$/, () => "rehearsal"],
  ["GET", /^metadata\.google\.internal$/, /default\/token$/, giveAccessToken],
  ["POST", /^serviceusage/, /^(projects\/[^/]+\/services\/([^/]+)):enable$/, enableApi],
  ["POST", /^iamcredentials/, /^projects\/-\/serviceAccounts\/([^/]+):generateIdToken$/, giveIdToken],
  ["POST", /^iam\./, /^(projects\/[^/]+)\/serviceAccounts$/, createAccount],
  ["POST", /^secretmanager/, /^(projects\/.+\/secrets\/[^/]+):addVersion$/, addVersion],
  ["GET", /^secretmanager/, /^(projects\/.+\/secrets\/([^/]+))\/versions\/([^/]+):access$/, accessVersion],
  ["POST", /^cloudtasks/, /^(projects\/.+\/queues\/[^/]+)\/tasks$/, createTask],
  [
    "POST",
    /^run\./,
    /^(projects\/.+\/services)$/,
    (cloud, { query, body }, [collection]) =>
      cloud.run.createService(`${collection}/${query.get("serviceId")}`, body),
  ],
  ["PATCH", /^run\./, /^(projects\/.+\/services\/[^/]+)$/, patchService],
  ["PATCH", /^run\./, /^(projects\/.+\/jobs\/[^/]+)$/, patchJob],
  ["POST", /^run\./, /^(projects\/.+\/jobs\/[^/]+):run$/, startJob],
  [
    "DELETE",
    /^run\./,
    /^(projects\/.+\/services\/[^/]+)$/,
    (cloud, _, [name = ""]) => cloud.run.deleteService(name).then(() => ({})),
  ],
  ["PUT", /-docker\.pkg\.dev$/, /^(.+)\/manifests\/([^/]+)$/, pushImage],
];
