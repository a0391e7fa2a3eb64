/** Finds programs of this machine, and installs Debian's packages of those that are missing. */
import { execFile } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";

/** Returns the path of the first of these programs that is in a folder of the PATH; undefined: none is. */
export function onPath(...names: string[]): string | undefined {
  const folders = (process.env.PATH ?? "").split(delimiter).filter(Boolean);
  return names.flatMap((name) => folders.map((folder) => join(folder, name))).find(isExecutable);
}

export function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Installs a package of Debian's, and says so. Needs root. Throws what apt-get says. */
export async function installWithApt(name: string): Promise<void> {
  console.error(`${name} is not on the PATH: installing it with apt-get …`);
  const run = promisify(execFile);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  await run("apt-get", ["update"], { env });
  await run("apt-get", ["install", "-y", "--no-install-recommends", name], {
    env,
    maxBuffer: 64 * 1024 * 1024,
  });
}
