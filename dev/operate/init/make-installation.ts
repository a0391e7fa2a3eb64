/**
 * Makes an installation: a copy of template/, with a name of its own and with the Spillway that makes it. It writes into a new or an empty
 * folder only, and nothing at all if it refuses.
 */
import {
  copyFileSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from "node:fs";
import { basename, join, resolve } from "node:path";
import { whyNoPackageName } from "./package-name.ts";
import { sourceOf } from "./spillway-source.ts";

/** It was not made; the message is for people. */
export class NotMade extends Error {}

interface PackageJson {
  name: string;
  version: string;
  dependencies: Record<string, string>;
  devDependencies: Record<string, string>;
}

/** Makes an installation in this folder, of the Spillway in `packageFolder`. Throws a NotMade. */
export function makeInstallation(folder: string, packageFolder: string): void {
  const template = join(packageFolder, "template");
  const own = readPackage(packageFolder);
  const declared = readPackage(template);
  refuseFull(folder);
  const name = basename(resolve(folder));
  const why = whyNoPackageName(name, Object.keys({ ...declared.dependencies, ...declared.devDependencies }));
  if (why) throw new NotMade(`"${name}" can't be the name of a package: ${why}`);
  const { spec, tarball } = sourceOf(resolve(packageFolder), own.version);
  const dependencies = { ...declared.dependencies, spillway: spec };
  try {
    write(folder, template, { ...declared, name, dependencies });
    if (tarball !== undefined) copyFileSync(tarball, join(folder, basename(tarball)));
  } catch (error) {
    throw new NotMade(`${folder} can't be written: ${(error as Error).message}`);
  }
}

function write(folder: string, template: string, declared: PackageJson): void {
  mkdirSync(folder, { recursive: true });
  cpSync(template, folder, { recursive: true });
  renameSync(join(folder, "gitignore"), join(folder, ".gitignore")); // npm leaves a file of that name out of a package
  writeFileSync(join(folder, "package.json"), `${JSON.stringify(declared, null, 2)}\n`);
}

/** Throws if something is there already. A repository that is still empty is not. */
function refuseFull(folder: string): void {
  const [first] = namesIn(folder).filter((name) => name !== ".git");
  if (first !== undefined)
    throw new NotMade(`${folder} is not empty (it holds ${first}): name a new folder, or an empty one`);
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return [];
    throw new NotMade(
      code === "ENOTDIR" ? `${folder} is not a folder` : `${folder} can't be read: ${message}`,
    );
  }
}

const readPackage = (folder: string) =>
  JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as PackageJson;
