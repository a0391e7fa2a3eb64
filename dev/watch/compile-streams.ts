/**
 * Compiles an installation: its entry point, its streams, and all that they import, into a folder. tsc checks their types, by the
 * installation's own tsconfig.json; with an error it writes nothing.
 */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { cp, rm } from "node:fs/promises";
import { join, relative } from "node:path";
import { BUILT, type Installation } from "../../lib/installation.ts";
import { linkedProgram } from "../stack/package-files.ts";

type Compiled = Pick<Installation, "root" | "names" | "main">;

/**
 * Compiles what may have changed, with everything else as `npm start` has compiled it, into a folder of its own. Returns what tsc complains
 * of, as it prints it; empty: nothing, and the folder is complete.
 */
export async function compileStreams(
  installation: Compiled,
  folder: string,
  signal?: AbortSignal,
): Promise<string> {
  const { root, names } = installation;
  await rm(folder, { recursive: true, force: true });
  const old = join(root, BUILT, names.streams);
  const filter = (file: string) => !`${file}/`.startsWith(old);
  await cp(join(root, BUILT), folder, { recursive: true, filter });
  const complaints = await compile(installation, folder, signal);
  if (complaints !== "") await rm(folder, { recursive: true, force: true });
  return complaints;
}

/** Compiles the installation into a folder, and returns what tsc complains of. */
export async function compile(installation: Compiled, folder: string, signal?: AbortSignal): Promise<string> {
  const { root } = installation;
  const tsc = linkedProgram(root, "tsc");
  if (tsc === undefined) return "typescript is not installed: npm install --save-dev typescript";
  const args = ["--project", writeProject(installation, folder), "--pretty", "false"];
  const { status, said } = await run(tsc, args, root, signal);
  return status === 0 ? "" : said.trim() || `tsc ended with status ${status}`;
}

/** Writes what tsc is to compile, beside the installation's tsconfig.json, which says how. */
function writeProject({ root, names, main }: Compiled, folder: string): string {
  const from = join(root, ".local");
  const at = (path: string) => relative(from, join(root, path));
  mkdirSync(from, { recursive: true });
  const file = join(from, "tsconfig.build.json");
  const entry = relative(BUILT, main).replace(/\.js$/, ".ts");
  const project = {
    extends: "../tsconfig.json",
    compilerOptions: {
      ...{ rootDir: "..", outDir: folder, noEmit: false, noEmitOnError: true, declaration: false },
      ...{ sourceMap: false, allowImportingTsExtensions: true, rewriteRelativeImportExtensions: true },
    },
    files: existsSync(join(root, entry)) ? [at(entry)] : [],
    include: [at(names.streams)],
  };
  writeFileSync(file, `${JSON.stringify(project, null, 2)}\n`);
  return file;
}

function run(
  tsc: string,
  args: string[],
  cwd: string,
  signal: AbortSignal | undefined,
): Promise<{ status: number; said: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(tsc, args, { cwd, signal, stdio: ["ignore", "pipe", "pipe"] });
    let said = "";
    for (const output of [child.stdout, child.stderr]) output?.on("data", (piece) => (said += String(piece)));
    child.once("error", reject);
    child.once("close", (status) => resolve({ status: status ?? 1, said }));
  });
}
