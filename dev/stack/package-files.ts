/** Finds the files of Spillway itself: TypeScript in a checkout, JavaScript below dist/ in the package. And programs of other packages. */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, extname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The folder that has dev/, lib/ and functions/. */
const root = fileURLToPath(new URL("../..", import.meta.url));

/** A module of ours, by its path in a checkout, such as `dev/surge/functions.ts`. */
export const ownModule = (path: string): string =>
  join(root, path.replace(/\.ts$/, extname(import.meta.url)));

/** The program of functions-framework, of which there is one: Spillway and the installation share it. */
export const frameworkProgram = (): string =>
  join(dirname(createRequire(import.meta.url).resolve("@google-cloud/functions-framework")), "main.js");

/** A program that an npm package of the installation brings, as npm links it there or above; undefined: it is not installed. */
export function linkedProgram(folder: string, name: string): string | undefined {
  const file = join(folder, "node_modules/.bin", name);
  if (existsSync(file)) return file;
  const parent = dirname(folder);
  return parent === folder ? undefined : linkedProgram(parent, name);
}
