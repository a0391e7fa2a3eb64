/**
 * Builds an installation: its entry point, its streams and all that they import, compiled to dist/, with the migrations beside them. tsc
 * checks the types, by the installation's own tsconfig.json; if they have errors, dist/ stays as it was. In a checkout of Spillway,
 * dev/build.mjs does the same.
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { cp, rename, rm } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { BUILT, type Installation } from "../../lib/installation.ts";
import { linkedProgram } from "./package-files.ts";

type Compiled = Pick<Installation, "root" | "names" | "main">;

/** Builds it. Returns what is wrong, for people; empty: nothing is. */
export async function buildInstallation(installation: Installation): Promise<string> {
  const { root, names, local } = installation;
  const ownBuild = fileURLToPath(new URL("../build.mjs", import.meta.url));
  if (existsSync(ownBuild) && join(root, "dev/build.mjs") === ownBuild) {
    const { status } = spawnSync(process.execPath, [ownBuild], { stdio: ["ignore", "inherit", "inherit"] });
    return status === 0 ? "" : "Spillway itself was not built";
  }
  const missing = missingIn(installation);
  if (missing !== undefined) return missing;
  const folder = join(local, "build");
  await rm(folder, { recursive: true, force: true });
  const complaints = await compile(installation, folder);
  if (complaints !== "") return complaints;
  await copyMigrations(root, names.migrations, folder);
  await rm(join(root, BUILT), { recursive: true, force: true });
  await rename(folder, join(root, BUILT));
  return "";
}

function missingIn({ root, main }: Installation): string | undefined {
  if (!main.startsWith(`${BUILT}/`) || !main.endsWith(".js"))
    return `${join(root, "package.json")}: expected "main" to be a file of ${BUILT}/, such as "dist/server.js", got "${main}"`;
  const entry = join(root, entryOf(main));
  if (!existsSync(entry))
    return `${entry} is missing: package.json's "main" is ${main}, which is compiled from it`;
  if (!existsSync(join(root, "tsconfig.json"))) return `${join(root, "tsconfig.json")} is missing`;
  return undefined;
}

/** An image has only dist/, and the migrator and the doctor want the migrations. */
async function copyMigrations(root: string, name: string, folder: string): Promise<void> {
  const from = join(root, name);
  if (!existsSync(from)) return;
  const to = join(folder, name);
  mkdirSync(dirname(to), { recursive: true });
  await cp(from, to, { recursive: true });
}

const entryOf = (main: string): string => relative(BUILT, main).replace(/\.js$/, ".ts");

/** Compiles the installation into a folder. Returns what tsc complains of, as it prints it; empty: nothing. */
export async function compile(installation: Compiled, folder: string, signal?: AbortSignal): Promise<string> {
  const { root } = installation;
  const tsc = linkedProgram(root, "tsc");
  if (tsc === undefined) return "typescript is not installed: npm install --save-dev typescript";
  const args = ["--project", writeProject(installation, folder), "--pretty", "false"];
  const { status, said } = await run(tsc, args, root, signal);
  return status === 0 ? "" : said.trim() || `tsc ended with status ${status}`;
}

/** Writes what tsc is to compile. The installation's tsconfig.json says how. */
function writeProject({ root, names, main }: Compiled, folder: string): string {
  const from = join(root, ".local");
  const at = (path: string) => relative(from, join(root, path));
  mkdirSync(from, { recursive: true });
  const file = join(from, "tsconfig.build.json");
  const project = {
    extends: "../tsconfig.json",
    compilerOptions: {
      ...{ rootDir: "..", outDir: folder, noEmit: false, noEmitOnError: true, declaration: false },
      ...{ sourceMap: false, allowImportingTsExtensions: true, rewriteRelativeImportExtensions: true },
    },
    files: existsSync(join(root, entryOf(main))) ? [at(entryOf(main))] : [],
    include: [at(names.streams)],
  };
  writeFileSync(file, `${JSON.stringify(project, null, 2)}\n`);
  return file;
}

function run(tsc: string, args: string[], cwd: string, signal: AbortSignal | undefined) {
  return new Promise<{ status: number; said: string }>((resolve, reject) => {
    const child = spawn(tsc, args, { cwd, signal, stdio: ["ignore", "pipe", "pipe"] });
    let said = "";
    for (const output of [child.stdout, child.stderr]) output?.on("data", (piece) => (said += String(piece)));
    child.once("error", reject);
    child.once("close", (status) => resolve({ status: status ?? 1, said }));
  });
}
