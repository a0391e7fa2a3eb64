/**
 * Order in Terraform: nothing of Google's is made before its API is on. A new project answers SERVICE_DISABLED to whatever comes
 * earlier. Terraform knows an order only where one block names another, so this test follows names from block to block. It reads
 * the text, and so needs neither terraform nor providers.
 */
import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";

const folder = new URL("../../terraform/", import.meta.url);

/** Each block and local value of a folder of Terraform files, by its address, with its text. */
function blocksIn(text: string): Map<string, string> {
  const blocks = new Map<string, string>();
  for (const [, kind, first = "", second, body = ""] of text.matchAll(
    /^(resource|module|locals) ?(?:"([^"]+)" )?(?:"([^"]+)" )?\{\n([\s\S]*?)^\}$/gm,
  )) {
    if (kind === "resource") blocks.set(`${first}.${second}`, body);
    else if (kind === "module") blocks.set(`module.${first}`, body);
    else for (const [name, value] of localsIn(body)) blocks.set(`local.${name}`, value);
  }
  return blocks;
}

/** The values of one block `locals`: terraform fmt indents their names by two spaces, and all else by more. */
function localsIn(body: string): [string, string][] {
  return [...body.matchAll(/^ {2}(\w+) +=((?:.*\n)(?:(?: {4,}.*| {2}[\]})].*)?\n)*)/gm)].map(
    ([, name = "", value = ""]) => [name, value],
  );
}

const text = readdirSync(folder)
  .filter((file) => file.endsWith(".tf"))
  .map((file) => readFileSync(new URL(file, folder), "utf8").replaceAll(/(^|\s)#.*$/gm, ""))
  .join("\n");
const blocks = blocksIn(text);

/** The addresses that a block names. */
const namedBy = (address: string): string[] =>
  [...blocks.keys()].filter(
    (other) =>
      other !== address &&
      new RegExp(`\\b${other.replaceAll(".", "\\.")}\\b`).test(blocks.get(address) ?? ""),
  );

/** Whether Terraform makes the target before it. */
function waitsFor(address: string, target: string, seen = new Set<string>()): boolean {
  if (address === target) return true;
  if (seen.has(address)) return false;
  seen.add(address);
  return namedBy(address).some((other) => waitsFor(other, target, seen));
}

const made = [...blocks.keys()].filter((address) => /^(google_|module\.)/.test(address));

test("the files are read whole", () => {
  expect(made.length).toBe([...text.matchAll(/^(resource "google_|module ")/gm)].length);
  expect(made.length).toBeGreaterThan(20);
  expect(namedBy("google_cloud_scheduler_job.drain")).toContain("local.scheduler_deadline_seconds");
});

test("nothing of Google's is made before the APIs are on", () => {
  expect(made.filter((address) => !waitsFor(address, "google_project_service.this"))).toEqual([]);
});

test("no plan takes back what Cloud Build deploys, and what Cloud Run says of itself", () => {
  const service = readFileSync(new URL("service/service.tf", folder), "utf8");
  const ignored = /ignore_changes = \[([^\]]*(?:\[0\][^\]]*)*)\]\n/.exec(service)?.[1] ?? "";
  expect(
    ignored
      .split(",")
      .map((field) => field.trim())
      .filter(Boolean),
  ).toEqual([
    "client",
    "client_version",
    "scaling",
    "traffic",
    "template[0].annotations",
    "template[0].labels",
    "template[0].containers[0].image",
  ]);
});

test("a database is not made anew because its vendor answers in other words, it was renamed, or a restored branch leads", () => {
  expect(blocks.get("upstash_redis_database.this")).toMatch(
    /ignore_changes\s+= \[region, multizone, database_name\]/,
  );
  expect(blocks.get("neon_project.this")).toMatch(/ignore_changes\s+= \[branch\]/);
});

test("a service is made when its right to read its secrets has become known", () => {
  const grant = "google_secret_manager_secret_iam_member.reader";
  expect(blocks.get(grant)).toMatch(
    /provisioner "local-exec" \{\s+command\s+= "sleep \$\{var\.grant_wait_seconds\}"\s+on_failure\s+= continue\s+\}/,
  );
  expect(["module.ingest", "module.supervisor"].filter((service) => !waitsFor(service, grant))).toEqual([]);
});
