/** The installation for which a command works: that of the working directory, and its streams. */
import { pathToFileURL } from "node:url";
import { findInstallation, type Installation } from "../../lib/installation.ts";
import { loadStreams, type Registry } from "../../lib/schema/registry.ts";
import { CommandFailed } from "./command-line.ts";

/** Finds it. Throws a CommandFailed if the working directory is in none. */
export function yourInstallation(): Installation {
  try {
    return findInstallation();
  } catch (error) {
    throw new CommandFailed((error as Error).message);
  }
}

/** Loads its streams. Throws a CommandFailed with a declaration's own words: no event's data are in them. */
export function loadYourStreams(): Promise<Registry> {
  const { streams } = yourInstallation();
  return loadStreams(pathToFileURL(streams)).catch((error: NodeJS.ErrnoException) => {
    const cure = error.code === "ERR_UNKNOWN_FILE_EXTENSION" ? " (npm install --save-dev tsx)" : "";
    throw new CommandFailed(`${error.message}${cure}`);
  });
}
