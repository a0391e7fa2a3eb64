/**
 * Terraform and the rest of Spillway speak of the same things: the environment's names, the playbooks that alerts
 * link, the log events that metrics read. What Terraform makes of its own files is tested by terraform/tests.
 */
import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { environmentNames } from "../../lib/config.ts";
import { isOverHttp } from "../../lib/postgres-url.ts";

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");

const environment = read("terraform/environment.tf").replaceAll(/#.*$/gm, "");

/** The names in one of environment.tf's locals: the keys of a map, or the strings of a list. */
function namesIn(local: string): string[] {
  const block = new RegExp(`^  ${local}\\s*= ([[{])\\n([^]*?)^  [\\]}]`, "m").exec(environment);
  if (block === null)
    throw new Error(`expected a map or a list "${local}" in terraform/environment.tf, got none`);
  const name = block[1] === "{" ? /^ {4}([A-Z_]+)\s*=/gm : /"([A-Z_]+)"/g;
  return [...(block[2] ?? "").matchAll(name)].map((match) => match[1] ?? "");
}

const setFor = {
  ingest: ["common_env", "ingest_env", "ingest_secrets"].flatMap(namesIn),
  supervisor: ["common_env", "supervisor_env", "supervisor_secrets"].flatMap(namesIn),
};
const deliberatelyDefault = namesIn("deliberately_default");

test("every name of the configuration is set by Terraform or left to its default on purpose, and no other", () => {
  const known = new Set([...setFor.ingest, ...setFor.supervisor, ...deliberatelyDefault]);
  expect([...known].sort()).toEqual([...environmentNames].sort());
});

test("a webhook's secret can have none of the configuration's names", () =>
  expect(namesIn("own_names").sort()).toEqual([...environmentNames].sort()));

test("no name is set twice for one service, or both set and left to its default", () => {
  for (const names of Object.values(setFor)) expect(names).toHaveLength(new Set(names).size);
  expect(
    deliberatelyDefault.filter((name) => [...setFor.ingest, ...setFor.supervisor].includes(name)),
  ).toEqual([]);
});

test("no service sets a name past environment.tf", () => {
  for (const file of readdirSync(new URL("../../terraform/", import.meta.url))) {
    if (!file.endsWith(".tf") || file === "environment.tf") continue;
    expect(read(`terraform/${file}`), file).not.toMatch(/^\s+env \{/m);
  }
});

test("only the supervisor goes without the API keys, and both know where Redis and Postgres are", () => {
  expect(setFor.supervisor).not.toContain("INGEST_API_KEYS");
  for (const name of ["UPSTASH_REDIS_REST_URL", "UPSTASH_REDIS_REST_TOKEN", "REDIS_URL", "DATABASE_URL"]) {
    expect(setFor.ingest).toContain(name);
    expect(setFor.supervisor).toContain(name);
  }
});

/** The literal in a line of Terraform that begins with this name, as a regular expression of JavaScript. */
function regexOf(file: string, name: string): RegExp {
  const [, literal = ""] =
    new RegExp(`^  ${name} .*regex\\(("(?:[^"\\\\]|\\\\.)*")`, "m").exec(read(file)) ?? [];
  return new RegExp((JSON.parse(literal) as string).replace("(?i:", "(?:"), "i");
}

test.each([
  "postgres://u:p@ep-a.us-east-1.aws.neon.tech/db?sslmode=require",
  "postgres://u:p@ep-a.eu.azure.NEON.tech:5432/db?sslmode=require",
  "postgres://u:p@ep-a.us-east-2.aws.neon.build/db?sslmode=require",
  "postgres://u:p@neon.tech.example.org/db?sslmode=require",
  "postgres://u:p@db.example.org/ep-a.aws.neon.tech/?sslmode=require",
  "postgres://u:p@myneon.tech/db?sslmode=require",
  "postgres://u:p@10.0.0.3:5432/db",
  "postgres://u:p@/db?host=/cloudsql/a-project:us-east4:main",
])("Terraform counts connections for %s exactly if the code opens any", (url) => {
  const isNeons = regexOf("terraform/postgres.tf", "database_is_over_tcp");
  expect(isNeons.test(url)).toBe(isOverHttp(url, undefined));
});

test("Terraform counts as many connections as the functions open", () => {
  const summed = /^ {2}connections_over_tcp = (.*)$/m.exec(read("terraform/postgres.tf"))?.[1];
  expect(summed).toBe(
    "var.drain_concurrency + var.ingest_max_instances * (var.write_through_concurrency + 1) + 1",
  );
  expect(read("functions/wire-ingest.ts")).toContain(
    "openServers(config, config.writeThroughConcurrency + 1)",
  );
  expect(read("functions/wire-supervisor.ts")).toContain("openServers(config, config.drainConcurrency)");
});

/** The anchors that GitHub makes of a page's headings. */
const anchors = [...read("docs/operations.md").matchAll(/^#+ (.+)$/gm)].map((match) =>
  (match[1] ?? "")
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
    .replaceAll(" ", "-"),
);

test("every alert's playbook is a heading of docs/operations.md", () => {
  const alerts = [...read("terraform/alerts.tf").matchAll(/^ {4}([a-z]+(?:-[a-z]+)*)\s*= \{/gm)].map(
    (match) => match[1] ?? "",
  );
  expect(alerts).toHaveLength(10);
  expect(alerts.filter((alert) => !anchors.includes(alert))).toEqual([]);
});

/** The text of docs/operations.md from a heading to the next one. */
function sectionOf(anchor: string): string {
  const parts = read("docs/operations.md").split(/^#+ /m);
  const anchorOf = (part: string) => (part.split("\n")[0] ?? "").toLowerCase().replaceAll(" ", "-");
  return parts.find((part) => anchorOf(part) === anchor) ?? "";
}

test("every alert's playbook says which check of the doctor shows the same, and what the console says", () => {
  const checks = [...sectionOf("the-doctor").matchAll(/^\| `([a-z-]+)`/gm)].map(([, check]) => check);
  expect(checks.length).toBeGreaterThan(30);
  for (const [, alert = ""] of read("terraform/alerts.tf").matchAll(/^ {4}([a-z]+(?:-[a-z]+)*)\s*= \{/gm)) {
    const said = /The doctor: ([\s\S]*?)The\s+console:\s\S/.exec(sectionOf(alert))?.[1];
    expect(said, alert).toBeDefined();
    const named = [...(said ?? "").matchAll(/`([^`]+)`/g)].map(([, name]) => name);
    if (!said?.includes("no check")) expect(named.length, alert).toBeGreaterThan(0);
    expect(
      named.filter((name) => !checks.includes(name)),
      alert,
    ).toEqual([]);
  }
});

test("every log event that a metric or an alert reads is said by the code and explained in docs/operations.md", () => {
  const terraform = read("terraform/metrics.tf") + read("terraform/alerts.tf");
  const events = new Set(
    [...terraform.matchAll(/jsonPayload\.event=(\(.*?\)|\\"[^"\\]+)/g)].flatMap((match) =>
      [...(match[1] ?? "").matchAll(/[a-z]+\.[a-z]+/g)].map(([event]) => event),
    ),
  );
  const code = readdirSync(new URL("../../lib/", import.meta.url), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .map((file) => read(`lib/${file}`))
    .join("\n");
  const docs = read("docs/operations.md");
  expect(events.size).toBeGreaterThanOrEqual(9);
  for (const event of events) {
    expect(code, event).toContain(`"${event}"`);
    expect(docs, event).toContain(`\`${event}\``);
  }
});

/** What Terraform turns on, by its own list. */
const apis = [...read("terraform/apis.tf").matchAll(/"([a-z]+)\.googleapis\.com"/g)].map(
  ([, api]) => `${api}.googleapis.com`,
);

test.each(["README.md", "docs/first-deploy.md"])(
  "the gcloud line of %s turns on every API that Terraform needs",
  (page) => {
    const line = /gcloud services enable ((?:.*\\\n)*.*)/.exec(read(page))?.[1] ?? "";
    const enabled = line.split(/[\s\\]+/);
    expect(apis.length).toBeGreaterThanOrEqual(12);
    expect([...apis, "serviceusage.googleapis.com"].filter((api) => !enabled.includes(api))).toEqual([]);
  },
);

test("no provider changes under a deployment: of each, only corrections are taken", () => {
  const versions = [...read("terraform/versions.tf").matchAll(/^ {6}version = "(.*)"$/gm)].map(
    ([, version]) => version,
  );
  expect(versions).toHaveLength(3);
  for (const version of versions) expect(version).toMatch(/^~> \d+\.\d+\.\d+$/);
});

test("no secret text has a check of its own, because Terraform prints the value of the variable whose check fails", () => {
  const text = read("terraform/variables.tf") + read("terraform/variables-own-servers.tf");
  const variables = [...text.matchAll(/^variable "(\w+)" \{\n([\s\S]*?)^\}/gm)];
  const secrets = variables.filter(
    ([, , block = ""]) => /type += string/.test(block) && /sensitive += true/.test(block),
  );
  expect(secrets.map(([, name]) => name).sort()).toEqual([
    "database_migration_url",
    "database_url",
    "neon_api_key",
    "redis_rest_token",
    "redis_url",
    "upstash_api_key",
  ]);
  expect(secrets.filter(([, , block]) => block?.includes("validation {"))).toEqual([]);
});
