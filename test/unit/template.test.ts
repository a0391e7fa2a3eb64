/** What `spillway init` copies (template/) agrees with this repository: packages, image, build, Terraform's module, what is kept out of git. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");
const ours = JSON.parse(read("package.json"));
const theirs = JSON.parse(read("template/package.json"));

test("an installation begins with the packages that Spillway is tested with", () => {
  const { spillway, ...others } = { ...theirs.dependencies, ...theirs.devDependencies };
  expect(spillway).toBe(`^${ours.version}`);
  const tested = { ...ours.peerDependencies, ...ours.dependencies, ...ours.devDependencies };
  for (const [name, version] of Object.entries(others)) expect([name, tested[name]]).toEqual([name, version]);
  expect(theirs.engines).toEqual(ours.engines);
});

describe("the image", () => {
  const lines = (path: string) => read(path).match(/^(FROM|ENV|ENTRYPOINT|CMD|USER|WORKDIR|RUN npm).*$/gm);

  test("has the base, the flags and the program of this repository's image", () => {
    expect(lines("template/Dockerfile")).toEqual(lines("Dockerfile"));
  });

  test("is built from no file that .dockerignore keeps out", () => {
    const kept = read("template/.dockerignore").match(/(?<=^!).*$/gm) ?? [];
    const needed = [
      "package.json",
      "package-lock.json",
      "*.tgz",
      "tsconfig.json",
      "server.ts",
      "streams",
      "drizzle",
    ];
    expect([...kept].sort()).toEqual(needed.sort());
  });
});

describe("cloudbuild.yaml", () => {
  const { steps, options } = parse(read("template/cloudbuild.yaml"));

  test("names no substitution that Terraform does not pass, and takes those of a newer Terraform module", () => {
    const passed = [...read("terraform/build.tf").matchAll(/[\s{](_[A-Z_]+)\s*=/g)].map(([, name]) => name);
    const used = [
      ...read("template/cloudbuild.yaml").matchAll(/\$\{(_[A-Z_]+)/g),
      ...(read("deploy/release.sh") + read("deploy/migrate.sh")).matchAll(/\$\{(_[A-Z_]+)/g),
    ].map(([, name]) => name);
    expect(used.length).toBeGreaterThan(5);
    expect(used.filter((name) => !passed.includes(name))).toEqual([]);
    expect(options).toMatchObject({ substitutionOption: "ALLOW_LOOSE", automapSubstitutions: true });
  });

  test("runs files that the package has", () => {
    const files = JSON.stringify(steps).match(/(?<=node_modules\/spillway\/)[\w./-]+/g) ?? [];
    expect(files).toEqual(["deploy/migrate.sh", "deploy/release.sh"]);
    for (const file of files) expect(existsSync(new URL(`../../${file}`, import.meta.url))).toBe(true);
  });

  test("pulls no image from Docker Hub itself, which limits who pulls without a name", () => {
    for (const { name } of steps) expect(name).toMatch(/^(mirror\.gcr\.io\/|gcr\.io\/|\$\{_IMAGE\})/);
  });
});

describe("terraform/", () => {
  const folder = (path: string) =>
    readdirSync(new URL(`../../${path}`, import.meta.url))
      .filter((file) => file.endsWith(".tf"))
      .map((file) => read(`${path}/${file}`))
      .join("\n");
  const module = folder("terraform");
  const root = folder("template/terraform");
  const declared = (kind: string, text: string) =>
    [...text.matchAll(new RegExp(`^${kind} "(\\w+)"`, "gm"))].map(([, name]) => name);

  test("hands the module variables that it has, all that must be given among them", () => {
    const known = new Map(
      [...module.matchAll(/^variable "(\w+)" \{\n([\s\S]*?)^\}/gm)].map(([, name, body]) => [
        name,
        body ?? "",
      ]),
    );
    const call = /^module "spillway" \{\n([\s\S]*?)^\}/m.exec(root)?.[1] ?? "";
    const given = [...call.matchAll(/^ {2}(\w+)\s*=/gm)]
      .map(([, name]) => name)
      .filter((name) => name !== "source");
    expect(given.filter((name) => !known.has(name))).toEqual([]);
    const required = [...known].filter(([, body]) => !/^ {2}default\s*=/m.test(body)).map(([name]) => name);
    expect(required.length).toBeGreaterThanOrEqual(3);
    expect(required.filter((name) => !given.includes(name))).toEqual([]);
    expect(declared("variable", root).filter((name) => !call.includes(`var.${name}\n`))).toEqual([]);
  });

  test("keeps secret what the module keeps secret", () => {
    const secretsIn = (text: string) =>
      [...text.matchAll(/^variable "(\w+)" \{\n([\s\S]*?)^\}/gm)]
        .filter(([, , body]) => /^ {2}sensitive\s*= true/m.test(body ?? ""))
        .map(([, name]) => name);
    const mine = declared("variable", root);
    expect(secretsIn(root).sort()).toEqual(
      secretsIn(module)
        .filter((name) => mine.includes(name))
        .sort(),
    );
  });

  test("says what --prod and the README ask it", () => {
    const asked = [
      ...read("dev/operate/deployed.ts").matchAll(/outputs\("(\w+)"\)/g),
      ...read("template/README.md").matchAll(/output -raw (\w+)/g),
    ].map(([, name]) => name);
    expect(asked.length).toBeGreaterThanOrEqual(5);
    expect(asked.filter((name) => !declared("output", root).includes(name))).toEqual([]);
    for (const name of declared("output", root)) {
      expect(root).toContain(`value = module.spillway.${name}\n`);
      expect(declared("output", module)).toContain(name);
    }
  });

  test("says in its example each value that must be given and is no secret", () => {
    const example = read("template/terraform/terraform.tfvars.example");
    const said = [...example.matchAll(/^(?:# )?(\w+)\s+= /gm)].map(([, name]) => name);
    expect(said.filter((name) => !declared("variable", root).includes(name))).toEqual([]);
    expect(said).toEqual(expect.arrayContaining(["project_id", "alert_email", "api_keys"]));
  });
});

test("what is local or secret is kept out of git, of a build and of an image", () => {
  const lines = (path: string) => read(path).match(/^[^#\n].*$/gm) ?? [];
  const secret = [".env", "*.tfvars", "*.tfstate*", "node_modules/", ".local/"];
  for (const path of ["template/gitignore", "template/.gcloudignore"])
    expect(lines(path)).toEqual(expect.arrayContaining(secret));
  expect(lines("template/.dockerignore")[0]).toBe("*");
});

test("its README links only pages and headings that the package has", () => {
  const links = [
    ...read("template/README.md").matchAll(/\]\(node_modules\/spillway\/([^)#]*)(?:#([^)]*))?\)/g),
  ];
  expect(links.length).toBeGreaterThan(4);
  for (const [, path = "", anchor] of links) {
    const headings = (read(path).match(/^#+ .*$/gm) ?? []).map((line) =>
      line
        .replace(/^#+ /, "")
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
        .replaceAll(" ", "-"),
    );
    if (anchor !== undefined) expect(headings).toContain(anchor);
  }
});
