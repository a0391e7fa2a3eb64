/** A copy of the project that a test may change, in a folder whose name is hard on careless paths. */
import { cpSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const project = fileURLToPath(new URL("../../", import.meta.url));

/** Copies what `npm start` and the migrations need, and `more`; node_modules are the project's own. */
export function copyProject(more: readonly string[] = []) {
  const folder = mkdtempSync(join(tmpdir(), "spillway copy ä "));
  for (const name of [
    "bin",
    "functions",
    "lib",
    "drizzle",
    "dev",
    "packages",
    "package.json",
    "tsconfig.json",
    ...more,
  ])
    cpSync(join(project, name), join(folder, name), { recursive: true });
  symlinkSync(join(project, "node_modules"), join(folder, "node_modules"));
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}
