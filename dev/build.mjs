// Compiles what runs in production (functions, lib, the migrator) to dist/, with the Lua scripts and the migrations
// beside it, and the client to packages/client/dist/; with the argument dist-test, the functions over the tests' streams
// to dist-test/, which no image holds.
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";

const folder = process.argv[2] ?? "dist";
const project = { dist: "dev/tsconfig.build.json", "dist-test": "dev/tsconfig.test.json" }[folder];
if (project === undefined) throw new Error(`expected dist or dist-test, got "${folder}"`);

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

function compile(project) {
  run("tsc", "--project", project);
}

function run(program, ...args) {
  const { status, error } = spawnSync(`node_modules/.bin/${program}`, args, { stdio: "inherit" });
  if (error !== undefined) throw error; // it is not there: npm ci was not run
  if (status !== 0) process.exit(status ?? 1); // it has said why
}
