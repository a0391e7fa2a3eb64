// Compiles Spillway. Without an argument: what runs in production (functions, lib, the migrator) to dist/, with the Lua scripts and the
// migrations beside it, and the client to packages/client/dist/.
//
//   dist-test   the functions over the tests' streams to dist-test/, which no image holds
//   publishable refuses to publish a package that has no owner yet
//   package     besides what runs in production, what the package has: the command line, spillway/testing, the console's page, and types
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const PROJECTS = {
  dist: "dev/tsconfig.build.json",
  "dist-test": "dev/tsconfig.test.json",
  package: "dev/tsconfig.package.json",
};
const what = process.argv[2] ?? "dist";
if (what === "publishable") {
  refuseWithoutOwner();
  process.exit();
}
const project = PROJECTS[what];
if (project === undefined) throw new Error(`expected dist, dist-test, package or publishable, got "${what}"`);
const folder = what === "package" ? "dist" : what;

process.chdir(fileURLToPath(new URL("..", import.meta.url)));
rmSync(folder, { recursive: true, force: true });
compile(project);
cpSync("lib/buffer/lua", `${folder}/lib/buffer/lua`, { recursive: true });
// The image has no packages/: the functions do without the client.
if (folder === "dist" && existsSync("packages/client")) {
  rmSync("packages/client/dist", { recursive: true, force: true });
  compile("packages/client/tsconfig.build.json");
  run(
    "esbuild",
    ...["packages/client/src/index.ts", "--bundle", "--minify", "--format=esm", "--target=es2022"],
    "--log-level=error",
    "--outfile=packages/client/dist/spillway-client.min.js",
  );
}
if (folder === "dist")
  for (const migrations of ["drizzle/spillway", "drizzle/migrations"])
    if (existsSync(migrations)) cpSync(migrations, `dist/${migrations}`, { recursive: true });
if (what === "package") {
  for (const file of ["dev/stack/beside-function.mjs", "dev/load/end-with-parent.mjs"])
    cpSync(file, `dist/${file}`);
  await bundleConsole("dist/dev/console/page");
  for (const types of ["dist", "packages/client/dist"]) nameCompiledFiles(types);
}

/** Before npm publishes: a fork that nobody has named has no place in a registry. */
function refuseWithoutOwner() {
  const { repository } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
  if (!repository.url.includes("/OWNER/")) return;
  console.error(
    "npm publish: package.json's repository still says OWNER: name yours, and the package, first",
  );
  process.exit(1);
}

/** Writes the console's page, and the licenses of what is bundled in it. */
async function bundleConsole(page) {
  const { register } = await import("tsx/esm/api");
  register();
  const { bundlePage } = await import("./console/bundle.ts");
  mkdirSync(page, { recursive: true });
  for (const [path, { bytes }] of await bundlePage())
    writeFileSync(join(page, path === "/" ? "index.html" : path), bytes);
  const bundled = ["preact", "@preact/signals", "@preact/signals-core", "uplot"];
  const texts = bundled.map(
    (name) => `${name}\n\n${readFileSync(join("node_modules", name, "LICENSE"), "utf8")}`,
  );
  writeFileSync(join(page, "LICENSES"), texts.join("\n\n"));
}

/** Lets declarations import the compiled files: tsc leaves them the names of the sources. */
function nameCompiledFiles(folder) {
  for (const name of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
    if (!name.endsWith(".d.ts")) continue;
    const file = join(folder, name);
    const text = readFileSync(file, "utf8");
    writeFileSync(file, text.replaceAll(/((?:from |import\()"\.{1,2}\/[^"]+)\.ts"/g, '$1.js"'));
  }
}

function compile(project) {
  run("tsc", "--project", project);
}

function run(program, ...args) {
  const { status, error } = spawnSync(`node_modules/.bin/${program}`, args, { stdio: "inherit" });
  if (error !== undefined) throw error; // it is not there: npm ci was not run
  if (status !== 0) process.exit(status ?? 1); // it has said why
}
