/**
 * Finds whence this Spillway was installed, so that a new installation has the same one: npm notes in the package.json above node_modules
 * what it was asked for. `npx ./spillway-0.1.0.tgz` is such a place, too.
 */
import { existsSync, readFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";

export interface Source {
  /** What a package.json says to have it. */
  spec: string;
  /** The file it came from, which a new installation has to hold; absent: a registry or a repository has it. */
  tarball?: string;
}

/** Finds the source of the package in this folder, whose version is `version`. */
export function sourceOf(packageFolder: string, version: string): Source {
  const asked = specAbove(packageFolder);
  if (asked === undefined) return { spec: `^${version}` };
  const tarball = /^file:(.*\.t(?:ar\.)?gz)$/.exec(asked)?.[1];
  if (tarball !== undefined) return fileSource(resolve(dirname(dirname(packageFolder)), tarball));
  const isElsewhere = /[:/]/.test(asked) && !/^(file|link|workspace|npm|catalog|portal):/.test(asked);
  return { spec: isElsewhere ? asked : `^${version}` };
}

const fileSource = (tarball: string): Source => ({ spec: `file:${basename(tarball)}`, tarball });

function specAbove(packageFolder: string): string | undefined {
  if (basename(dirname(packageFolder)) !== "node_modules") return undefined; // a checkout
  const file = join(dirname(dirname(packageFolder)), "package.json");
  if (!existsSync(file)) return undefined; // installed for all (-g)
  const { dependencies, devDependencies } = JSON.parse(readFileSync(file, "utf8")) as {
    dependencies?: Record<string, string>;
    devDependencies?: Record<string, string>;
  };
  const name = basename(packageFolder);
  return dependencies?.[name] ?? devDependencies?.[name];
}
